"""A project's files are opened once, when the project is read; only private copies for build backends open them again."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support.project_tree import written
from support.uv_cache import new_uv_cache

from shipwheel.base.model import Base, ImageFacts, LockedImage
from shipwheel.debian.session import ArchiveSession
from shipwheel.digest import digest_of
from shipwheel.locking.preferences import Upgrade
from shipwheel.locking.pylock import Lock
from shipwheel.pipeline.lock_project import project_to_lock, update_lock
from shipwheel.pipeline.resolve import lock_request, resolve
from shipwheel.platform import Platform
from shipwheel.project.read import read_project
from shipwheel.request import Request
from shipwheel.settings.settings import Settings
from shipwheel.store.store import Store
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

AMD64 = Platform("linux", "amd64")

BACKEND = """
import pathlib
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "made-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\nRequires-Dist: small\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return info.name
def build_wheel(folder, config_settings=None, metadata_directory=None):
    raise RuntimeError
"""
MADE = '[project]\nname = "made"\nversion = "1.0"\ndynamic = ["dependencies"]\n'
BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
MAIN = "import small\nprint(small)\n"
TREES = {
    "workspace with sources": {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["libs/*", "app"]\n[tool.uv]\nconstraint-dependencies = ["small<2"]\n',
        "libs/plain/pyproject.toml": '[project]\nname = "plain"\nversion = "1"\ndependencies = ["leaf"]\n',
        "libs/made/pyproject.toml": MADE + BUILD_SYSTEM,
        "libs/made/backend.py": BACKEND,
        "other/pyproject.toml": '[project]\nname = "other"\nversion = "1"\n',
        "app/pyproject.toml": (
            '[project]\nname = "app"\nversion = "1"\ndependencies = ["plain", "other", "small"]\n'
            '[tool.uv.sources]\nplain = { workspace = true }\nother = { path = "../other" }\n'
        ),
        "app/main.py": MAIN,
    },
    "requirements": {
        "app/requirements.txt": "-r more.txt\n-c limits.txt\n./lib\n-e ./made\n",
        "app/more.txt": "small\n",
        "app/limits.txt": "small<2\n",
        "app/lib/pyproject.toml": '[project]\nname = "lib"\nversion = "1"\ndependencies = ["leaf"]\n',
        "app/made/pyproject.toml": MADE + BUILD_SYSTEM,
        "app/made/backend.py": BACKEND,
        "app/main.py": MAIN,
        "app/.python-version": "3.11\n",
    },
    "Poetry": {
        "app/pyproject.toml": (
            '[tool.poetry]\nname = "app"\nversion = "1"\npackage-mode = false\n'
            '[tool.poetry.dependencies]\npython = "^3.9"\nsmall = "^1.0"\n'
        ),
        "app/poetry.lock": (
            '[[package]]\nname = "small"\nversion = "1.0"\ngroups = ["main"]\nfiles = []\n'
            '[package.dependencies]\nleaf = "*"\n[[package]]\nname = "leaf"\nversion = "1.0"\ngroups = ["main"]\nfiles = []\n'
        ),
        "app/main.py": MAIN,
    },
    "Pipfile": {
        "app/Pipfile": '[packages]\nsmall = "*"\nlib = {path = "./lib"}\n[requires]\npython_version = "3.11"\n',
        "app/lib/pyproject.toml": '[project]\nname = "lib"\nversion = "1"\ndependencies = ["leaf"]\n',
        "app/setup.cfg": "[flake8]\nmax-line-length = 100\n",
        "app/main.py": MAIN,
    },
    "setup.py": {
        "app/setup.py": 'from setuptools import setup\nsetup(name="app", version="1", install_requires=["small"], py_modules=["app"])\n',
        "app/pyproject.toml": BUILD_SYSTEM,
        "app/backend.py": BACKEND,
        "app/app.py": MAIN,
        "app/Procfile": "web: python -m app\n",
    },
    "web application": {
        "app/requirements.txt": "flask\ngunicorn\nsmall\n",
        "app/main.py": "from flask import Flask\nfrom . import views\napp = Flask(__name__)\n",
        "app/views.py": "import small\n",
    },
    "script": {
        "app/main.py": '# /// script\n# dependencies = ["small"]\n# requires-python = ">=3.9"\n# ///\n' + MAIN,
    },
}

_opened: list[str] | None = None


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or _opened is None or not isinstance(arguments[0], str | bytes):
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "copyfile":
            return  # a private copy
        frame = frame.f_back
    _opened.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_record)  # Hooks cannot be removed; this one does nothing outside of `opened`.


def _is_result(name: str) -> bool:
    """shipwheel's own lock, which is read to see whether it is current."""
    return name in ("pylock.toml", "pylock.shipwheel.toml") or name.startswith(".pylock-")


