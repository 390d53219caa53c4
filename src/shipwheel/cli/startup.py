"""`shipwheel startup`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.check import conditions_from
from shipwheel.cli.command import Command, option
from shipwheel.cli.options import BUILD_FLAGS, some_options
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.trial_options import trial_options
from shipwheel.errors import UsageError

if TYPE_CHECKING:
    from shipwheel.cli.loading import LoadedImage
    from shipwheel.startup.report import StartupReport

__all__ = ["command", "record_imports"]


@click.command(
    "startup",
    cls=Command,
    help="Start a project (built first), an image layout, an archive or an image as `check` does, and show where the time goes.",
    examples=(
        "shipwheel startup .",
        "shipwheel startup . -o startup.html",
        "shipwheel startup registry.example/team/hello:1 --env DATABASE_URL",
    ),
)
@click.argument("subject", metavar="[PATH|LAYOUT|ARCHIVE|IMAGE]", default=".")
@option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a flame chart as one HTML page.")
@option("--top", type=click.IntRange(1, 1000), default=15, metavar="N", help="Rows of each table [15].")
@option("--record", is_flag=True, help='Write the imported modules into the lock, for bytecode = "used".')
@option("--process", metavar="NAME", help="Process to start, such as worker [web]; with it, --record adds to the lock.", group="Trial")
@trial_options
@some_options(*BUILD_FLAGS)
def command(terminal: Terminal, subject: str, **flags: Any) -> int:
    """Print where the time went; return 0 if the image serves, 12 if it does not."""
    from shipwheel.cli.loading import load_subject
    from shipwheel.engine.find import find
    from shipwheel.errors import TrialError
    from shipwheel.oci.processes import process_command
    from shipwheel.startup.report import startup_of
    from shipwheel.startup.text import to_json, to_lines
    from shipwheel.trial.observe import Subject, split_init, trial_name
    from shipwheel.trial.source_facts import SourceFacts
    from shipwheel.trial.trial import try_image

    build_flags = {name: flags.pop(name) for name in BUILD_FLAGS}
    if flags["record"] and (build_flags["locked"] or build_flags["frozen"]):
        raise UsageError("--record changes the lock, which --locked and --frozen forbid", hint="Leave out one of the two.")
    engine = find(flags["engine"], terminal.report, bwrap=True)
    loaded = load_subject(subject, engine, flags["platform"], build_flags, terminal.report, trial_name)
    if flags["record"] and loaded.lock is None:
        raise UsageError(f"{subject} has no lock to write to", hint="--record needs a project's directory.")
    process = process_command(loaded.config, flags["process"], subject) if flags["process"] else None
    conditions = msgspec.structs.replace(
        conditions_from(flags, loaded.source or SourceFacts()), times_imports=True, command=split_init(process)[1] if process else ()
    )
    image = Subject(loaded.name, loaded.config, loaded.platform, loaded.project)
    trial = try_image(engine, image, conditions, terminal.report, is_brief=True)
    report = startup_of(trial, loaded.config, emulated=not engine.host().matches(loaded.platform))
    if flags["output"] is not None:
        _write_page(flags["output"], loaded.project, report)
        terminal.note(f"wrote {flags['output']}")
    if flags["record"]:
        record_imports(loaded, report, terminal, adds=process is not None)
    terminal.result(lambda: to_json(report), to_lines(report, flags["top"]))
    return 0 if report.serves else TrialError.exit_code


def _write_page(path: Path, project: str, report: "StartupReport") -> None:
    from shipwheel.startup.page import to_page

    path.write_text(to_page(report, project), encoding="utf-8")


def record_imports(loaded: "LoadedImage", report: "StartupReport", terminal: Terminal, *, adds: bool) -> None:
    """Write the imported modules into the project's lock. With `adds`, those that it has stay."""
    from shipwheel.errors import TrialError

    if not report.serves or not report.is_measured:
        raise TrialError(f"nothing is recorded, since {loaded.project} did not start", hint="See why with: shipwheel check.")
    lock = loaded.lock
    assert lock is not None  # noqa: S101 - checked before the start
    before = (lock.imports or {}) if adds else {}
    names = {name: {*before.get(name, ()), *report.used.get(name, ())} for name in lock.names}
    lock.with_imports(names).write()
    terminal.note(f"wrote {sum(map(len, names.values()))} modules of {sum(map(bool, names.values()))} packages into {lock.path.name}")
