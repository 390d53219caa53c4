"""The error of a source that cannot be built names what has wheels instead, on all of the platforms."""

import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest

from shipwheel.base import standalone_builds
from shipwheel.errors import BuildError, FetchError, NewerAtRunTime, OptionalStepError, UnbuildableSource
from shipwheel.events import Event, Warned, silent
from shipwheel.locking.no_compatible_file import Alternatives, Mismatch, MissingFile, NoCompatibleFile, SlowSources
from shipwheel.locking.pylock import Lock
from shipwheel.locking.target import Target
from shipwheel.pipeline import alternatives, build
from shipwheel.pipeline.alternatives import build_error_with_alternatives, with_newer_versions, with_replacements
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.request import LockMode, Request
from shipwheel.settings.settings import Settings
from shipwheel.store.store import Store
from shipwheel.witness.witness import Witness

TARGETS = [Target(Platform("linux", architecture), "3.11.2", (2, 36)) for architecture in ("amd64", "arm64")]
FAILED = BuildError("far 1.0 cannot be compiled", hint="See its output.")


def file(name: str) -> dict[str, Any]:
    return {"url": f"https://files.invalid/{name}", "size": 7, "hashes": {"sha256": "CD" * 32}}


def explained(
    monkeypatch: pytest.MonkeyPatch, found: Alternatives, *tags: str, failed: BuildError = FAILED, **source: Any
) -> tuple[BuildError, list[NoCompatibleFile]]:
    asked: list[NoCompatibleFile] = []

    def answer(error: NoCompatibleFile, _project: object, _reporter: object) -> NoCompatibleFile:
        asked.append(error)
        return NoCompatibleFile(error.missing, error.targets, dict.fromkeys(error.missing, found))

    def siblings(name: str, version: str, locked: Mapping[str, str], _request: object, _target: Target) -> dict[str, str]:
        assert locked == {"far": "1.0"}
        return {"near": "3.0"} if (name, version) == ("far", "1.1") else {}

    monkeypatch.setattr(alternatives, "with_alternatives", answer)
    monkeypatch.setattr(alternatives, "lock_request", lambda _: None)
    monkeypatch.setattr("shipwheel.locking.diagnose.alternatives.siblings_for", siblings)
    wheels = {"wheels": [file(f"far-1.0-{tag}.whl") for tag in tags]} if tags else {}
    package = {"name": "far", "version": "1.0", **wheels, **(source or {"sdist": file("far-1.0.tar.gz")})}
    tool = {"frozen": False, "origin": "requirements.txt", "roots": {}, "compiled": {"far": []}}
    data = {"lock-version": "1.0", "created-by": "shipwheel", "packages": [package], "tool": {"shipwheel": tool}}
    resolution: Any = SimpleNamespace(
        lock=Lock(Path("/project/pylock.toml"), data), platforms=[SimpleNamespace(target=target) for target in TARGETS], project=None
    )
    return build_error_with_alternatives(failed, "far", resolution, silent), asked


def test_what_serves_all_platforms_is_asked_for_even_if_one_has_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    error, (asked,) = explained(monkeypatch, Alternatives(known=True, older="0.9"), "cp311-cp311-manylinux_2_17_x86_64")
    assert list(asked.missing.values()) == [TARGETS]
    assert error.message.splitlines() == [
        FAILED.message,
        "  required by: requirements.txt",
        "  nearest versions with files: 0.9 (older)",
    ]
    assert error.hint == "See its output. Or choose far 0.9."


@pytest.mark.parametrize(
    ("found", "replacements"),
    [
        (Alternatives(known=True, older="0.9", newer="1.1", sibling="far-binary 1.1"), {"far": "far==1.1", "near": "near==3.0"}),
        (Alternatives(known=True, sibling="far-binary 1.1"), {"far": "far-binary==1.1"}),
        (Alternatives(), {}),
    ],
)
def test_a_source_that_cannot_be_built_names_what_to_take(
    monkeypatch: pytest.MonkeyPatch, found: Alternatives, replacements: dict[str, str]
) -> None:
    error, _ = explained(monkeypatch, found, failed=UnbuildableSource("far 1.0 cannot be compiled"))
    assert isinstance(error, UnbuildableSource)
    assert error.replacements == replacements


