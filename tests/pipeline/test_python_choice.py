"""The search for a Python that works, and its errors and warnings."""

from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.project_tree import written

from shipwheel.base.model import Bases
from shipwheel.errors import FetchError, LockError, ShipwheelError
from shipwheel.events import Event, Warned
from shipwheel.locking import kept_selection, pylock
from shipwheel.locking.diagnose.uv_errors import IndexUnavailable, resolution_error
from shipwheel.locking.no_compatible_file import Alternatives, Mismatch, MissingFile, NoCompatibleFile, OtherPython, SlowSources
from shipwheel.locking.process import Finished
from shipwheel.locking.pylock import Lock
from shipwheel.locking.target import Target
from shipwheel.locking.uv import UvFailed
from shipwheel.pipeline import alternatives, python_choice
from shipwheel.pipeline.python_choice import try_pythons, with_suitable_python
from shipwheel.pipeline.resolve import with_sources
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.project.read import read_project
from shipwheel.request import Request
from shipwheel.settings.settings import Settings
from shipwheel.store.store import Store

FAILED = """\
error: Failed to build `old==1.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)
         [stderr]
         AttributeError: module 'configparser' has no attribute 'SafeConfigParser'
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "main.py").write_text("print('hello')\n")
    (tmp_path / "requirements.txt").write_text("old==1.0\n")
    return read_project(tmp_path, Settings())


def failed() -> LockError:
    return resolution_error(UvFailed(Finished(1, "", FAILED)).failure, "requirements.txt", {})


def test_tries_another_python_after_a_failed_build(project: Project) -> None:
    seen: list[Event] = []

    def attempt(tried: Project) -> str:
        if tried.python == project.python:
            raise failed()
        return tried.python

    found = try_pythons(project, seen.append, attempt)
    assert found == project.other_pythons[0]
    (warning,) = (event.message for event in seen if isinstance(event, Warned))
    assert warning.endswith("does not work: requirements.txt cannot be locked: Failed to build `old==1.0`")


def test_begins_with_the_python_for_which_the_fewest_packages_are_compiled(project: Project, tmp_path: Path) -> None:
    seen: list[Event] = []
    fewest = project.other_pythons[-1]
    request = Request(project.root, Settings(), Store(tmp_path / "store"), seen.append, compiles=True, first_pythons=(fewest,))
    assert with_suitable_python(project, request, lambda tried, bases=None: tried.python) == fewest
    assert [event.message for event in seen if isinstance(event, Warned)] == [
        f"Python {fewest} is used, since less must be compiled for it than for {project.python}"
    ]


def test_begins_with_the_python_of_the_round_before_without_a_word(project: Project, tmp_path: Path) -> None:
    seen: list[Event] = []
    request = Request(project.root, Settings(), Store(tmp_path / "store"), seen.append, first_pythons=(project.other_pythons[0],))
    assert with_suitable_python(project, request, lambda tried, bases=None: tried.python) == project.other_pythons[0]
    assert not seen


def test_begins_with_no_python_that_the_project_excludes(project: Project) -> None:
    for excluding in (replace(project, requires_python=">=3.8"), replace(project, oldest_python=8)):
        assert try_pythons(excluding, lambda _: None, lambda tried: tried.python, first=("3.7",)) == project.python


def test_begins_with_a_python_that_only_standalone_builds_have(project: Project) -> None:
    assert try_pythons(project, lambda _: None, lambda tried: tried.python, first=("3.8",)) == "3.8"


def test_a_standalone_python_that_lacks_other_files_is_one_to_compile_for(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _compiled_after(lacking("3.8", source("new")), project, tmp_path, monkeypatch) == "3.8"


@pytest.mark.parametrize(
    "failure", [FetchError("Python 3.8 is not available", hint="Take another."), LockError("these requirements conflict")]
)
def test_nothing_is_compiled_for_a_standalone_python_that_fails_for_another_reason(
    failure: ShipwheelError, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _compiled_after(failure, project, tmp_path, monkeypatch) == "3.11"


def _compiled_after(failure: ShipwheelError, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the Python for which files are compiled that 3.8 would have, if that fails at first."""
    informed = lacking("3.11", source("old"), pythons={"old": (standalone("3.8"),)})
    monkeypatch.setattr(python_choice, "with_alternatives", lambda *_, **__: informed)

    def work(request: Request, made: Lock | None) -> str:
        def attempt(tried: Project, bases: Bases | None = None) -> str:
            if tried.python == "3.8" and not (request.compiles and isinstance(failure, NoCompatibleFile)):
                raise failure
            if not request.compiles:
                raise informed
            return tried.python

        return with_suitable_python(project, request, attempt)

    return with_sources(Request(project.root, Settings(), Store(tmp_path / "store")), work)