@contextmanager
def opened(root: Path) -> Iterator[Counter[str]]:
    """Count how often each of the user's files is opened in the block."""
    global _opened
    found: Counter[str] = Counter()
    _opened = []
    try:
        yield found
    finally:
        top = os.path.realpath(root)
        names = (os.path.relpath(path, top) for path in _opened if path.startswith(f"{top}/") and Path(path).is_file())
        found.update(name for name in names if not _is_result(Path(name).name))
        _opened = None


class ImageBase:
    """Bases of an image that needs no registry."""

    archive: ArchiveSession

    def resolve(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        facts = ImageFacts("3.11.2", "/usr/bin/python3.11", (2, 36))
        image = LockedImage("base.example/python", digest_of(b"index"), digest_of(b"manifest"), facts)
        return [Base(None, (), True, image=image) for _ in platforms]


@pytest.fixture(scope="module")
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as served:
        small, leaf = SmallWheel("small", "1.0", requires=("leaf",)), SmallWheel("leaf", "1.0", files={"leaf.py": ""})
        for wheel in (small, leaf, SmallWheel("flask", "3.0"), SmallWheel("gunicorn", "23.0")):
            served.add(wheel.filename, wheel.content())
        yield served


@pytest.fixture
def request_for(index: PackageIndex, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.simple)
    monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_NO_CONFIG", "1")

    def make(name: str) -> Request:
        root = written(tmp_path / "tree", TREES[name])
        path = root / "app" / "main.py" if name == "script" else root / "app"
        return Request(path, Settings(python="3.11", platforms=("linux/amd64",), init=False), Store(tmp_path / "store"))

    return make


@pytest.mark.parametrize("name", TREES)
def test_lock_opens_each_file_once(request_for: Any, tmp_path: Path, name: str) -> None:
    request = request_for(name)
    with opened(tmp_path / "tree") as files:
        locked = update_lock(request, Upgrade())
    assert {package["name"] for package in locked.lock.data["packages"]} >= {"small", "leaf"}
    assert {file: count for file, count in files.items() if count > 1} == {}
    assert files, "the recorder works"


@pytest.mark.parametrize("name", TREES)
def test_nothing_is_opened_after_the_project_was_read(request_for: Any, tmp_path: Path, name: str) -> None:
    request = request_for(name)
    project = read_project(request.path, request.settings)
    with opened(tmp_path / "tree") as files:
        resolution = resolve(project, request, ImageBase())
        resolve(project, request, ImageBase())
    assert resolution.lock.path.is_file()
    assert files == Counter()


@pytest.mark.parametrize("name", TREES)
def test_a_project_for_another_python_opens_nothing_again(request_for: Any, tmp_path: Path, name: str) -> None:
    from shipwheel.project.read import with_python

    request = request_for(name)
    project = project_to_lock(request)
    with opened(tmp_path / "tree") as files:
        other = with_python(project, "3.13", launch=False)
        assert lock_request(other).python == "3.13"
    assert files == Counter()