@pytest.mark.parametrize(
    ("far", "also", "replacements"),
    [
        (Alternatives(known=True, newer="1.1"), Alternatives(), {"far": "far==1.1", "near": "near==3.0"}),
        (Alternatives(), Alternatives(known=True, newer="1.1"), {}),
    ],
)
def test_what_has_neither_file_nor_source_may_be_replaced(
    monkeypatch: pytest.MonkeyPatch, far: Alternatives, also: Alternatives, replacements: dict[str, str]
) -> None:
    """What has a source is compiled."""

    def missing(name: str, *, can_compile: bool) -> MissingFile:
        return MissingFile(name, "1.0", Mismatch.PYTHON, "no wheel is for Python 3.11", (), "", "requirements.txt", can_compile)

    monkeypatch.setattr(alternatives, "lock_request", lambda _: None)
    monkeypatch.setattr("shipwheel.locking.diagnose.alternatives.siblings_for", lambda *_: {"near": "3.0"})
    hopeless, source = missing("far", can_compile=False), missing("also", can_compile=True)
    lock, project = Lock(Path("/project/pylock.toml"), {"packages": []}), cast("Project", None)
    error = NoCompatibleFile({hopeless: TARGETS, source: TARGETS}, TARGETS, {hopeless: far, source: also}, lock=lock)
    assert with_replacements(error, project).replacements == replacements


def test_a_newer_version_takes_the_place_of_a_slow_source_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternatives, "lock_request", lambda _: None)
    monkeypatch.setattr("shipwheel.locking.diagnose.alternatives.siblings_for", lambda *_: {})
    far, also = (MissingFile(name, "1.0", Mismatch.PYTHON, "no wheel is for Python 3.9", (), "", "") for name in ("far", "also"))
    lock, project = Lock(Path("/project/pylock.toml"), {"packages": []}), cast("Project", None)
    error = SlowSources({far: TARGETS, also: TARGETS}, TARGETS, lock=lock)
    found = {far: Alternatives(known=True, newer="1.1"), also: Alternatives(known=True, older="0.9")}

    def informed(given: NoCompatibleFile, *_: object) -> NoCompatibleFile:
        return NoCompatibleFile(given.missing, given.targets, found, lock=given.lock)

    monkeypatch.setattr(alternatives, "with_alternatives", informed)
    newer = with_newer_versions(error, project, silent)
    assert (newer.replacements, newer.summary) == ({"far": "far==1.1"}, "far 1.0: no wheel is for Python 3.9")
    found.clear()
    assert with_newer_versions(error, project, silent) is error


def test_a_package_with_wheels_for_windows_alone_may_get_a_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    error, _ = explained(monkeypatch, Alternatives(known=True, sibling="far-binary 1.1"), "cp311-cp311-win_amd64")
    assert "Or choose far-binary 1.1" in error.hint and error.hint.endswith("Windows only (far ; sys_platform == 'win32').")


def test_a_source_of_no_index_has_no_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert explained(monkeypatch, Alternatives(), directory={"path": "far"}) == (FAILED, [])


def tried(
    monkeypatch: pytest.MonkeyPatch,
    root: Path,
    *fails: str,
    mode: LockMode = LockMode.UPDATE,
    unreachable: str = "",
    published: date | None = None,
    replacements: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[str], list[str]]:
    """Return the Pythons with which a build is tried that fails with some of them, "" for the project's own, and what is said."""
    pythons: list[str] = []
    seen: list[Event] = []

    def once(request: Request, _destination: object, _work: object) -> None:
        pythons.append(request.settings.python or "")
        if pythons[-1] in fails:
            message = f"far 1.0 cannot be compiled {len(pythons)}:\n  its output"
            raise UnbuildableSource(message, published=published, replacements=replacements)
        if pythons[-1] == unreachable:
            raise FetchError("Python is not available")

    monkeypatch.setattr(build, "_once", once)
    monkeypatch.setattr(standalone_builds, "newest_versions", lambda *_: {"3.12": "3.12.9", "3.8": "3.8.20", "3.7": "3.7.9"})
    request = Request(root, Settings(), Store(root / "store"), reporter=seen.append, lock_mode=mode)
    said = []
    try:
        build.with_context(request, None, lambda *_: None)
    except UnbuildableSource as error:
        said.append(error.message.splitlines()[0])
    return pythons, [each.message for each in seen if isinstance(each, Warned)] + said


