"""Preferences for locked versions, conflicts, and reports about a package: the real uv with a package index on the loopback interface."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support.lock_requests import lock_path, lock_request, read_again
from support.sdist import packed
from support.uv_cache import new_uv_cache

from shipwheel.errors import LockError, UsageError
from shipwheel.events import Event, StageStarted, Warned
from shipwheel.locking.diagnose.why import NewerVersions, find_newer_versions, report_package
from shipwheel.locking.inputs import LockRequest, changed_parts, input_parts
from shipwheel.locking.make import lock_for, make_lock, renewed
from shipwheel.locking.preferences import Upgrade
from shipwheel.locking.pylock import Lock, read_lock
from shipwheel.locking.selection import select_all
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.project.git_history import last_commit, old_last_commit
from shipwheel.project.pins import Pins
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
TARGETS = [Target(Platform("linux", architecture), f"{MINOR}.2", (2, 36)) for architecture in ("amd64", "arm64")]


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with PackageIndex() as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.simple)
        monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        add(served, "leaf", "1.0")
        add(served, "small", "1.0", "leaf>=1,<2")
        yield served


def add(index: PackageIndex, name: str, version: str, *requires: str) -> None:
    wheel = SmallWheel(name, version, files={f"{name}.py": ""}, requires=requires)
    index.add(wheel.filename, wheel.content())


def listed(root: Path, text: str) -> LockRequest:
    (root / "requirements.txt").write_text(text)
    return lock_request(root, MINOR, (root / "requirements.txt",))


def pins(lock: Lock) -> dict[str, str]:
    return {package.name: str(package.version or "") for package in lock.packages}


def again(request: LockRequest, upgrade: Upgrade) -> Lock:
    return renewed(request, read_lock(lock_path(request.root)), upgrade=upgrade)


def test_keeps_locked_versions_until_they_are_upgraded(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pins(lock_for(listed(tmp_path, "small\n"))) == {"small": "1.0", "leaf": "1.0"}
    add(index, "small", "1.5", "leaf>=1,<2")
    add(index, "leaf", "1.7")
    add(index, "tool", "3.0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "fresh"))
    request = listed(tmp_path, "small\ntool\n")
    assert pins(lock_for(request)) == {"small": "1.0", "leaf": "1.0", "tool": "3.0"}
    assert pins(again(request, Upgrade(names=frozenset({"Leaf"})))) == {"small": "1.0", "leaf": "1.7", "tool": "3.0"}
    assert pins(again(request, Upgrade(everything=True))) == {"small": "1.5", "leaf": "1.7", "tool": "3.0"}
    assert pins(lock_for(listed(tmp_path, "small>1\n"))) == {"small": "1.5", "leaf": "1.0"}, "only the version that must move moves"


def test_drops_the_versions_of_a_day_that_is_no_longer_set(index: PackageIndex, tmp_path: Path) -> None:
    wheel = SmallWheel("leaf", "1.7", files={"leaf.py": ""})
    index.add(wheel.filename, wheel.content(), uploaded="2024-06-01T00:00:00Z")
    now = listed(tmp_path, "small\n")
    assert pins(lock_for(replace(now, as_of=date(2024, 3, 1)))) == {"small": "1.0", "leaf": "1.0"}
    assert pins(lock_for(now)) == {"small": "1.0", "leaf": "1.7"}


def _broken_sdist(name: str, version: str) -> bytes:
    """Return a source distribution whose build fails."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": "raise SystemExit('too old')",
        "PKG-INFO": f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n",
    }
    return packed(name, version, files)


