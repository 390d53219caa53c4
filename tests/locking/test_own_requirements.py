"""Requirements files beside a package: when they decide its lock, and lines that name the package itself."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lock_requests import lock_request, read_again
from support.uv_cache import new_uv_cache

from shipwheel.locking.inputs import inputs_digest
from shipwheel.locking.make import lock_for
from shipwheel.project.lock_inputs import own_line
from shipwheel.project.read import read_project
from shipwheel.project.requirements import read_requirements
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
BACKEND = """
import pathlib
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "made-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\nRequires-Dist: tiny\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return info.name
def build_wheel(folder, config_settings=None, metadata_directory=None):
    raise RuntimeError("only the metadata is wanted")
"""
BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
STATIC = '[project]\nname = "Made"\nversion = "1"\ndependencies = ["tiny"]\n'
SETUP = 'from setuptools import setup\nsetup(name="made", version="1", packages=["made"]{more})\n'


@pytest.fixture
def own_uv(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with PackageIndex() as served:
        for name in ("tiny", "extra"):
            wheel = SmallWheel(name, files={f"{name}.py": ""})
            served.add(wheel.filename, wheel.content())
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.simple)
        monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        yield


def _package(root: Path, requirements: str, more: str = "") -> Path:
    (root / "made").mkdir(parents=True)
    (root / "made/__init__.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    (root / "setup.py").write_text(SETUP.format(more=more))
    (root / "requirements.txt").write_text(requirements)
    return root


@pytest.mark.parametrize(
    ("requirements", "more", "decisive", "dependencies"),
    [
        ("-e .\ngunicorn\n", ', install_requires=["flask"]', True, {"flask", "gunicorn"}),
        (".[web]\n", ', install_requires=["flask"]', True, {"flask"}),
        ("flask\n", "", True, {"flask"}),
        ("pytest\n", ', install_requires=["flask"]', False, {"flask"}),
        ("pytest\n", ", install_requires=read()", False, set()),
        ("", "", False, set()),
    ],
)
def test_tells_when_requirements_files_decide(tmp_path: Path, requirements: str, more: str, decisive: bool, dependencies: set[str]) -> None:
    project = read_project(_package(tmp_path / "made", requirements, more), launch=False)
    assert (project.kind, sorted(project.dependencies)) == ("package", sorted(dependencies))
    assert (project.inputs.requirements is not None) == decisive


@pytest.mark.parametrize(
    ("requirements", "command", "decisive"),
    [
        ("flask\ngunicorn; python_version > '3.8'\n", "pip install -r requirements.txt && pip install -e .", True),
        ("gunicorn\n", "pip install -r requirements.txt && pip install -e .", False),
        ("flask==3.0\n", "pip install -r requirements.txt && pip install -e .", False),
        ("flask\ngunicorn\n", "pip install -r requirements.txt && pip install -e '.[web]'", False),
        ("flask\ngunicorn\n", "pip install .", False),
    ],
    ids=["more", "others", "the same", "an extra too", "not installed"],
)
def test_requirements_files_of_a_dockerfile_decide_if_they_have_all_and_more(
    tmp_path: Path, requirements: str, command: str, decisive: bool
) -> None:
    root = _package(tmp_path / "made", requirements, ', install_requires=["flask"]')
    (root / "Dockerfile").write_text(f"FROM python:3.13\nWORKDIR /app\nCOPY . .\nRUN {command}\nCMD flask --app made run\n")
    project = read_project(root, launch=False)
    assert (project.inputs.requirements is not None, "gunicorn" in project.dependencies) == (decisive, decisive)


@pytest.mark.usefixtures("own_uv")
@pytest.mark.parametrize("table", [STATIC, ""], ids=["static", "asked of its backend"])
def test_leaves_the_package_out_of_its_own_lock(tmp_path: Path, table: str) -> None:
    root = tmp_path / "made"
    root.mkdir()
    (root / "pyproject.toml").write_text(BUILD_SYSTEM + table)
    (root / "backend.py").write_text(BACKEND)
    listed = root / "requirements.txt"
    listed.write_text("-e .\nextra\n")
    request = lock_request(root, MINOR, (listed,))
    lock = lock_for(request)
    assert sorted(package.name for package in lock.packages) == ["extra", "tiny"]
    assert lock.origin == "requirements.txt"
    before = inputs_digest(request)
    (root / "setup.py").write_text("# what it needs may have changed\n")
    assert inputs_digest(read_again(request)) != before


def test_finds_the_line_of_the_project_itself(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    listed = tmp_path / "requirements.txt"
    listed.write_text(f"./lib\n-e .[web]\nother @ {tmp_path.as_uri()}/lib\nflask\n")
    found = read_requirements((listed,))
    assert [line.local_path for line in found.lines] == [tmp_path / "lib", tmp_path, tmp_path / "lib", None]
    itself = own_line(found, tmp_path)
    assert itself is not None
    assert itself.number == 2
    assert own_line(found, tmp_path / "elsewhere") is None