def test_an_older_python_may_build_what_the_chosen_one_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print(1)\n")
    (tmp_path / "requirements.txt").write_text("far==1.0\n")
    warnings = [f"Python {version} is tried, since far 1.0 cannot be compiled 1" for version in ("3.11", "3.9")]
    assert tried(monkeypatch, tmp_path, "", "3.11") == (["", "3.11", "3.9"], warnings)
    last = [*warnings, "Python 3.8 is tried, since far 1.0 cannot be compiled 1"]
    assert tried(monkeypatch, tmp_path, "", "3.11", "3.9") == (["", "3.11", "3.9", "3.8"], last)
    assert tried(monkeypatch, tmp_path, "", "3.11", "3.9", "3.8")[1] == [*last, "far 1.0 cannot be compiled 1:"]
    assert tried(monkeypatch, tmp_path, "", "3.11", "3.9", unreachable="3.8")[1] == [*last, "far 1.0 cannot be compiled 1:"]
    with pytest.raises(FetchError):
        tried(monkeypatch, tmp_path, "", unreachable="3.11")
    assert tried(monkeypatch, tmp_path, "", mode=LockMode.LOCKED)[0] == [""]
    (tmp_path / ".python-version").write_text("3.13\n")
    assert tried(monkeypatch, tmp_path, "")[0] == [""]


@pytest.mark.parametrize(
    ("published", "replacements", "pythons"),
    [
        ("2017-02-01", {"far": "far==2.0"}, ["", "3.9"]),
        ("2017-02-01", {}, ["", "3.11", "3.9", "3.8"]),
        ("2019-02-01", {"far": "far==2.0"}, ["", "3.9", "3.8"]),
        ("2020-02-01", {"far": "far==2.0"}, ["", "3.11", "3.9", "3.8"]),
    ],
)
def test_no_other_python_is_tried_that_came_long_after_a_source_with_another_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, published: str, replacements: dict[str, str], pythons: list[str]
) -> None:
    (tmp_path / "main.py").write_text("print(1)\n")
    fails = ("", "3.11", "3.9", "3.8")
    day = date.fromisoformat(published)
    assert tried(monkeypatch, tmp_path, *fails, published=day, replacements=replacements)[0] == pythons


@pytest.mark.parametrize("fails", [False, True])
def test_a_step_that_was_left_out_is_tried_by_the_next_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: bool) -> None:
    def once(request: Request, _destination: object, _work: object) -> None:
        if fails and request.settings.steps is None:
            raise OptionalStepError("the step fails")

    monkeypatch.setattr(build, "_once", once)
    project = tmp_path / "project"
    project.mkdir()
    request = Request(project, Settings(), Store(tmp_path / "store"))
    time.sleep(0.05)  # a tick of the kernel's clock
    witness = Witness()
    build.with_context(request, None, lambda *_: None)
    assert (witness.looks(str(project)) is None) == fails


@pytest.mark.parametrize(("mode", "helps"), [(LockMode.UPDATE, True), (LockMode.UPDATE, False), (LockMode.LOCKED, True)])
def test_a_wheel_that_was_compiled_for_older_packages_gets_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: LockMode, helps: bool
) -> None:
    asked: list[tuple[str, ...]] = []
    seen: list[Event] = []

    def once(request: Request, _destination: object, _work: object) -> None:
        asked.append(request.bounds)
        if not (helps and request.bounds):
            raise NewerAtRunTime("far is compiled for numpy<2, and the lock has numpy 2.4", ("numpy<2",), hint="")

    monkeypatch.setattr(build, "_once", once)
    request = Request(tmp_path, Settings(), Store(tmp_path / "store"), reporter=seen.append, lock_mode=mode)
    if mode is LockMode.UPDATE and helps:
        build.with_context(request, None, lambda *_: None)
        assert [each.message for each in seen if isinstance(each, Warned)] == [
            "far is compiled for numpy<2, and the lock has numpy 2.4: locked again with numpy<2"
        ]
    else:
        with pytest.raises(NewerAtRunTime):
            build.with_context(request, None, lambda *_: None)
    assert asked == [(), ("numpy<2",)][: 1 if mode is LockMode.LOCKED else 2]
