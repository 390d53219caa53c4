"""What `startup --record` writes into a project's lock."""

import io
from pathlib import Path

import pytest

from shipwheel.cli.loading import LoadedImage
from shipwheel.cli.startup import command, record_imports
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import TrialError, UsageError
from shipwheel.locking.pylock import Lock, read_lock
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.platform import Platform
from shipwheel.startup.report import StartupReport, startup_of
from shipwheel.trial.finding import Verdict
from shipwheel.trial.import_record import ImportingProcess, ImportRecord, InstalledPackage
from shipwheel.trial.observation import Observation
from shipwheel.trial.trial import Trial

NAMES = ("flask", "idna", "types-six")


def loaded(folder: Path, **tool: object) -> LoadedImage:
    data = {"lock-version": "1.0", "packages": [{"name": name} for name in NAMES], "tool": {"shipwheel": {"inputs": "sha256:1", **tool}}}
    return LoadedImage("shop", ExecutionConfig(), Platform.parse("linux/amd64"), "shop", lock=Lock(folder / "pylock.toml", data))


def report_of(*used: InstalledPackage, verdict: Verdict = Verdict.SERVES, measured: bool = True) -> StartupReport:
    processes = (ImportingProcess(1, began=10, worked=10_000),) if measured else ()
    return startup_of(Trial(verdict, (), Observation(ready=0.5, imports=ImportRecord(processes, used))), ExecutionConfig())


def recorded(folder: Path) -> dict[str, tuple[str, ...]] | None:
    lock = read_lock(folder / "pylock.toml")
    return lock.imports if lock is not None else None


FLASK = InstalledPackage("Flask", "1", 9, 9, 9, 9, ("flask/app.py", "flask/__init__.py"))


def test_writes_the_modules_of_every_package_of_the_lock(tmp_path: Path) -> None:
    other = InstalledPackage("not_locked", "1", 9, 9, 9, 9, ("other.py",))
    record_imports(loaded(tmp_path), report_of(FLASK, other), Terminal(io.StringIO()), adds=False)
    assert recorded(tmp_path) == {"flask": ("flask", "flask.app"), "idna": (), "types-six": ()}


@pytest.mark.parametrize(("adds", "expected"), [(False, ("flask", "flask.app")), (True, ("flask", "flask.app", "flask.old"))])
def test_another_process_adds_to_the_list(tmp_path: Path, adds: bool, expected: tuple[str, ...]) -> None:
    image = loaded(tmp_path, imports={"flask": ["flask.old"], "idna": ["idna"]})
    record_imports(image, report_of(FLASK), Terminal(io.StringIO()), adds=adds)
    assert (recorded(tmp_path) or {})["flask"] == expected


@pytest.mark.parametrize("report", [report_of(FLASK, verdict=Verdict.FAILS), report_of(FLASK, measured=False)])
def test_records_nothing_of_a_start_that_failed_or_was_not_measured(tmp_path: Path, report: StartupReport) -> None:
    with pytest.raises(TrialError, match="nothing is recorded"):
        record_imports(loaded(tmp_path), report, Terminal(io.StringIO()), adds=False)
    assert recorded(tmp_path) is None


@pytest.mark.parametrize("flag", ["--locked", "--frozen"])
def test_a_lock_that_must_not_change_is_not_written(flag: str) -> None:
    with pytest.raises(UsageError, match="--record changes the lock"):
        command.main(["--record", flag], standalone_mode=False)
