"""The suite: its groups for parallel runs, the comparison of the machine before and after, and worlds without a network."""

import gc
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support.collection import COLLECTED
from support.kept_tree import KeptTree, keep_tree
from support.machine import Machine, lasting_changes, look
from support.no_sync import ignore_syncs
from xdist.scheduler import LoadScopeScheduling

from shipwheel.testing.debian import FakeArchive
from shipwheel.testing.world import World, fill, make_archive, make_common

# No outcome may depend on how busy the machine is. Each run has other examples: many runs with some find what one with more would.
settings.register_profile("shipwheel", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shipwheel")

# Nothing that is collected becomes garbage. Looking for some takes a sixth of the time.
gc.disable()

# Applications, some with files that are named like tests.
collect_ignore = ["corpus"]

# nohup and shells without job control start us with signals ignored. All programs that tests start and interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _path_without_shims() -> str:
    """Return PATH with this interpreter first, and without the scripts that stand for others: each question of uv's starts forty processes.

    uv asks every interpreter on PATH what it is, and does not remember what a script has answered.
    """
    folders = [Path(folder) for folder in os.get_exec_path()]
    shims = [folder for folder in folders if (python := folder / "python3").is_file() and python.read_bytes()[:2] == b"#!"]
    return os.pathsep.join(map(str, (Path(sys.base_prefix) / "bin", *(folder for folder in folders if folder not in shims))))


os.environ["PATH"] = _path_without_shims()

_MACHINE = pytest.StashKey[Machine]()
_CHANGES = pytest.StashKey[list[str]]()


ENGINES = ("docker", "docker_containerd_store", "podman", "containerd", "bwrap")


_WITH_ENGINES = (
    "test_check.py",
    "test_containers.py",
    "test_dev.py",
    "test_examples.py",
    "test_init.py",
    "test_run.py",
    "test_services.py",
)
"""Files in tests/real whose tests share an engine with those of others."""

LONGEST = (
    "tests/pipeline/test_front_end_bundle_online.py",
    "tests/pipeline/test_steps_online.py",
    "tests/pipeline/test_compiled_bundle_online.py",
)
"""Files whose tests take one to four minutes, behind each other: a process that begins with one late is the last that ends."""

LONG = (
    "tests/base/test_base_image.py",
    "tests/base/test_standalone_base.py",
    "tests/cli/test_errors.py",
    "tests/pipeline/test_interrupted_build.py",
    "tests/pipeline/test_private_build.py",
    "tests/pipeline/test_publish.py",
    "tests/pipeline/test_real_registries.py",
    "tests/pipeline/test_rebase.py",
    "tests/runtime/test_observer.py",
    "tests/testing/test_forks.py",
    "tests/trial/test_check.py",
    "tests/wheels/test_bytecode.py",
    "tests/wheels/test_hostile_backends.py",
    "tests/wheels/test_wheel.py",
)
"""Files whose tests take or wait up to a minute in all."""


def group_of(test: str) -> str:
    """Return the name of the group of a test: its file, unless tests of several files share what takes long to make."""
    path, _, name = test.partition("::")
    folder, _, file = path.rpartition("/")
    if folder.endswith("real"):
        if file in ("test_examples_pushed.py", "test_small_tour.py", "test_tour.py"):
            return "chatchat"
        if file in ("test_base_images.py", "test_builds_on_bases.py", "test_rebase_in_registry.py"):
            return "bases"
        engine = re.split(r"[-\]]", name.partition("[")[2])[0]
        if engine in ENGINES and file in _WITH_ENGINES:
            return engine
    return path


def _is_real(item: pytest.Item) -> bool:
    """Return whether a test can use the engines of tests/real/conftest.py. They stay open until no such test is left."""
    return item.nodeid.startswith("tests/real/")


class _Scheduler(LoadScopeScheduling):
    """Gives each process of pytest-xdist one group of tests after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduler:
    # The marker xdist_group has no effect with pytest 9.2 and pytest-xdist 3.8.
    return _Scheduler(config, log)


def pytest_collection_finish() -> None:
    # The tests and what they import stay until the end.
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start with the groups that take longest: all processes are busy until the end only if what is left at the end is short.

    Beside the first engine, the fourth process has what needs no image of ours: it would make the same base and example at the same time.
    """
    config.stash[COLLECTED] = [item.nodeid for item in items]
    others = ("tests/real/test_go_registry.py", "tests/real/test_engines.py")
    first = ("chatchat", "bases", ENGINES[0], *others, *ENGINES[1:])

    def rank(item: pytest.Item) -> int:
        if _is_real(item):
            group = group_of(item.nodeid)
            return first.index(group) if group in first else len(first)
        path = item.nodeid.partition("::")[0]
        if path in LONGEST:
            return len(first) + 1
        is_long = any(map(item.get_closest_marker, ("engines", "online"))) or path in LONG
        return len(first) + (2 if is_long else 3)

    items.sort(key=rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Close the engines behind their last test: removing what they have stored would otherwise be left to the end of the run."""
    if nextitem and _is_real(item) and not _is_real(nextitem):
        return item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
    return None


def _compares(config: pytest.Config) -> bool:
    """Return whether this process starts the run (pytest-xdist's workers do not) of tests, and can see what engines leave."""
    return not hasattr(config, "workerinput") and not config.option.collectonly and os.geteuid() == 0


def _folder(config: pytest.Config) -> Path:
    """Return the directory of this run's temporary files."""
    return config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined, no-any-return]


def pytest_sessionstart(session: pytest.Session) -> None:
    if _compares(session.config):
        session.config.stash[_MACHINE] = look(_folder(session.config))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Compare the machine after every fixture and every worker has ended, and before the terminal's summary."""
    yield
    before = session.config.stash.get(_MACHINE, None)
    if before is not None:
        found = session.config.stash[_CHANGES] = lasting_changes(before, _folder(session.config))
        if found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if found := config.stash.get(_CHANGES, []):
        terminalreporter.section("the tests changed this machine", red=True)
        for line in found:
            terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def no_sync() -> Iterator[None]:
    """Do not wait for the disk: no store of a test need survive a power failure. The programs that it starts wait if this is not root."""
    ignore_syncs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> FakeArchive:
    """A signed archive with the packages of a base. Tests must not change it; they can make the mirror that serves it fail."""
    return make_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory, archive: FakeArchive) -> World:
    """What worlds with this archive have in common. Tests must not change it."""
    return make_common(tmp_path_factory.mktemp("common"), archive)


@pytest.fixture(scope="session")
def base_store(common: World) -> KeptTree:
    """A store with the base."""
    return keep_tree(common.cache)


@pytest.fixture
def empty_world(tmp_path: Path, archive: FakeArchive, common: World) -> Iterator[World]:
    """A world for one test, with an empty store."""
    with World(tmp_path) as made:
        yield fill(made, archive, common)


@pytest.fixture
def world(empty_world: World, base_store: KeptTree) -> World:
    """A world for one test, with the base in its store: making it takes half of the time of a first build."""
    base_store.write(empty_world.cache)
    return empty_world


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory, archive: FakeArchive, common: World) -> Iterator[World]:
    """A world for tests that change nothing in it, each with a store of its own."""
    with World(tmp_path_factory.mktemp("world")) as made:
        yield fill(made, archive, common)