def test_the_best_python_of_debian_comes_after_a_standalone_one(project: Project, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def work(request: Request, made: Lock | None) -> str:
        asked.append(request.first_pythons)
        if not request.compiles:
            raise lacking("3.11", source("old"), source("other"), pythons={"old": (standalone("3.8"),)})
        return "compiled"

    assert with_sources(Request(project.root, Settings(), Store(tmp_path / "store")), work) == "compiled"
    assert asked == [(), ("3.8", "3.11")]


def test_a_first_python_that_cannot_be_fetched_is_passed_over(project: Project) -> None:
    def attempt(tried: Project) -> str:
        if tried.python == "3.8":
            raise FetchError("Python 3.8 is not available", hint="Take another.")
        return tried.python

    assert try_pythons(project, lambda _: None, attempt, first=("3.8",)) == project.python


def lacking(python: str, *files: MissingFile, pythons: dict[str, tuple[OtherPython, ...]] | None = None) -> NoCompatibleFile:
    targets = [Target(Platform.parse(name), f"{python}.2", (2, 36)) for name in ("linux/amd64", "linux/arm64")]
    found = {file: Alternatives(known=True, pythons=(pythons or {}).get(file.name, ())) for file in files}
    return NoCompatibleFile(dict.fromkeys(files, targets), targets, found)


def source(name: str, published: str = "", size: int = 0) -> MissingFile:
    day = date.fromisoformat(published) if published else None
    return MissingFile(name, "1", Mismatch.PYTHON, "no wheel fits", (), f"{name}-1.tar.gz", "", can_compile=True, published=day, size=size)


def standalone(python: str, *platforms: str) -> OtherPython:
    target = Target(Platform.parse("linux/amd64"), f"{python}.20", (2, 41))
    return OtherPython(f"Python {python}", f"--python {python}", target, tuple(map(Platform.parse, platforms)))


@pytest.mark.parametrize(
    ("error", "python"),
    [
        (lacking("3.13", source("a"), source("b")), "3.13"),
        (lacking("3.13", source("a"), source("b"), pythons={"a": (standalone("3.12"),)}), "3.12"),
        (lacking("3.13", source("a"), pythons={"a": (standalone("3.12", "linux/amd64"),)}), "3.12"),
        (lacking("3.9", source("a", "2020-03-01"), pythons={"a": (standalone("3.12", "linux/amd64"),)}), "3.9"),
    ],
    ids=["nothing-else", "one-package", "one-platform", "too-new"],
)  # fmt: skip
def test_compiles_for_the_python_that_has_the_most_files(error: NoCompatibleFile, python: str) -> None:
    assert error.python_to_compile == python


@pytest.mark.parametrize(
    ("large", "slow"),
    [
        (source("large", "2019-01-31", 17_000_000), ["large"]),
        (source("large", "2020-12-31", 17_000_000), []),
        (source("large", "", 17_000_000), []),
        (source("large", "2019-01-31", 40_000), []),
    ],
    ids=["old", "newer-than-the-python", "of-no-day", "small"],
)
def test_large_sources_that_are_older_than_the_python_are_told_apart(large: MissingFile, slow: list[str], tmp_path: Path) -> None:
    error = lacking("3.9", large, source("small", "2019-01-31", 40_000))
    request = Request(tmp_path, Settings(), Store(tmp_path / "store"))

    def work(request: Request, made: Lock | None) -> str:
        if not request.compiles:
            raise error
        return "compiled"

    found = error.slow_to_compile
    assert ([file.name for file in found.missing] if found is not None else []) == slow
    assert with_sources(request, work) == "compiled"
    with pytest.raises(SlowSources) if slow else nullcontext():
        with_sources(replace(request, slow_sources=False), work)


def test_large_sources_are_slow_once_the_python_that_has_files_for_them_is_out_of_reach(project: Project, tmp_path: Path) -> None:
    large, small = source("large", "2019-01-31", 17_000_000), source("small", "2019-01-31", 40_000)
    error, tried = lacking("3.9", large, small, pythons={"large": (standalone("3.8"),)}), list[str]()

    def attempt(it: Project, bases: Bases | None = None) -> str:
        tried.append(it.python)
        if it.python == "3.8":
            raise FetchError("no such host")
        return it.python

    def work(request: Request, made: Lock | None) -> str:
        if not request.compiles:
            raise error
        return with_suitable_python(replace(project, requires_python=">=3.8", python_is_named=False), request, attempt)

    request = Request(project.root, Settings(), Store(tmp_path / "store"))
    with pytest.raises(SlowSources, match="large"):
        with_sources(replace(request, slow_sources=False), work)
    assert tried == ["3.8"]
    assert with_sources(request, work) == "3.9"


def test_large_sources_that_an_older_python_has_files_for_are_not_slow() -> None:
    large, small = source("large", "2019-01-31", 17_000_000), source("small", "2019-01-31", 40_000)
    error = lacking("3.11", large, small, pythons={"large": (standalone("3.8"),)})
    assert (error.python_to_compile, error.slow_to_compile) == ("3.8", None)


def test_an_old_source_is_compiled_for_the_python_of_its_time(project: Project) -> None:
    old, other = source("old", "2020-03-01"), source("other", "2020-11-01")
    found: dict[str, LockError] = {"3.9": lacking("3.9", old, other), "3.11": lacking("3.11", old)}

    def attempt(tried: Project) -> str:
        raise found.get(tried.python, lacking(tried.python, old, other))

    with pytest.raises(NoCompatibleFile) as raised:
        try_pythons(replace(project, inputs=replace(project.inputs, requirements=None)), lambda _: None, attempt)
    assert raised.value.targets[0].minor == "3.9", "one that lacks fewer files came out years later"


@pytest.mark.parametrize(
    ("line", "first", "tried"),
    [
        ("old==1.0\n", "3.9", ["3.9"]),
        ("old==1.0\n", "3.13", ["3.13", "3.11", "3.9"]),
        ("old==1.0\nany\n", "3.9", ["3.9"]),
        ("old>=1.0\n", "3.9", ["3.9", "3.13", "3.11", "3.14"]),
        ("old==1.*\n", "3.9", ["3.9", "3.13", "3.11", "3.14"]),
    ],
)  # fmt: skip
def test_tries_no_python_that_came_out_after_the_files_of_a_pin(tmp_path: Path, line: str, first: str, tried: list[str]) -> None:
    project = read_project(written(tmp_path, {"main.py": "print()\n", "requirements.txt": line}), Settings())
    seen: list[str] = []

    def attempt(it: Project) -> str:
        seen.append(it.python)
        raise lacking(it.python, source("old", "2019-01-01"))

    with pytest.raises(NoCompatibleFile) as raised:
        try_pythons(project, lambda _: None, attempt, first=(first,))
    assert seen == tried
    assert {raised.value.targets[0].minor, *raised.value.tried} == {project.python, *project.other_pythons}, "as if all had been tried"


def test_a_lock_that_was_made_is_not_made_again_to_compile(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[bool] = []

    def find(*_: object, versions: bool) -> dict[MissingFile, Alternatives]:
        wanted.append(versions)
        return {}

    monkeypatch.setattr("shipwheel.locking.diagnose.alternatives.find_alternatives", find)
    monkeypatch.setattr(alternatives, "_standalone_pythons", lambda *_: iter(()))
    lock = Lock(tmp_path / "pylock.toml", {})
    asked: list[Lock | None] = []

    def attempt(tried: Project, bases: Bases | None = None) -> str:
        target = Target(Platform.parse("linux/amd64"), f"{tried.python}.2", (2, 36))
        raise NoCompatibleFile({source("old"): [target]}, [target], lock=lock)

    def work(request: Request, made: Lock | None) -> str:
        asked.append(made)
        return "compiled" if request.compiles else with_suitable_python(project, request, attempt)

    assert with_sources(Request(project.root, Settings(), Store(tmp_path / "store")), work) == "compiled"
    assert asked == [None, lock]
    assert wanted == [False], "nothing is compiled in another version"


def test_the_request_to_compile_names_the_python_that_lacks_the_fewest(project: Project, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []
    file = MissingFile("old", "1", Mismatch.PYTHON, "only wheels for 3.9", (), "old-1.tar.gz", "", can_compile=True)
    target = Target(Platform.parse("linux/amd64"), "3.11.2", (2, 36), False)

    def work(request: Request, made: Lock | None) -> str:
        asked.append(request.first_pythons)
        if not request.compiles:
            raise NoCompatibleFile({file: [target]}, [target])
        return "compiled"

    assert with_sources(Request(project.root, Settings(), Store(tmp_path / "store")), work) == "compiled"
    assert asked == [(), ("3.11",)]


def test_reports_a_build_that_fails_on_every_python(project: Project) -> None:
    tried: list[str] = []

    def attempt(it: Project) -> str:
        tried.append(it.python)
        raise failed()

    with pytest.raises(LockError, match="SafeConfigParser") as caught:
        try_pythons(project, lambda _: None, attempt)
    assert tried == [project.python, *project.other_pythons]
    assert f"Python {', '.join(project.other_pythons)} failed too" in caught.value.hint and "--as-of" in caught.value.hint


UNREACHABLE = IndexUnavailable("the index cannot be reached", hint="Check the network.")


def unserved(*names: str) -> NoCompatibleFile:
    target = Target(Platform.parse("linux/amd64"), "3.13.5", (2, 41), False)
    missing = [MissingFile(name, "1", Mismatch.PYTHON, "only wheels for 3.12", (), "", "") for name in names]
    return NoCompatibleFile({file: [target] for file in missing}, [target])


def raised(project: Project, *errors: LockError) -> tuple[LockError, int]:
    """What comes of these errors, one for each Python that is tried, the last for the others too; and how many were tried."""
    tried: list[str] = []

    def attempt(it: Project) -> str:
        tried.append(it.python)
        raise errors[min(len(tried), len(errors)) - 1]

    with pytest.raises(LockError) as caught:
        try_pythons(project, lambda _: None, attempt)
    return caught.value, len(tried)


def test_raises_an_error_that_another_python_cannot_help_with(project: Project) -> None:
    assert raised(project, UNREACHABLE) == (UNREACHABLE, 1)


def test_goes_on_after_a_python_that_fails_for_another_reason(project: Project) -> None:
    first, other = failed(), LockError("a newer Python has no numpy<2")
    error, tried = raised(project, first, other)
    assert (error.summary, tried) == (first.summary, 1 + len(project.other_pythons))


def test_prefers_the_earlier_error_to_one_that_ends_the_search(project: Project) -> None:
    for first in (unserved("a"), failed()):
        error, tried = raised(project, first, UNREACHABLE)
        assert (error, tried) == (first, 2)


def test_raises_the_error_with_the_fewest_missing_files(project: Project) -> None:
    error, tried = raised(project, unserved("a", "b", "c"), unserved("a", "b"), failed())
    assert tried == 1 + len(project.other_pythons)
    assert isinstance(error, NoCompatibleFile) and [it.name for it in error.missing] == ["a", "b"]
    assert f"{project.python}, " in error.hint
    error, _ = raised(project, failed(), unserved("a"))
    assert "SafeConfigParser" in error.message


OTHER_PYTHON = """\
error: No solution found when resolving dependencies
  cause: Because the Python version 3.9 does not satisfy Python>=3.10 and dotenv==1.2 depends on Python>=3.10, we can \
conclude that dotenv==1.2 cannot be used.
"""


def test_a_conflict_of_requirements_says_more_than_a_python_that_is_excluded(project: Project) -> None:
    excluded = resolution_error(UvFailed(Finished(1, "", OTHER_PYTHON)).failure, "requirements.txt", {})
    conflict = LockError("these requirements conflict", hint="Tried successfully: drop ==2.2.")
    error, tried = raised(project, excluded, conflict)
    assert (error.message, tried) == (conflict.message, 1 + len(project.other_pythons))
    assert error.hint.startswith(f"{conflict.hint} Python {project.python}, ")
    error, _ = raised(project, excluded)
    assert error.summary == excluded.summary


def test_keeps_the_rest_of_the_hint(project: Project) -> None:
    hint, rest = "Choose another Python version (--python).", "Tried without success: a>=2."
    error, _ = raised(project, LockError("no", hint=f"{hint} {rest}", hint_without_python=rest))
    assert error.hint.endswith(f"(--as-of). {rest}") and "--python" not in error.hint


def test_a_python_that_cannot_be_fetched_is_no_way_out(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = unserved("old")
    [missing], [target] = error.missing, error.targets
    other = OtherPython("Python 3.8 (standalone build)", "--python 3.8", Target(target.platform, "3.8.20", (2, 41), False))
    informed = NoCompatibleFile(error.missing, [target], {missing: Alternatives(known=True, pythons=(other,))})
    monkeypatch.setattr(python_choice, "with_alternatives", lambda *_, **__: informed)
    asked: list[str] = []

    def attempt(project: Project, bases: Bases | None = None) -> str:
        asked.append(project.python)
        if project.python == "3.8":
            raise FetchError("Python 3.8 is not available", hint="Take another.")
        raise error

    with pytest.raises(NoCompatibleFile) as raised:
        with_suitable_python(project, Request(project.root, project.settings, Store(tmp_path / "store")), attempt)
    assert asked[-1] == "3.8" and raised.value is informed


def test_alternatives_are_no_python_that_the_code_does_not_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternatives, "_standalone_pythons", lambda *_: iter(()))
    files = {"requirements.txt": "flask\n", "main.py": "class A:\n    name: str | None = None\n"}
    project = read_project(written(tmp_path, files), Settings(), launch=False)
    target = Target(Platform.parse("linux/amd64"), "3.13.5", (2, 41))
    found = {python.target.minor for python in alternatives._other_pythons(project, [target])}
    assert "3.11" in found and "3.9" not in found
    assert "3.9" in {python.target.minor for python in alternatives._other_pythons(replace(project, oldest_python=0), [target])}


LOCK = """\
lock-version = "1.0"
requires-python = "==3.13.*"
created-by = "shipwheel"
packages = []

[tool.shipwheel]
format = 2
"""


def test_a_lock_that_an_earlier_command_read_is_not_parsed_again(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.inputs.lock_path.write_text(LOCK)
    for _ in range(2):
        request = Request(project.root, project.settings, Store(tmp_path / "store"))
        assert with_suitable_python(project, request, lambda tried, bases=None: tried.python) == project.python
        for module in (kept_selection, pylock):
            monkeypatch.setattr(module, "parsed", lambda _: pytest.fail("it was parsed again"))