def test_gives_up_versions_that_cannot_be_had(index: PackageIndex, tmp_path: Path) -> None:
    index.add("old-1.0.tar.gz", _broken_sdist("old", "1.0"))
    index.add("tool-1.0-cp36-cp36m-manylinux1_x86_64.whl", SmallWheel("tool", "1.0", files={"tool.py": ""}).content())
    for name, version in (("old", "2.0"), ("tool", "2.0"), ("leaf", "1.7")):
        add(index, name, version)
    request = listed(tmp_path, "leaf\nold\ntool\n")
    found = Pins((("leaf", "1.0"), ("old", "1.0"), ("tool", "1.0")), "Pipfile.lock")
    events: list[Event] = []
    lock = make_lock(replace(request, inputs=msgspec.structs.replace(request.inputs, pins=found)), events.append)
    assert pins(lock) == {"leaf": "1.0", "old": "2.0", "tool": "2.0"}
    assert [event.message for event in events if isinstance(event, Warned)] == [
        f"versions of Pipfile.lock cannot be built for Python {MINOR}: old 1.0 (2.0 is locked)",
        f"versions of Pipfile.lock do not satisfy the requirements, or have no file for Python {MINOR}: tool 1.0 (2.0 is locked)",
    ]


def test_a_required_version_that_cannot_be_built_is_not_given_up(index: PackageIndex, tmp_path: Path) -> None:
    index.add("old-1.0.tar.gz", _broken_sdist("old", "1.0"))
    request = listed(tmp_path, "old<2\n")
    with pytest.raises(LockError, match="too old"):
        make_lock(replace(request, inputs=msgspec.structs.replace(request.inputs, pins=Pins((("old", "1.0"),), "Pipfile.lock"))))


def test_returns_a_current_lock_unchanged(index: PackageIndex, tmp_path: Path) -> None:
    request = listed(tmp_path, "small\n")
    lock_for(request)
    found = read_lock(lock_path(tmp_path))
    assert renewed(request, found) is found


def test_a_lock_within_the_bounds_of_what_was_compiled_stays(index: PackageIndex, tmp_path: Path) -> None:
    for version in ("1.26", "2.0"):
        add(index, "figures", version)
    lock = renewed(listed(tmp_path, "figures\n"), None)
    assert (pins(lock), lock.exceeded(("figures<2",)), lock.exceeded(("figures<3", "other<1"))) == (
        {"figures": "2.0"},
        ("figures 2.0",),
        (),
    )
    within = replace(listed(tmp_path, "figures\n"), bounds=("figures<2",))
    older = renewed(within, lock)
    assert pins(older) == {"figures": "1.26"}
    assert renewed(within, older) is older
    assert renewed(listed(tmp_path, "figures\n"), older) is older, "the bounds are no inputs"


def test_build_requirements_stay_until_an_upgrade_or_another_python(index: PackageIndex, tmp_path: Path) -> None:
    wheels = {"amd64": {"small": (f"cython==3.0.11 --hash=sha256:{'ab' * 32}",)}}
    made = make_lock(listed(tmp_path, "small\n")).with_compiled({"small": ()}).with_compilers({"amd64": ("gcc-14 14.2.0-19",)}, (), wheels)
    changed = listed(tmp_path, "small>=1\n")
    assert renewed(changed, made).build_wheels == wheels
    assert renewed(changed, made, upgrade=Upgrade(everything=True)).build_wheels == {}
    assert renewed(changed, replace(made, data=_of_python(made, "3.7"))).build_wheels == {}


def _of_python(lock: Lock, minor: str) -> dict[str, Any]:
    tool = {**lock.data["tool"]["shipwheel"], "python": minor}
    return {**lock.data, "tool": {"shipwheel": tool}}


def test_names_the_inputs_that_changed(tmp_path: Path) -> None:
    before = input_parts(listed(tmp_path, "small\n"))
    assert before == {"Python": MINOR, "requirements.txt": before["requirements.txt"]}
    (tmp_path / "requirements.txt").write_text("small>1\n")
    changed = lock_request(tmp_path, "3.7", (tmp_path / "requirements.txt",), extras=("x",))
    assert changed_parts(before, input_parts(changed)) == [
        f"Python was {MINOR} and is 3.7",
        "requirements.txt changed",
        "extras was not set and is x",
    ]
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\nversion = "1"\ndependencies = ["small"]\n')
    mine = lock_request(tmp_path, MINOR)
    one = input_parts(mine)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "a"\nversion = "2"\ndependencies = ["small>1"]\n[dependency-groups]\nx = []\n'
    )
    assert changed_parts(one, input_parts(read_again(mine))) == [
        "pyproject.toml: dependencies changed",
        "pyproject.toml: dependency-groups is new",
    ]
    assert changed_parts({}, one) == [], "a lock without recorded inputs"


