"""Tables of figures for the terminal and for the page of results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from measure import Cost

__all__ = ["Section", "megabytes", "ratio", "seconds"]


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a title and notes. `figures` are its numbers for programs, under a key; both are empty for a table that none needs."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    key: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return the table as Markdown with aligned columns."""
        table = [self.head, *self.rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(self.head))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines = [_line(self.head, widths), _line(rule, widths), *(_line(row, widths) for row in self.rows)]
        notes = "".join(f"\n* {note}" for note in self.notes)
        return "\n".join([f"## {self.title}", "", *lines]) + "\n" + (f"{notes}\n" if notes else "")


def seconds(cost: Cost) -> str:
    """Return wall time, its least and most if there are several runs, and processor time in parentheses."""
    spread = f" {_short(cost.low)}–{_short(cost.high)}" if cost.high > cost.low else ""
    return f"{_short(cost.wall)}{spread} ({_short(cost.cpu)})"


def ratio(theirs: float, ours: float) -> str:
    """Return how many times as much the first value is."""
    value = theirs / ours
    return f"{value:.{0 if value >= 100 else 1 if value >= 0.1 else 3}f}×"


def megabytes(size: float) -> str:
    """Return bytes as MB, with more decimal places for small values."""
    value = size / 1e6
    return f"{value:.1f}" if value >= 1 or not value else f"{value:.3f}"


def _short(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.ljust(width) if not number else cell.rjust(width) for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join([first, *rest])} |"
