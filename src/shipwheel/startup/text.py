"""The report of a start for people, and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from shipwheel.startup.report import GroupTime, ModuleTime, NeverImported, StartupReport

__all__ = ["notes_of", "parts_of", "to_json", "to_lines"]

_MIN_GROUP_S = 0.0005
_MIN_UNUSED_BYTES = 100_000


def to_json(report: StartupReport) -> dict[str, Any]:
    """Return the report as the document that `startup --json` prints, without the single imports."""
    document: dict[str, Any] = msgspec.to_builtins(report)
    del document["lanes"]
    return document


def to_lines(report: StartupReport, count: int) -> Iterator[str]:
    """Yield the lines of a report, with at most `count` rows in each table."""
    yield report.headline
    if not report.is_measured:
        yield "no times: no Python of the image wrote any"
        yield from notes_of(report)
        return
    yield from _times(report)
    yield from _modules("slowest modules, by their own code", report.modules[:count])
    slow = sorted(report.modules, key=lambda module: (-module.total, module.name))
    yield from _modules("slowest modules, with all that they import", slow[:count])
    yield from _unused("packages of which nothing is imported", report.unused_packages, count)
    yield from _unused("modules that are not imported, of other packages", report.unused_modules, count)
    yield from notes_of(report)


def notes_of(report: StartupReport) -> Iterator[str]:
    """Yield what to know when reading the report, a sentence each."""
    if report.emulated:
        yield "All times are those of an emulator: compare them with each other, not with those of a real processor."
    if report.later >= _MIN_GROUP_S:
        yield f"Imports after that took another {report.later:.3f} s."
    for command in report.unmeasured:
        yield f"Not measured, because it was started without its environment, or ignores it (-E, -I): {command}"
    if report.cut:
        yield "There were more processes or imports than are kept: the last ones are missing."
    if report.unused_packages or report.unused_modules:
        yield "What a start does not import may be needed later: by a request, by a job, as data."


def parts_of(report: StartupReport) -> tuple[tuple[str, float], ...]:
    """Return the time until the program is ready, and its parts, with their names."""
    return (
        ("until it is ready", report.ready),
        ("interpreter", report.interpreter),
        ("imports", report.imports),
        ("the rest: its own code, waiting, the first answer", report.rest),
    )


def _times(report: StartupReport) -> Iterator[str]:
    share = report.ready or 1.0
    for name, seconds in parts_of(report):
        yield f"  {seconds:8.3f} s  {100 * seconds / share:3.0f} %  {name}"
    yield "  imports by package"
    for group in report.groups:
        if group.seconds >= _MIN_GROUP_S:
            yield f"  {group.seconds:8.3f} s  {100 * group.seconds / share:3.0f} %  {_described(group)}"


def _described(group: GroupTime) -> str:
    name = f"{group.name} {group.version}".strip()
    size = f", {_megabytes(group.size)}" if group.size else ""
    return f"{name} ({group.modules} module{'s' if group.modules != 1 else ''}{size})"


def _modules(heading: str, modules: Sequence[ModuleTime]) -> Iterator[str]:
    yield f"  {heading}"
    for module in modules:
        several = f", {module.threads} times" if module.threads > 1 else ""
        yield f"  {module.own:8.3f} s  {module.total:8.3f} s  {module.name} ({module.group}{several})"


def _unused(heading: str, items: Sequence[NeverImported], count: int) -> Iterator[str]:
    large = [item for item in items if item.size >= _MIN_UNUSED_BYTES]
    if not large:
        return
    yield f"  {heading}: {_megabytes(sum(item.size for item in items))}"
    for item in large[:count]:
        modules = f"{item.modules} module{'s' if item.modules != 1 else ''}"
        yield f"  {_megabytes(item.size):>10}  {item.package}{f': {item.path}' if item.path else ''} ({modules})"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