def test_tells_a_conflict_in_the_users_lines_with_suggestions_that_work(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "leaf", "2.0")
    add(index, "small", "2.0", "leaf>=2")
    events: list[Event] = []
    with pytest.raises(LockError) as raised:
        make_lock(listed(tmp_path, "# our requirements\nsmall==1.0\n\nleaf>=2\n"), events.append)
    assert raised.value.message.splitlines() == [
        "requirements.txt cannot be locked: these requirements conflict:",
        "  requirements.txt, line 2: small==1.0",
        "    small <=1.0 requires leaf>=1,<2",
        "  requirements.txt, line 4: leaf>=2",
    ]
    assert raised.value.summary == (
        "requirements.txt cannot be locked: these requirements conflict:"
        " requirements.txt, line 2: small==1.0; small <=1.0 requires leaf>=1,<2; requirements.txt, line 4: leaf>=2"
    )
    assert raised.value.hint == ("Tried successfully: take small >=1,<3 (then 2.0); or drop >=2 from leaf (then 1.0).")
    assert raised.value.replacements == {"small": "small==2.0"}
    assert [event for event in events if isinstance(event, StageStarted) and event.stage == "suggestions"]


def test_finds_the_python_that_a_frozen_list_was_made_with(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "leaf", "2.0")
    add(index, "old", "1.0", "leaf>=2; python_version >= '3.10'", "leaf>=1; python_version < '3.10'")
    frozen = tmp_path / "requirements.txt"
    frozen.write_text("old==1.0\nleaf==1.0\n")
    with pytest.raises(LockError) as raised:
        make_lock(lock_request(tmp_path, "3.13", (frozen,)))
    assert raised.value.hint.startswith("Tried successfully: another Python: --python 3.9; or ")
    assert raised.value.another_python_may_help


def test_names_the_lines_of_a_conflict_in_pyproject(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "leaf", "2.0")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\ndependencies = [\n  "small==1.0",\n  "leaf>=2",\n]\n'
    )
    with pytest.raises(LockError) as raised:
        make_lock(lock_request(tmp_path, MINOR))
    assert "pyproject.toml, line 5: small==1.0" in raised.value.message
    assert "pyproject.toml, line 6: leaf>=2" in raised.value.message
    assert "drop >=2 from leaf (then 1.0)" in raised.value.hint
    assert "from small" not in raised.value.hint, "there is no other version of small"


def test_suggests_the_pins_that_have_to_move_if_no_single_one_helps(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "leaf", "2.0")
    add(index, "small", "2.0", "leaf>=2")
    add(index, "tool", "1.0")
    add(index, "tool", "2.0")
    with pytest.raises(LockError) as raised:
        make_lock(listed(tmp_path, "small==1.5\nleaf==1.0\ntool==1.0\n"))
    assert raised.value.hint == "Tried successfully: take small >=1,<2 (then 1.0)."
    with pytest.raises(LockError) as raised:
        make_lock(listed(tmp_path, "small==1.5\nleaf==1.5\ntool==1.0\n"))
    assert raised.value.hint.endswith("Tried successfully: take small 2.0, leaf 2.0.")
    assert raised.value.replacements == {"small": "small==2.0", "leaf": "leaf==2.0"}
    assert raised.value.summary.startswith("requirements.txt cannot be locked: no such version of ")


def test_pins_that_no_error_names_stay(index: PackageIndex, tmp_path: Path) -> None:
    """Newer versions of other packages, which the pins hold back, would move them as well."""
    add(index, "leaf", "2.0")
    add(index, "small", "2.0", "leaf>=2")
    add(index, "tool", "1.0")
    add(index, "tool", "2.0")
    add(index, "above", "1.0", "tool")
    add(index, "above", "2.0", "tool>=2")
    with pytest.raises(LockError) as raised:
        make_lock(listed(tmp_path, "above\nsmall==1.5\nleaf==1.5\ntool==1.0\n"))
    assert raised.value.replacements == {"small": "small==2.0", "leaf": "leaf==2.0"}


