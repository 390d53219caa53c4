"""Show events on standard error: progress bars on a terminal, lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from shipwheel.events import Event, Moved, Reporter, StageFinished, StageStarted, Warned, silent

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["progress"]

_MIN_SHOWN_S = 0.05
"""Shorter stages leave no line unless they are notable."""


@contextmanager
def progress(quiet: bool) -> Iterator[Reporter]:
    """Yield a reporter: progress bars on a terminal, a line for each stage elsewhere, only warnings if `quiet`."""
    if quiet:
        yield _once(_quiet)
    elif sys.stderr.isatty():
        with _Bars() as bars:
            yield _once(bars)
    else:
        yield _once(_Lines())


def _once(report: Reporter) -> Reporter:
    """Return a reporter that passes each warning on once: a warning about two platforms is found twice."""
    shown: set[Warned] = set()
    lock = threading.Lock()

    def filtered(event: Event) -> None:
        if isinstance(event, Warned):
            with lock:
                if event in shown:
                    return
                shown.add(event)
        report(event)

    return filtered


def _quiet(event: Event) -> None:
    if isinstance(event, Warned):
        _warn(event)
    else:
        silent(event)


def _warn(event: Warned) -> None:
    click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {event.message}", err=True)
    if event.hint:
        click.echo(f"         {event.hint}", err=True)


class _Lines:
    """Print a line when a stage ends; for logs."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case StageStarted(stage):
                    self._started[stage] = time.monotonic()
                case StageFinished(stage, summary, notable):
                    now = time.monotonic()
                    seconds = now - self._started.pop(stage, now)
                    if notable or seconds >= _MIN_SHOWN_S:
                        click.echo(f"{stage:<10} {seconds:6.1f} s  {summary}", err=True)
                case Warned():
                    _warn(event)
                case _:
                    pass


class _Bars:
    """Show a bar for each stage in progress."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._lines = _Lines()
        self._tasks: dict[str, TaskID] = {}
        self._moved: dict[str, dict[str, int]] = {}
        self._started: dict[str, StageStarted] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "_Bars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Moved):
            with self._lock:
                if (task := self._tasks.get(event.stage)) is not None:
                    moved = self._moved[event.stage]
                    moved[event.item] = event.done
                    done = sum(moved.values())
                    self._bars.update(task, completed=done, amount=_amount(done, self._started[event.stage]))
            return
        with self._lock:
            match event:
                case StageStarted(stage, total):
                    if stage in self._tasks:
                        self._bars.remove_task(self._tasks[stage])
                    self._started[stage] = event
                    self._moved[stage] = {}
                    self._tasks[stage] = self._bars.add_task(stage, total=total or None, amount="")
                case StageFinished(stage) if stage in self._tasks:
                    self._bars.remove_task(self._tasks.pop(stage))
                case _:
                    pass
        self._lines(event)


def _amount(done: int, stage: StageStarted) -> str:
    if stage.unit != "bytes":
        return f"{done}/{stage.total}" if stage.total else str(done)
    total = f" of {stage.total / 1e6:.1f}" if stage.total else ""
    return f"{done / 1e6:.1f}{total} MB"
