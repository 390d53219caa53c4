"""When each piece of a build's work began and ended, as `build --timeline` writes it: in the Trace Event Format of Chromium.

Nothing is recorded unless `recorded` is active, of which there is one in a process: then `span` and `piece` only compare with None. Times
are of the monotonic clock, in microseconds since the process started.

A span is work that takes a while, such as a segment; spans of one thread contain each other. A piece is a moment of work that comes again
and again, such as hashing the next megabyte: pieces of one kind that follow one another closely become one, with the time that they took.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from shipwheel.events import Event, Reporter, StageFinished, StageStarted

__all__ = ["LAYERS", "TIMELINE_START", "Moment", "add_moments", "belongs", "collected", "is_recorded", "piece", "recorded", "span"]

TIMELINE_START = '{"displayTimeUnit":"ms","otherData":{"format":"shipwheel timeline 1"},"traceEvents":['
"""The start of every such file."""

LAYERS = "layer"
"""The name of the spans whose detail `key` is that of a layer: in the file they have the platforms that the layer is for."""

_GAP_NS = 5_000_000
"""Pieces that are closer to each other become one."""

_OFF: AbstractContextManager[None] = nullcontext()


class Moment(NamedTuple):
    """A piece of work on a track. `began` and `ended` are nanoseconds of the machine's monotonic clock, which processes share."""

    kind: str
    name: str
    track: str
    began: int
    ended: int
    details: dict[str, Any]


def span(name: str, about: str = "", **details: str) -> AbstractContextManager[None]:
    """Record the block. `name` is the kind of work, `about` what it is done to."""
    return _OFF if _recording is None else _recording.span(name, {"about": about, **details} if about else details)


def piece(name: str) -> AbstractContextManager[None]:
    """Record the block, together with those before it."""
    return _OFF if _recording is None else _recording.piece(name)


def belongs(key: str, platform: str) -> None:
    """Record that a layer is for a platform."""
    if _recording is not None:
        _recording.platforms.setdefault(key, {})[platform] = None


def is_recorded() -> bool:
    """Return whether this process records."""
    return _recording is not None


def add_moments(moments: Iterable[Moment]) -> None:
    """Record what another process has done for the calling thread."""
    if _recording is not None:
        thread = threading.current_thread().name
        for each in moments:
            _recording.add(each._replace(track=each.track.replace(threading.main_thread().name, thread, 1)))


@contextmanager
def collected(*, active: bool) -> Iterator[list[Moment]]:
    """Record the block for another process. Behind the block, the list has what was recorded; without `active`, nothing."""
    global _recording
    moments: list[Moment] = []
    if not active:
        yield moments
        return
    recording = _recording = _Recording()
    try:
        yield moments
    finally:
        _recording = None
        moments += recording.moments()


@contextmanager
def recorded(path: Path | None, reporter: Reporter) -> Iterator[Reporter]:
    """Record the block, then write the file, also if the block fails. Yield the reporter to use. Without a path, record nothing."""
    global _recording
    if path is None:
        yield reporter
        return
    # Opened first: a file that cannot be written is found before the build. Without events it is a timeline already, which no image takes.
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"{TIMELINE_START}]}}")
        stream.flush()
        recording = _recording = _Recording()
        # Python, the imports and the command line came before.
        now = time.monotonic_ns()
        zero = now - time.process_time_ns()
        recording.add(Moment("stage", "start", "stage start", zero, now, {}))
        try:
            yield recording.listen(reporter)
        finally:
            _recording = None
            import json

            stream.seek(len(TIMELINE_START))
            events = _events(recording.moments(), zero, recording.platforms)
            stream.write(",".join(json.dumps(event, separators=(",", ":")) for event in events) + "]}")


class _Open:
    """Pieces of one kind in one thread that are still close enough to be one."""

    __slots__ = ("began", "busy", "count", "ended")

    def __init__(self, began: int) -> None:
        self.began = self.ended = began
        self.busy = self.count = 0