def test_suggests_a_version_near_a_pin_that_the_index_has_not(index: PackageIndex, tmp_path: Path) -> None:
    add(index, "near", "0.24.1")
    add(index, "near", "1.5")
    add(index, "near", "2.3")
    for pin, version in {"0.24.0": "0.24.1", "0.23.0": "1.5", "1.2": "1.5", "3.1": "2.3"}.items():
        with pytest.raises(LockError) as raised:
            make_lock(listed(tmp_path, f"near=={pin}\n"))
        assert raised.value.replacements == {"near": f"near=={version}"}


def test_suggests_nothing_that_does_not_work(index: PackageIndex, tmp_path: Path) -> None:
    with pytest.raises(LockError) as raised:
        make_lock(listed(tmp_path, "small==1.0\nleaf>=2\nnothing-of-that-name\n"))
    assert "Tried successfully" not in raised.value.hint


def newer_versions(request: LockRequest, name: str) -> NewerVersions:
    lock = read_lock(lock_path(request.root))
    assert lock is not None
    return find_newer_versions(request, lock, name, lambda _: None)


def test_reports_the_obstacles_to_a_newer_version(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = listed(tmp_path, "small<2\n")
    lock = lock_for(request)
    add(index, "leaf", "1.9")
    add(index, "leaf", "2.0")
    add(index, "small", "2.0", "leaf>=2")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "fresh"))
    assert newer_versions(request, "leaf") == NewerVersions(newest="2.0", possible="1.9", command="shipwheel lock --upgrade-package leaf")
    assert newer_versions(request, "small") == NewerVersions(
        newest="2.0", obstacles=("requirements.txt, line 1: small<2",), command="shipwheel lock --upgrade-package small"
    )
    found = report_package(lock, "leaf", select_all(lock, TARGETS), NewerVersions())
    assert found.versions == ("1.0",)
    for each in found.platforms:
        assert (each.version, each.file) == ("1.0", "leaf-1.0-py3-none-any.whl")
        assert each.asked_by == ("small 1.0",)
        assert each.chain == "requirements.txt, line 1 → small 1.0 → leaf 1.0"
    lock_for(listed(tmp_path, "small<2\nleaf>1.5\n"))
    obstacles = newer_versions(listed(tmp_path, "small<2\nleaf>1.5\n"), "leaf").obstacles
    assert obstacles[0] == "requirements.txt, line 1: small<2"
    assert obstacles[1].startswith("  small <=1.0 requires leaf")


def test_reports_that_a_version_is_the_newest(index: PackageIndex, tmp_path: Path) -> None:
    request = listed(tmp_path, "small\n")
    lock = lock_for(request)
    assert newer_versions(request, "small").note == f"it is the newest version for Python {MINOR}"
    with pytest.raises(UsageError, match="samll is not in") as raised:
        report_package(lock, "samll", select_all(lock, TARGETS), NewerVersions())
    assert "small" in raised.value.hint


POETRY = '[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\nsmall = {extras = ["more"], version = "*"}\nleaf = "<1.5"\n'
POETRY += 'winonly = {version = "*", markers = "sys_platform == \'win32\'"}\n'


