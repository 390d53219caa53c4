"""A timeline as an SVG chart: a row for each kind of work, with its parts beside each other in time.

    python benchmarks/timeline_chart.py TIMELINE.json CHART.svg

The chart has no background: its colours can be read on white and on black.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["chart", "shortened"]

WIDTH, LEFT, RIGHT, ROW, TOP, BOTTOM = 860, 150, 90, 22, 34, 26
TEXT, LINES = "#6e7781", "#8b949e"
COLORS = {"stage": "#3b82d6", "work": "#d9822b", "piece": "#2da06a"}
MIN_SHOWN_S = 0.02
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of work: its intervals in seconds, and the seconds that it took in all threads together."""

    name: str
    kind: str
    intervals: tuple[Interval, ...]
    busy: float


def rows(events: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """Yield the rows of a timeline's complete events, those without work left out."""
    wanted = [
        ("start", "stage", ["start"], ""),
        ("lock", "stage", ["lock"], ""),
        ("base", "stage", ["base", "python"], ""),
        ("plan", "work", ["plan"], ""),
        ("fetch", "work", ["download"], ""),
        *((f"segments {name}", "work", ["segment"], name) for name in ("amd64", "arm64", "both")),
        ("bytecode", "work", ["bytecode"], ""),
        ("inflate", "piece", ["inflate"], ""),
        ("hash", "piece", ["hash"], ""),
        ("compress", "piece", ["compress"], ""),
        ("prove", "work", ["prove"], ""),
        ("validate", "stage", ["validate"], ""),
        ("write", "stage", ["write"], ""),
        ("push", "work", ["push blob"], ""),
    ]
    platforms = _platforms(events)
    for title, kind, names, platform in wanted:
        found = [event for event in events if event["cat"] == kind and event["name"] in names]
        if platform:
            found = [event for event in found if platforms.get(id(event), "both") == platform]
        busy = sum(event["args"].get("busy_ms", event["dur"] / 1e3) for event in found) / 1e3
        if busy >= MIN_SHOWN_S:
            yield Row(title, kind, tuple((event["ts"] / 1e6, (event["ts"] + event["dur"]) / 1e6) for event in found), busy)


def _platforms(events: Iterable[dict[str, Any]]) -> dict[int, str]:
    """Return which architecture a segment is for, by the layer that contains it; "both" for two, and for a layer of none."""
    found: dict[int, str] = {}
    layers: dict[int, tuple[float, str]] = {}
    for event in events:
        if event["name"] == "layer":
            names = [name.partition("/")[2] for name in event["args"].get("platforms", ())]
            layers[event["tid"]] = (event["ts"] + event["dur"], names[0] if len(names) == 1 else "both")
        elif event["name"] == "segment" and (layer := layers.get(event["tid"])) is not None and event["ts"] < layer[0]:
            found[id(event)] = layer[1]
    return found


def shortened(document: dict[str, Any]) -> dict[str, Any]:
    """Return a timeline that is small enough to commit: pieces that a chart cannot tell apart are one, times are whole microseconds."""
    events, last = list[dict[str, Any]](), dict[int, dict[str, Any]]()
    gap = max(event["ts"] + event["dur"] for event in document["traceEvents"] if event["ph"] == "X") / WIDTH
    for event in document["traceEvents"]:
        before = last.get(event["tid"]) if event.get("cat") == "piece" else None
        if before is not None and event["ts"] - before["ts"] - before["dur"] < gap:
            before["dur"] = event["ts"] + event["dur"] - before["ts"]
            before["args"] = {key: value + event["args"][key] for key, value in before["args"].items()}
            continue
        events.append({**event, "args": dict(event["args"])})
        if event.get("cat") == "piece":
            last[event["tid"]] = events[-1]
    for event in events:
        event.update({key: round(event[key]) for key in ("ts", "dur") if key in event})
        event["args"] = {key: round(value, 1) if isinstance(value, float) else value for key, value in event["args"].items()}
    return {**document, "traceEvents": events}


def chart(document: dict[str, Any], title: str) -> str:
    """Return the SVG document."""
    events = [event for event in document["traceEvents"] if event["ph"] == "X"]
    shown = list(rows(events))
    end = max((stop for row in shown for _, stop in row.intervals), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / end
    height = TOP + ROW * len(shown) + BOTTOM
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{escape(title)}">'
        ),
        f'<text x="{LEFT}" y="16" fill="{TEXT}" font-weight="600">{escape(title)}</text>',
        f'<text x="{WIDTH - 4}" y="16" fill="{TEXT}" text-anchor="end">s, all threads</text>',
        *_axis(end, scale, height),
    ]
    for number, row in enumerate(shown):
        top = TOP + ROW * number
        parts.append(f'<text x="{LEFT - 8}" y="{top + 15}" fill="{TEXT}" text-anchor="end">{escape(row.name)}</text>')
        parts += _bars(row, top, scale)
        parts.append(f'<text x="{WIDTH - 4}" y="{top + 15}" fill="{TEXT}" text-anchor="end">{row.busy:.2f}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axis(end: float, scale: float, height: int) -> Iterator[str]:
    step = next((tick for tick in TICKS if end / tick <= 10), 300)
    for number in range(int(end / step) + 1):
        x = LEFT + number * step * scale
        yield f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - BOTTOM}" stroke="{LINES}" stroke-opacity="0.35"/>'
        yield f'<text x="{x:.1f}" y="{height - 8}" fill="{TEXT}" text-anchor="middle">{number * step:g} s</text>'


def _bars(row: Row, top: int, scale: float) -> Iterator[str]:
    """Yield rectangles, the darker the more threads are at work."""
    moments = sorted({moment for interval in row.intervals for moment in interval})
    drawn: list[tuple[float, float, int]] = []
    begins, ends = sorted(start for start, _ in row.intervals), sorted(stop for _, stop in row.intervals)
    begun = ended = 0
    for start, stop in pairwise(moments):
        while begun < len(begins) and begins[begun] <= start:
            begun += 1
        while ended < len(ends) and ends[ended] <= start:
            ended += 1
        depth = min(begun - ended, 3)
        if not depth:
            continue
        # What a screen cannot tell apart is one rectangle.
        if (
            drawn
            and (drawn[-1][1] == start or (start - drawn[-1][1]) * scale < 0.5)
            and (drawn[-1][2] == depth or (stop - start) * scale < 0.5)
        ):
            drawn[-1] = (drawn[-1][0], stop, drawn[-1][2])
        else:
            drawn.append((start, stop, depth))
    for start, stop, depth in drawn:
        x, width = LEFT + start * scale, max((stop - start) * scale, 0.6)
        opacity = (0.55, 0.8, 1)[depth - 1]
        yield f'<rect x="{x:.1f}" y="{top + 3}" width="{width:.1f}" height="{ROW - 7}" fill="{COLORS[row.kind]}" fill-opacity="{opacity}"/>'


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(chart(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[1]).stem))
