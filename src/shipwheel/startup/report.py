"""The times of a start, and the parts of the image that it does not need."""

from collections.abc import Iterator

import msgspec

from shipwheel.container.venv import module_of
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.startup.spans import INTERPRETER, Lane, Span, lanes_of
from shipwheel.startup.wall_time import own_times
from shipwheel.trial.import_record import ImportRecord, UnusedModules
from shipwheel.trial.trial import Trial
from shipwheel.versions import normalized

__all__ = ["GroupTime", "ModuleTime", "NeverImported", "StartupReport", "startup_of"]

_MICROSECONDS = 1_000_000


class GroupTime(msgspec.Struct, frozen=True):
    """The seconds until the program was ready that the modules of a Python package took, or of another group, and their number."""

    name: str
    seconds: float
    modules: int = 0
    version: str = ""
    size: int = 0
    """Bytes of the package's files."""


class ModuleTime(msgspec.Struct, frozen=True):
    """The seconds of a module's import: of its `own` code, and with all that it imported (`total`); the longest of several threads."""

    name: str
    group: str
    own: float
    total: float
    threads: int = 1
    """The number of threads, mostly each of a process of its own, that imported it."""


class NeverImported(msgspec.Struct, frozen=True):
    """A Python package, or a directory or module of one, of which a start imports nothing. `modules` is a number, `size` in bytes."""

    package: str
    path: str
    modules: int
    size: int


class StartupReport(msgspec.Struct, frozen=True):
    """One start. `ready` are the seconds until the first good answer, until the end of a program that ends, else until the last import.

    `interpreter`, `imports` and `rest` are its parts. `later` are seconds of imports after that.
    """

    headline: str
    serves: bool
    ready: float
    interpreter: float
    imports: float
    rest: float
    later: float
    groups: tuple[GroupTime, ...]
    modules: tuple[ModuleTime, ...]
    unused_packages: tuple[NeverImported, ...]
    unused_modules: tuple[NeverImported, ...]
    emulated: bool = False
    unmeasured: tuple[str, ...] = ()
    """The commands of interpreters that wrote no times."""
    cut: bool = False
    """True if there were more imports than are kept."""
    used: dict[str, tuple[str, ...]] = {}
    """The modules with a source file that were imported, by normalized package; empty for packages without any."""
    lanes: tuple[Lane, ...] = ()
    """All imports, for the chart."""

    @property
    def is_measured(self) -> bool:
        """True if any interpreter wrote times."""
        return bool(self.lanes)


def startup_of(trial: Trial, config: ExecutionConfig, *, emulated: bool = False) -> StartupReport:
    """Return the report of a trial whose imports were timed."""
    record = trial.seen.imports or ImportRecord()
    lanes = lanes_of(record, config.working_dir)
    end = _end(trial, lanes)
    times = own_times(lanes, end)
    by_group: dict[str, int] = {}
    for (group, _), time in times.items():
        by_group[group] = by_group.get(group, 0) + time
    interpreter = by_group.pop(INTERPRETER, 0)
    imports = sum(by_group.values())
    later = sum(own_times(lanes, 1 << 60).values()) - interpreter - imports
    modules = _modules(lanes)
    return StartupReport(
        headline=trial.headline,
        serves=trial.verdict.is_good,
        ready=_seconds(end),
        interpreter=_seconds(interpreter),
        imports=_seconds(imports),
        rest=_seconds(max(end - interpreter - imports, 0)),
        later=_seconds(max(later, 0)),
        groups=_groups(by_group, modules, record),
        modules=modules,
        unused_packages=_unused_packages(record),
        unused_modules=tuple(_unused_modules(record)),
        emulated=emulated,
        unmeasured=record.unmeasured,
        cut=record.cut,
        used={normalized(each.name): tuple(sorted({module_of(path) for path in each.used})) for each in record.packages},
        lanes=lanes,
    )


def _end(trial: Trial, lanes: tuple[Lane, ...]) -> int:
    """Return the microseconds that the report is about."""
    seen = trial.seen
    if seen.ready is not None:
        return round(seen.ready * _MICROSECONDS)
    if seen.ended is not None:
        return round(seen.seconds * _MICROSECONDS)
    last = max((span.end for lane in lanes for span in lane.spans), default=0)
    return min(last, round(seen.seconds * _MICROSECONDS))


def _seconds(microseconds: int) -> float:
    return round(microseconds / _MICROSECONDS, 6)


def _groups(times: dict[str, int], modules: tuple[ModuleTime, ...], record: ImportRecord) -> tuple[GroupTime, ...]:
    counts: dict[str, int] = {}
    for module in modules:
        counts[module.group] = counts.get(module.group, 0) + 1
    known = {package.name: package for package in record.packages}
    found = []
    for name, time in sorted(times.items(), key=lambda item: (-item[1], item[0])):
        package = known.get(name)
        version, size = (package.version, package.size) if package is not None else ("", 0)
        found.append(GroupTime(name, _seconds(time), counts.get(name, 0), version, size))
    return tuple(found)


def _modules(lanes: tuple[Lane, ...]) -> tuple[ModuleTime, ...]:
    found: dict[tuple[str, str], ModuleTime] = {}
    for lane in lanes:
        # An import can contain one of the same module: that of a package imports it first.
        spans: dict[tuple[str, str], list[Span]] = {}
        for span in (span for outer in lane.spans if outer.group != INTERPRETER for span in outer.all()):
            spans.setdefault((span.name, span.group), []).append(span)
        for key, same in spans.items():
            own, total = _seconds(sum(span.own for span in same)), _seconds(max(span.total for span in same))
            before = found.get(key, ModuleTime(*key, 0.0, 0.0, 0))
            found[key] = ModuleTime(*key, max(own, before.own), max(total, before.total), before.threads + 1)
    return tuple(sorted(found.values(), key=lambda module: (-module.own, module.name)))


def _unused_packages(record: ImportRecord) -> tuple[NeverImported, ...]:
    """Return the packages that have modules and of which none was imported, the largest first."""
    unused = [each for each in record.packages if each.modules and not each.imported]
    found = (NeverImported(each.name, "", each.modules, each.size) for each in unused)
    return tuple(sorted(found, key=lambda each: (-each.size, each.package)))


def _unused_modules(record: ImportRecord) -> Iterator[NeverImported]:
    """Yield the directories and modules that were not imported, of packages that were imported in part, the largest first."""

    def of(group: UnusedModules) -> bool:
        return 0 <= group.package < len(record.packages) and record.packages[group.package].imported > 0

    for group in sorted(filter(of, record.unused), key=lambda group: (-group.size, group.path)):
        yield NeverImported(record.packages[group.package].name, group.path, group.modules, group.size)