def test_reports_the_version_in_the_lock_of_another_tool(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what requires it, also through an extra, the obstacles, and the command of that tool."""
    wheel = SmallWheel("small", "1.1", files={"small.py": ""}, requires=("leaf>=1,<2", "side; extra == 'more'"))
    index.add(wheel.filename, wheel.content())
    for version in ("1.0", "1.4", "1.6"):
        add(index, "leaf", version)
    add(index, "side", "1.0")
    (tmp_path / "pyproject.toml").write_text(POETRY)
    entry = '[[package]]\nname = "{}"\nversion = "{}"\ngroups = ["main"]\nfiles = []\n{}\n'
    extras = '[package.dependencies]\nleaf = ">=1,<2"\nside = {version = "*", optional = true}\n[package.extras]\nmore = ["side"]\n'
    windows = "markers = \"sys_platform == 'win32'\""
    packages = [("leaf", "1.0", ""), ("side", "1.0", ""), ("winonly", "1.0", windows), ("small", "1.1", extras)]
    (tmp_path / "poetry.lock").write_text("".join(entry.format(*package) for package in packages))
    request = lock_request(tmp_path, MINOR)
    lock = lock_for(request)
    assert pins(lock) == {"small": "1.1", "leaf": "1.0", "side": "1.0"}
    found = report_package(lock, "side", select_all(lock, TARGETS), NewerVersions())
    assert {each.chain for each in found.platforms} == {"pyproject.toml → small 1.1 → side 1.0"}
    assert newer_versions(request, "leaf") == NewerVersions(newest="1.6", possible="1.4", held="poetry.lock", command="poetry update leaf")
    (tmp_path / "pyproject.toml").write_text(POETRY.replace("<1.5", "<1.3"))
    assert newer_versions(read_again(request), "leaf").obstacles == ("pyproject.toml, line 5: leaf<1.3",)
    with pytest.raises(UsageError) as raised:
        report_package(lock, "winonly", select_all(lock, TARGETS), NewerVersions(), request.inputs.texts["poetry.lock"])
    assert "poetry.lock has it, but not for Linux" in raised.value.hint


def git(root: Path, *words: str, day: str = "2020-05-17T12:00:00Z") -> None:
    env = {"GIT_AUTHOR_DATE": day, "GIT_COMMITTER_DATE": day, "HOME": str(root), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], cwd=root, env=env, check=True, capture_output=True
    )


def test_warns_about_a_project_without_recent_commits(index: PackageIndex, tmp_path: Path) -> None:
    request = listed(tmp_path, "small\n")
    assert last_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert last_commit(tmp_path) is None
    git(tmp_path, "add", "requirements.txt")
    git(tmp_path, "commit", "-qm", "x")
    assert last_commit(tmp_path) == date(2020, 5, 17)
    assert old_last_commit(tmp_path, date(2020, 8, 1)) is None
    events: list[Event] = []
    make_lock(request, events.append)
    (warned,) = [event for event in events if isinstance(event, Warned)]
    assert "--as-of 2020-05-17" in warned.hint
    events.clear()
    make_lock(listed(tmp_path, "small==1.0\n"), events.append)
    assert not [event for event in events if isinstance(event, Warned)], "pinned requirements do not age"


def test_a_commit_of_before_git_tells_no_day(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "app.py")
    git(tmp_path, "commit", "-qm", "x", day="1970-01-02T12:00:00Z")
    assert last_commit(tmp_path) is None


def test_whoever_edits_old_requirements_gets_versions_of_today(index: PackageIndex, tmp_path: Path) -> None:
    for version, day in (("1.0", "2020-01-01"), ("2.0", "2024-01-01")):
        wheel = SmallWheel("dated", version, files={"dated.py": ""})
        index.add(wheel.filename, wheel.content(), uploaded=f"{day}T00:00:00Z")
    request = listed(tmp_path, "dated\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "requirements.txt")
    git(tmp_path, "commit", "-qm", "x")
    (tmp_path / "app.py").touch()
    assert pins(make_lock(request))["dated"] == "1.0"
    assert pins(make_lock(listed(tmp_path, "dated>=1\n")))["dated"] == "2.0"


def test_warns_of_the_age_where_the_index_tells_no_days(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/whl/cpu/")
    request = listed(tmp_path, "small\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "requirements.txt")
    git(tmp_path, "commit", "-qm", "x")
    events: list[Event] = []
    make_lock(request, events.append)
    [message] = [event.message for event in events if isinstance(event, Warned)]
    assert "the last commit is of 2020-05-17" in message
