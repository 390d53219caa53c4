"""When each piece of a build's work began and ended, as `build --timeline` writes it: in the Trace Event Format of Chromium.

Nothing is recorded unless `recorded` is active, of which there is one in a process: then `span` and `piece` only compare with None. Times
are of the monotonic clock, in microseconds since the process started.

A span is work that takes a while, such as a segment; spans of one thread contain each other. A piece is a moment of work that comes again
and again, such as hashing the next megabyte: pieces of one kind that follow one another closely become one, with the time that they took.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from shipwheel.events import Event, Reporter, StageFinished, StageStarted

__all__ = ["LAYERS", "TIMELINE_START", "belongs", "piece", "recorded", "span"]

TIMELINE_START = '{"displayTimeUnit":"ms","otherData":{"format":"shipwheel timeline 1"},"traceEvents":['
"""The start of every such file."""

LAYERS = "layer"
"""The name of the spans whose detail `key` is that of a layer: in the file they have the platforms that the layer is for."""

_GAP_NS = 5_000_000
"""Pieces that are closer to each other become one."""

_OFF: AbstractContextManager[None] = nullcontext()


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
        try:
            yield recording.listen(reporter)
        finally:
            _recording = None
            import json

            stream.seek(len(TIMELINE_START))
            stream.write(",".join(json.dumps(event, separators=(",", ":")) for event in recording.events()) + "]}")


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
        # Python, the imports and the command line came before.
        self._zero = time.monotonic_ns() - time.process_time_ns()
        self._events: list[dict[str, Any]] = []
        self._tracks: dict[str, int] = {}
        self._pieces: dict[tuple[str, str], _Open] = {}
        self._stages: dict[tuple[str, bool], list[int]] = {}
        self._lock = threading.Lock()
        self._add("stage", "start", "stage start", self._zero, time.monotonic_ns(), {})

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
            self._add("work", name, threading.current_thread().name, began, time.monotonic_ns(), details)

    @contextmanager
    def piece(self, name: str) -> Iterator[None]:
        """Record the block, together with those before it."""
        began = time.monotonic_ns()
        try:
            yield
        finally:
            self._add_piece(name, threading.current_thread().name, began, time.monotonic_ns())

    def events(self) -> list[dict[str, Any]]:
        """Return the file's events."""
        with self._lock:
            pieces, stages = dict(self._pieces), dict(self._stages)
            self._pieces.clear()
        now = time.monotonic_ns()
        for (name, thread), work in pieces.items():
            self._add_open(name, thread, work)
        # A stage that failed has no end.
        for (name, _), begins in stages.items():
            for began in begins:
                self._add("stage", name, f"stage {name}", began, now, {"failed": True})
        for event in self._events:
            details = event["args"]
            if event["name"] == LAYERS and (found := self.platforms.get(details.pop("key", ""))):
                details["platforms"] = list(found)
        names = [{"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}} for name, tid in self._tracks.items()]
        events = sorted(self._events, key=lambda event: (event["ts"], -event["dur"]))
        return [*names, *events]

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
                self._add("stage", event.stage, f"stage {event.stage}", began, now, {"about": event.summary} if event.summary else {})

    def _add(self, kind: str, name: str, track: str, began: int, ended: int, details: dict[str, Any]) -> None:
        with self._lock:
            tid = self._tracks.setdefault(track, len(self._tracks) + 1)
            event = {"ph": "X", "cat": kind, "name": name, "pid": 1, "tid": tid, "ts": self._us(began), "dur": (ended - began) / 1e3}
            self._events.append({**event, "args": details})

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
        self._add("piece", name, f"{thread} {name}", work.began, work.ended, {"busy_ms": work.busy / 1e6, "pieces": work.count})

    def _us(self, moment: int) -> float:
        return (moment - self._zero) / 1e3


_recording: _Recording | None = None
