"""The suite itself: every test file is collected, every marker belongs to a tier, every example and sample application is built."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.collection import COLLECTED
from support.command import ROOT
from support.machine import Machine, changes, look
from support.process import ended

TESTS = ROOT / "tests"


def git(*arguments: str) -> set[str]:
    """Return the paths that git prints."""
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def collected(pytestconfig: pytest.Config) -> list[str]:
    """The IDs of all tests, as a run of the whole suite collects them."""
    if {Path(argument).resolve() for argument in pytestconfig.args} == {TESTS}:
        return pytestconfig.stash[COLLECTED]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_every_test_file_is_collected(collected: list[str]) -> None:
    # pytest skips directories with names such as build or dist without a word.
    tracked = git("ls-files", "--cached", "--others", "--exclude-standard", "tests/**/test_*.py", "tests/test_*.py", ":!tests/corpus")
    assert {test.partition("::")[0] for test in collected} == tracked
    assert len(tracked) > 100


def test_every_test_function_is_collected(collected: list[str]) -> None:
    """A second function of the same name, or one below `if`, would be lost."""
    names = {re.sub(r"\[.*", "", test, flags=re.DOTALL).replace("::", "/").rpartition("/")[2] for test in collected}
    for path in sorted(TESTS.rglob("test_*.py")):
        defined = re.findall(r"^ *def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(defined) == len(set(defined)), f"{path} defines a test twice"
        assert set(defined) <= names, path


def test_every_marker_belongs_to_a_tier(pytestconfig: pytest.Config) -> None:
    ours = {line.partition(":")[0] for line in pytestconfig.getini("markers") if re.match(r"(online|engines|unit)\b", line)}
    used = {
        mark
        for path in TESTS.rglob("*.py")
        for mark in re.findall(r"pytest\.mark\.(\w+)", path.read_text(encoding="utf-8"))
        if mark not in ("parametrize", "skipif", "xfail", "usefixtures", "filterwarnings")
    }
    assert used <= ours == {"online", "engines"}
    tiers = re.search(r"for tier in (.*?);", (ROOT / "scripts" / "test").read_text(encoding="utf-8"))
    assert tiers is not None
    assert set(tiers[1].split()) == {"unit", *ours}


def test_no_test_is_skipped_without_a_condition() -> None:
    for path in sorted(TESTS.rglob("*.py")):
        if path != Path(__file__):
            assert not re.search(r"mark\.skip\b|mark\.skip\(", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("folder", ["examples", "tests/apps"])
def test_every_sample_is_built_by_a_test(folder: str) -> None:
    built = "".join(path.read_text(encoding="utf-8") for path in sorted((TESTS / "real").glob("*.py")))
    samples = {path.split("/")[folder.count("/") + 1] for path in git("ls-files", folder)}
    assert samples
    assert {name for name in samples if f'"{name}"' not in built} == set()


def test_only_python_files_with_a_test_are_named_like_one() -> None:
    for path in sorted(set(TESTS.rglob("*_test.py")) - set((TESTS / "corpus").rglob("*_test.py"))):
        raise AssertionError(f"pytest does not collect {path}: call it test_{path.stem.removesuffix('_test')}.py")


@pytest.mark.engines
def test_no_program_waits_for_the_disk() -> None:
    """No file is open under this number: the system call would fail."""
    subprocess.run([sys.executable, "-c", "import os; os.fsync(1000)"], check=True)


def test_a_leftover_is_named(tmp_path: Path) -> None:
    def processes(before: Machine) -> list[str]:
        """Return the changes of processes. Others may have changed the rest of the machine meanwhile."""
        return [line for line in changes(before, look(tmp_path)) if line.startswith("processes: ")]

    before = look(tmp_path)
    argv = [sys.executable, "-c", "print(flush=True); input()", str(tmp_path)]
    with ended(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert [line.split(" ")[1] for line in processes(before)] == [str(process.pid)]
    assert processes(before) == []
