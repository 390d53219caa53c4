"""The imports of a run as trees: one for each thread of each process."""

from collections.abc import Iterator, Sequence

import msgspec

from shipwheel.trial.import_record import ImportingProcess, ImportRecord, OneImport

__all__ = ["APPLICATION", "INTERPRETER", "LIBRARY", "NO_FILE", "OTHER", "Lane", "Span", "lanes_of"]

APPLICATION, LIBRARY, OTHER, INTERPRETER = "the application", "the standard library", "other modules", "the interpreter"
NO_FILE = "not found, or a directory"
"""Groups of modules beside the Python packages."""

_MAX_DEPTH = 200
_MAX_THREADS = 32
_IN_INTERPRETER = ("built-in", "frozen")
_SITE = {"site-packages", "dist-packages"}


class Span(msgspec.Struct, frozen=True):
    """The import of a module, with those that it made, within its own time. Times are microseconds after the start.

    `group` is the Python package of the module, or one of the groups above. A start of an interpreter is a span as well, as long as it kept
    the processor busy: a shell may have waited in the process before.
    """

    name: str
    group: str
    file: str
    start: int
    end: int
    children: "tuple[Span, ...]" = ()

    @property
    def total(self) -> int:
        """The microseconds of the import with all that it imported."""
        return self.end - self.start

    @property
    def own(self) -> int:
        """The microseconds of the module's own code."""
        return self.total - sum(child.total for child in self.children)

    def all(self) -> Iterator["Span"]:
        """Yield it and everything below it."""
        yield self
        for child in self.children:
            yield from child.all()


class Lane(msgspec.Struct, frozen=True):
    """The imports of one thread of one process, in order of time."""

    pid: int
    command: str
    spans: tuple[Span, ...]


def lanes_of(record: ImportRecord, application: str) -> tuple[Lane, ...]:
    """Return the lanes of a run, in the order in which the processes began. `application` is the directory of the app's own modules."""
    processes = sorted(record.processes, key=lambda each: each.began)
    busy: dict[int, tuple[int, int]] = {}
    lanes = []
    for process in processes:
        since, worked = busy.get(process.pid, (0 if process is processes[0] else process.began - process.worked, 0))
        started = _interpreter_start(process, since, worked)
        threads: dict[int, list[OneImport]] = {}
        for each in process.imports:
            # What comes from more threads than a program has counts as of the first one.
            is_own = each.thread in threads or len(threads) < _MAX_THREADS
            threads.setdefault(each.thread if is_own else process.imports[0].thread, []).append(each)
        trees = [_tree(imports, record, process, application) for imports in threads.values()]
        main, *others = trees or [()]
        lanes.append(Lane(process.pid, process.command, _in_order((*started, *main))))
        lanes += [Lane(process.pid, process.command, tree) for tree in others]
        # A program that another replaces has its process ID, and its seconds of the processor.
        busy[process.pid] = (max((each.end for each in process.imports), default=process.began), process.worked)
    return tuple(lane for lane in lanes if lane.spans)


def _interpreter_start(process: ImportingProcess, since: int, worked: int) -> tuple[Span, ...]:
    """Return the time from the start of the interpreter to its first line of Python; none for a fork."""
    spent = max(process.worked - worked, 0)
    start = max(process.began - spent, since, 0)
    if process.forked or start >= process.began:
        return ()
    return (Span("start of the interpreter", INTERPRETER, "", start, process.began),)


def _tree(imports: Sequence[OneImport], record: ImportRecord, process: ImportingProcess, application: str) -> tuple[Span, ...]:
    """Return the outermost imports of a thread. Those of an import that never ended are outermost."""
    open_at: dict[int, list[Span]] = {}
    for each in imports:
        depth = min(each.depth, _MAX_DEPTH)
        children = [span for level in sorted(open_at) if level > depth for span in open_at.pop(level)]
        group = _group(each, record, process, application)
        span = _fitted(Span(each.name, group, each.file, each.start, max(each.end, each.start), tuple(children)))
        open_at.setdefault(depth, []).append(span)
    return _in_order(tuple(span for level in open_at.values() for span in level))


def _in_order(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return the outermost spans of a lane one after the other."""
    return _fitted(Span("", OTHER, "", -(1 << 60), 1 << 60, spans)).children


def _fitted(span: Span) -> Span:
    """Return a span whose children are inside it and one after the other, as those of an honest process are."""
    at, children = span.start, []
    for child in sorted(span.children, key=lambda child: child.start):
        start, end = max(child.start, at), min(child.end, span.end)
        if start < end:
            whole = (start, end) == (child.start, child.end)
            children.append(child if whole else _fitted(msgspec.structs.replace(child, start=start, end=end)))
            at = end
    group = span.group or next((child.group for child in children), NO_FILE)
    return msgspec.structs.replace(span, children=tuple(children), group=group)


def _group(each: OneImport, record: ImportRecord, process: ImportingProcess, application: str) -> str:
    if 0 <= each.package < len(record.packages):
        return record.packages[each.package].name
    if not each.file:
        return ""
    in_library = process.library and each.file.startswith(f"{process.library}/") and not _SITE & {*each.file.split("/")}
    if in_library or each.file in _IN_INTERPRETER:
        return LIBRARY
    return APPLICATION if each.file.startswith(f"{application.rstrip('/')}/") else OTHER
