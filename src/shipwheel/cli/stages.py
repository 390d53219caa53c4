"""The stages of the work as events tell them: which are in progress, and the line that each leaves. Pure: nothing is printed here."""

from collections.abc import Iterator

import msgspec

from shipwheel.events import Moved, StageFinished, StageStarted, format_size

__all__ = ["Row", "StageLine", "Stages", "stage_and_time"]

_MIN_SHOWN_S = 0.05
"""Shorter stages leave no line unless they are notable."""


class StageLine(msgspec.Struct, frozen=True):
    """A finished stage or detail. `seconds` is how long it took. A `notable` one is shown even if it took no time."""

    stage: str
    seconds: float
    text: str
    notable: bool
    detail: bool

    @property
    def is_worth_showing(self) -> bool:
        """True unless the line is a detail, says nothing, or is about a stage that took no time."""
        return self.notable or (not self.detail and bool(self.text) and self.seconds >= _MIN_SHOWN_S)

    def __str__(self) -> str:
        name = f"  {self.stage}" if self.detail else self.stage
        return f"{stage_and_time(name, self.seconds)}  {self.text}".rstrip()


class Row(msgspec.Struct, frozen=True):
    """A stage in progress. `detail` names the part that is in progress; `total` is 0 if it is unknown."""

    stage: str
    seconds: float
    detail: str = ""
    done: int = 0
    total: int = 0
    amount: str = ""


class _Work(msgspec.Struct):
    """A stage, or a detail of the stage `parent`, in progress. `runs` counts the details of one name that run side by side."""

    started: float
    unit: str
    total: int
    parent: str = ""
    runs: int = 1
    moved: dict[str, int] = msgspec.field(default_factory=dict)
    summaries: list[str] = msgspec.field(default_factory=list)
    fetched_files: int = 0
    fetched_bytes: int = 0

    @property
    def done(self) -> int:
        return sum(self.moved.values())

    @property
    def amount(self) -> str:
        if not self.total and not self.moved:
            return ""
        if self.unit != "bytes":
            return f"{self.done}/{self.total}" if self.total else str(self.done)
        if not self.total:
            return format_size(self.done)
        return f"{self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB"

    def take(self, detail: "_Work", summary: str) -> None:
        """Remember what a detail has done for the stage."""
        if detail.unit == "bytes":
            self.fetched_files += len(detail.moved)
            self.fetched_bytes += detail.done
        else:
            self.summaries.append(summary)

    def text(self, summary: str) -> str:
        """Return the summary, else those of the details, and what was fetched for the stage."""
        summary = summary or ", ".join(self.summaries)
        if not self.fetched_files:
            return summary
        size = format_size(self.fetched_bytes)
        files = f"{self.fetched_files} file{'' if self.fetched_files == 1 else 's'}"
        return f"{summary}, fetched {size}" if summary else f"{files}, {size}"


class Stages:
    """The stages in progress. A detail belongs to the newest stage that counts nothing itself. Not safe for several threads."""

    def __init__(self) -> None:
        self._stages: dict[str, _Work] = {}
        self._details: dict[str, _Work] = {}

    def start(self, event: StageStarted, now: float) -> None:
        """Take the start of a stage or detail. A detail that is in progress already goes on, with more to do."""
        if not event.detail:
            # An earlier attempt may have failed, without an end.
            before = self._stages.pop(event.stage, None)
            self._stages[event.stage] = _Work(before.started if before is not None else now, event.unit, event.total)
        elif (work := self._details.get(event.stage)) is not None:
            work.runs += 1
            work.total += event.total
        else:
            self._details[event.stage] = _Work(now, event.unit, event.total, self._parent())

    def move(self, event: Moved) -> None:
        """Take the progress of an item."""
        if (work := self._details.get(event.stage) or self._stages.get(event.stage)) is not None:
            work.moved[event.item] = event.done

    def finish(self, event: StageFinished, now: float) -> StageLine:
        """Take the end of a stage or detail, and return its line."""
        if (detail := self._details.get(event.stage)) is not None:
            detail.runs -= 1
            if not detail.runs:
                del self._details[event.stage]
                if (parent := self._stages.get(detail.parent)) is not None:
                    parent.take(detail, event.summary)
            return StageLine(event.stage, now - detail.started, event.summary, notable=False, detail=True)
        work = self._stages.pop(event.stage, None)
        if work is None:
            return StageLine(event.stage, 0.0, event.summary, event.notable, detail=False)
        # A detail that failed has no end.
        self._details = {name: detail for name, detail in self._details.items() if detail.parent != event.stage}
        return StageLine(event.stage, now - work.started, work.text(event.summary), event.notable, detail=False)

    def rows(self, now: float) -> Iterator[Row]:
        """Yield what is in progress: a row for each stage with the newest of its details, and one for each detail without a stage."""
        newest = {detail.parent: name for name, detail in self._details.items() if detail.parent}
        for name, work in self._stages.items():
            shown = self._details[newest[name]] if name in newest else work
            yield Row(name, now - work.started, newest.get(name, ""), shown.done, shown.total, shown.amount)
        for name, detail in self._details.items():
            if not detail.parent:
                yield Row(name, now - detail.started, "", detail.done, detail.total, detail.amount)

    def _parent(self) -> str:
        """Return the stage that a new detail belongs to, if any: an upload counts bytes itself, and goes on beside others."""
        silent = [name for name, work in self._stages.items() if work.unit != "bytes" and not work.total and not work.moved]
        return silent[-1] if silent else ""


def stage_and_time(stage: str, seconds: float) -> str:
    """Return the start of a stage's line."""
    return f"{stage:<10} {seconds:6.1f} s"
