"""The owners of the time of a start: every microsecond belongs to one module, to an interpreter's start, or to nobody."""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from shipwheel.startup.spans import Lane, Span

__all__ = ["own_times"]


def own_times(lanes: Sequence[Lane], end: int) -> dict[tuple[str, str], int]:
    """Return (group, module) -> microseconds from 0 to `end` in which the module's own code ran.

    Of lanes that import at the same time, the first counts: the sum is never more than `end`.
    """
    times: dict[tuple[str, str], int] = {}
    taken: list[tuple[int, int]] = []
    for lane in lanes:
        found: list[tuple[int, int]] = []
        for span in lane.spans:
            for start, stop, owner in _pieces(span):
                free = sum(b - a for a, b in _free(taken, max(start, 0), min(stop, end)))
                if free > 0:
                    key = (owner.group, owner.name)
                    times[key] = times.get(key, 0) + free
            found.append((span.start, span.end))
        taken = _joined(heapq.merge(taken, sorted(found)))
    return times


def _pieces(span: Span) -> Iterator[tuple[int, int, Span]]:
    """Yield the intervals in which each module's own code runs."""
    at = span.start
    for child in span.children:
        if at < child.start:
            yield at, child.start, span
        yield from _pieces(child)
        at = child.end
    if at < span.end:
        yield at, span.end, span


def _free(taken: Sequence[tuple[int, int]], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of an interval that none of the sorted intervals covers."""
    first = max(bisect_right(taken, (start, start)) - 1, 0)
    for low, high in taken[first : bisect_left(taken, (stop, stop))]:
        if start < low:
            yield start, low
        start = max(start, high)
    if start < stop:
        yield start, stop


def _joined(intervals: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in intervals:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
