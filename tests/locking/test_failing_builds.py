"""Builds that fail while the lock is made: none fails twice, since each takes as long as the rest of the resolution."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.lock_requests import lock_request
from support.programs import needs
from support.sdist import packed
from support.uv_cache import new_uv_cache

from shipwheel.errors import LockError
from shipwheel.locking import kept_copies, uv
from shipwheel.locking import make as make_module
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.make import make_lock, with_other_version
from shipwheel.project import source_copy
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
FAILING = {"pyproject.toml": PYPROJECT, "backend.py": "raise SystemExit('for Python 2 only')\n"}
SETUPTOOLS = SmallWheel("setuptools", "50.0", files={"pkg_resources.py": ""})
"""Every environment of an old day had it."""
BACKEND = """\
import pathlib

def prepare_metadata_for_build_wheel(folder, settings=None):
    pathlib.Path("asked").touch()
    version = pathlib.Path.cwd().parent.parent.name
    info = pathlib.Path(folder, f"made-{version}.dist-info")
    info.mkdir()
    text = f"Metadata-Version: 2.1\\nName: made\\nVersion: {version}\\nRequires-Dist: engine>={version}\\n"
    (info / "METADATA").write_text(text)
    return info.name
"""
"""It notes that it was asked."""
STATED = {"made.egg-info/PKG-INFO": "Name: made\nVersion: 1.0\n", "made.egg-info/requires.txt": "engine\n"}


def archive(contents: dict[str, str], version: str = "1.0") -> bytes:
    return packed("made", version, {"PKG-INFO": f"Metadata-Version: 2.1\nName: made\nVersion: {version}\n", **contents})


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with PackageIndex() as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.simple)
        monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        yield served


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each resolution failed."""
    seen: list[bool] = []
    lock = uv.lock_project

    def counted(*arguments: Any, **options: Any) -> tuple[str, str]:
        try:
            done = lock(*arguments, **options)
        except uv.UvFailed:
            seen.append(True)
            raise
        seen.append(False)
        return done

    monkeypatch.setattr(uv, "lock_project", counted)
    return seen


def listed(app: Path, text: str) -> LockRequest:
    app.mkdir()
    (app / "requirements.txt").write_text(text)
    return lock_request(app, MINOR, (app / "requirements.txt",))


def test_a_source_that_every_system_builds_is_not_built_again_for_the_others(
    index: PackageIndex, tmp_path: Path, failures: list[bool]
) -> None:
    index.add("made-1.0.tar.gz", archive(FAILING))
    with pytest.raises(LockError, match="for Python 2 only"):
        make_lock(listed(tmp_path / "app", "made==1.0\n"))
    assert failures == [True, True], "once as it is, and once for what the source states"


def test_a_wheel_for_another_system_tells_what_a_build_does_not(index: PackageIndex, tmp_path: Path, failures: list[bool]) -> None:
    for wheel in (SmallWheel("made", "1.0", files={"made.py": ""}, tag="py3-none-win_amd64"), SETUPTOOLS):
        index.add(wheel.filename, wheel.content())
    index.add("made-1.0.tar.gz", archive(FAILING))
    assert make_lock(listed(tmp_path / "app", "made==1.0\n")).names == {"made", "setuptools"}
    assert not any(failures)


@needs("bwrap")
@pytest.mark.parametrize("pin", ["made==1.0", "made"])
def test_the_packages_of_an_old_day_need_no_build_that_failed(index: PackageIndex, tmp_path: Path, failures: list[bool], pin: str) -> None:
    index.add("made-1.0.tar.gz", archive({**FAILING, **STATED}), uploaded="2020-06-01T00:00:00Z")
    for wheel, day in (
        (SmallWheel("web", "1.0", files={"web.py": ""}), "2020-06-01"),
        (SETUPTOOLS, "2020-05-01"),
        (SmallWheel("engine", "1.5", files={"engine.py": ""}), "2020-05-01"),
        (SmallWheel("engine", "2.0", files={"engine.py": ""}), "2024-05-01"),
    ):
        index.add(wheel.filename, wheel.content(), uploaded=f"{day}T00:00:00Z")
    lock = make_lock(listed(tmp_path / "app", f"{pin}\nweb==1.0\n"))
    assert {str(package.name): str(package.version) for package in lock.packages}["engine"] == "1.5"
    assert failures == [True, False, False, False], "today's, those of the day, and both together"