class _Recording:
    """The spans and pieces of one build, from all threads."""

    def __init__(self) -> None:
        self.platforms: dict[str, dict[str, None]] = {}
        self._moments: list[Moment] = []
        self._pieces: dict[tuple[str, str], _Open] = {}
        self._stages: dict[tuple[str, bool], list[int]] = {}
        self._lock = threading.Lock()

    def listen(self, reporter: Reporter) -> Reporter:
        """Return a reporter that records the stages as well."""

        def report(event: Event) -> None:
            self._take(event, time.monotonic_ns())
            reporter(event)

        return report

    @contextmanager
    def span(self, name: str, details: dict[str, str]) -> Iterator[None]:
        """Record the block."""
        began = time.monotonic_ns()
        try:
            yield
        finally:
            self.add(Moment("work", name, threading.current_thread().name, began, time.monotonic_ns(), details))

    @contextmanager
    def piece(self, name: str) -> Iterator[None]:
        """Record the block, together with those before it."""
        began = time.monotonic_ns()
        try:
            yield
        finally:
            self._add_piece(name, threading.current_thread().name, began, time.monotonic_ns())

    def add(self, moment: Moment) -> None:
        """Record what was done."""
        with self._lock:
            self._moments.append(moment)

    def moments(self) -> list[Moment]:
        """Return what was recorded, also of what has not ended."""
        with self._lock:
            pieces, stages = dict(self._pieces), dict(self._stages)
            self._pieces.clear()
        now = time.monotonic_ns()
        for (name, thread), work in pieces.items():
            self._add_open(name, thread, work)
        # A stage that failed has no end.
        failed = [
            Moment("stage", name, f"stage {name}", began, now, {"failed": True}) for (name, _), begins in stages.items() for began in begins
        ]
        return [*self._moments, *failed]

    def _take(self, event: Event, now: int) -> None:
        if isinstance(event, StageStarted):
            with self._lock:
                begins = self._stages.setdefault((event.stage, event.detail), [])
                # An earlier attempt may have failed, without an end; a detail may run more than once at a time.
                if event.detail or not begins:
                    begins.append(now)
        elif isinstance(event, StageFinished):
            with self._lock:
                begins = self._stages.get((event.stage, True)) or self._stages.get((event.stage, False)) or []
                began = begins.pop() if begins else None
            if began is not None:
                details = {"about": event.summary} if event.summary else {}
                self.add(Moment("stage", event.stage, f"stage {event.stage}", began, now, details))

    def _add_piece(self, name: str, thread: str, began: int, ended: int) -> None:
        work = self._pieces.get((name, thread))
        if work is None or began - work.ended > _GAP_NS:
            if work is not None:
                self._add_open(name, thread, work)
            work = self._pieces[name, thread] = _Open(began)
        work.ended = ended
        work.busy += ended - began
        work.count += 1

    def _add_open(self, name: str, thread: str, work: _Open) -> None:
        # A track of its own, because pieces of two kinds do not contain each other.
        details = {"busy_ms": work.busy / 1e6, "pieces": work.count}
        self.add(Moment("piece", name, f"{thread} {name}", work.began, work.ended, details))


def _events(moments: Iterable[Moment], zero: int, platforms: Mapping[str, Iterable[str]]) -> list[dict[str, Any]]:
    """Return the file's events. `platforms` are those of layers by their keys; `zero` is when the process started."""
    tracks: dict[str, int] = {}
    events: list[dict[str, Any]] = []
    for each in moments:
        tid = tracks.setdefault(each.track, len(tracks) + 1)
        details = dict(each.details)
        if each.name == LAYERS and (found := platforms.get(details.pop("key", ""))):
            details["platforms"] = list(found)
        times = {"ts": (each.began - zero) / 1e3, "dur": (each.ended - each.began) / 1e3}
        events.append({"ph": "X", "cat": each.kind, "name": each.name, "pid": 1, "tid": tid, **times, "args": details})
    names = [{"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}} for name, tid in tracks.items()]
    return [*names, *sorted(events, key=lambda event: (event["ts"], -event["dur"]))]


_recording: _Recording | None = None