@needs("bwrap")
def test_few_of_many_versions_are_asked_what_they_require(index: PackageIndex, tmp_path: Path) -> None:
    for number in range(1, 10):
        version = f"{number}.0"
        stated = {"made.egg-info/PKG-INFO": f"Name: made\nVersion: {version}\n", "made.egg-info/requires.txt": f"engine>={number}\n"}
        index.add(f"made-{version}.tar.gz", archive({"pyproject.toml": PYPROJECT, "backend.py": BACKEND, **stated}, version))
    engine = SmallWheel("engine", "2.5", files={"engine.py": ""})
    index.add(engine.filename, engine.content())
    lock = make_lock(listed(tmp_path / "app", "made\nengine<3\n"))
    assert {str(package.name): str(package.version) for package in lock.packages}["made"] == "2.0"
    asked = [path.parents[2].name for path in Path(os.environ["UV_CACHE_DIR"]).glob("sdists-v*/*/**/src/asked")]
    assert sorted(asked) == ["6.0", "7.0", "8.0", "9.0"]


@needs("bwrap")
def test_another_version_is_built_as_if_none_had_failed(index: PackageIndex, tmp_path: Path, failures: list[bool]) -> None:
    index.add("made-1.0.tar.gz", archive({**FAILING, **STATED}), uploaded="2024-06-01T00:00:00Z")
    older = SmallWheel("made", "0.9", files={"made.py": ""}, requires=("engine",))
    web = SmallWheel("web", "1.0", files={"web.py": ""})
    engine = SmallWheel("engine", "1.5", files={"engine.py": ""})
    for wheel in (older, web, engine, SETUPTOOLS):
        index.add(wheel.filename, wheel.content(), uploaded="2020-06-01T00:00:00Z")
    lock = make_lock(listed(tmp_path / "app", "made\nweb==1.0\n"))
    assert {str(package.name): str(package.version) for package in lock.packages}["made"] == "0.9"
    assert failures.count(True) == 1


@pytest.mark.parametrize(
    ("wheels", "expected"),
    [
        (("1.5", "2.1", "3.0"), {"made": "made==1.5"}),
        (("2.1", "3.0"), {"made": "made==2.1"}),
        (("3.0",), {"made": "made==3.0"}),
        ((), {}),
    ],
)
def test_the_closest_version_takes_the_place_of_a_pin_that_cannot_be_built(
    index: PackageIndex, tmp_path: Path, wheels: tuple[str, ...], expected: dict[str, str]
) -> None:
    index.add("made-1.0.tar.gz", archive(FAILING))
    for version in wheels:
        wheel = SmallWheel("made", version, files={"made.py": ""})
        index.add(wheel.filename, wheel.content())
    request = listed(tmp_path / "app", "made==1.0\n")
    with pytest.raises(LockError) as caught:
        make_lock(request)
    found = with_other_version(caught.value, request)
    assert (found.replacements, "made==1.0" in found.message) == (expected, True)
    assert all(f"take {text.replace('==', ' ')}." in found.hint for text in expected.values())


def test_one_pin_after_the_other_moves_whose_build_fails(index: PackageIndex, tmp_path: Path) -> None:
    for name in ("made", "other"):
        index.add(
            f"{name}-1.0.tar.gz", packed(name, "1.0", {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", **FAILING})
        )
        wheel = SmallWheel(name, "1.1", files={f"{name}.py": ""})
        index.add(wheel.filename, wheel.content())
    request = listed(tmp_path / "app", "made==1.0\nother==1.0\n")
    with pytest.raises(LockError) as caught:
        make_lock(request)
    assert with_other_version(caught.value, request).replacements == {"made": "made==1.1", "other": "other==1.1"}


COUNTING = """
import os, pathlib
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "own-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: own\\nVersion: 1.0\\nRequires-Dist: engine\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    pathlib.Path("left-behind").write_text("")
    return info.name
"""


def test_the_projects_own_metadata_are_built_once_for_a_lock(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wheel, day in (
        (SmallWheel("engine", "1.5", files={"engine.py": ""}), "2020-05-01"),
        (SmallWheel("engine", "2.0", files={"engine.py": ""}), "2024-05-01"),
        (SETUPTOOLS, "2020-05-01"),
    ):
        index.add(wheel.filename, wheel.content(), uploaded=f"{day}T00:00:00Z")
    copies: list[Path] = []
    make = source_copy.private_copy

    def counted(tree: Path) -> AbstractContextManager[Path]:
        copies.append(tree)
        return make(tree)

    monkeypatch.setattr(kept_copies, "private_copy", counted)
    monkeypatch.setattr(make_module, "last_commit", lambda _root: date(2020, 6, 1))
    app = tmp_path / "app"
    app.mkdir()
    (app / "backend.py").write_text(COUNTING)
    (app / "pyproject.toml").write_text(PYPROJECT)
    lock = make_lock(lock_request(app, MINOR))
    assert {str(package.name): str(package.version) for package in lock.packages}["engine"] == "1.5"
    assert copies == [app], "today's packages, those of the day, and both together"
    assert {path.name for path in app.iterdir()} == {"backend.py", "pyproject.toml"}
    make_lock(lock_request(app, MINOR))
    assert copies == [app, app], "no longer than the lock takes"
