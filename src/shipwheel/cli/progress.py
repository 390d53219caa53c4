"""The stages in progress: lines of those that ended, and on a terminal a row for each of the others, which is drawn again and again."""

import os
import threading
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from shipwheel.cli.stages import Row, StageLine, Stages, stage_and_time
from shipwheel.cli.text import printable
from shipwheel.events import Moved, StageFinished, StageStarted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

__all__ = ["ProgressDisplay"]

_FRAMES_PER_S = 8
_SPINNER = "-\\|/"
_BAR_WIDTH = 16
_DETAIL_WIDTH = 18


class ProgressDisplay:
    """The progress that is shown on a stream. `take` may be called from any thread, `draw`, `write` and `stop` by one at a time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stages = Stages()
        self._live: Live | None = None
        # rich calls `_rows` with a lock of its own held, so this one is never held while rich is called.
        self._lock = threading.Lock()

    def take(self, event: StageStarted | Moved | StageFinished) -> StageLine | None:
        """Take an event. Return the line of a stage that ended."""
        now = monotonic()
        with self._lock:
            match event:
                case StageStarted():
                    self._stages.start(event, now)
                case Moved():
                    self._stages.move(event)
                case StageFinished():
                    return self._stages.finish(event, now)
        return None

    def draw(self) -> None:
        """Draw the rows from now on, if the stream is a terminal that a person watches."""
        if self._live is None and self._stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and not os.environ.get("CI"):
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
            self._live = Live(
                get_renderable=self._rows, console=console, transient=True, refresh_per_second=_FRAMES_PER_S, redirect_stdout=False
            )
            self._live.start()

    def write(self, text: str) -> bool:
        """Write text above the rows. Return False if no rows are drawn."""
        if self._live is None:
            return False
        from rich.text import Text

        self._live.console.print(Text.from_ansi(text), soft_wrap=True)
        return True

    def stop(self) -> None:
        """Remove the rows."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _rows(self) -> "RenderableType":
        now = monotonic()
        with self._lock:
            rows = list(self._stages.rows(now))
        return _table(rows, now)


def _table(rows: Sequence[Row], now: float) -> "RenderableType":
    """Return a row for each stage, which fits 80 columns: the line that it will leave, with a bar where the summary will be."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    for _ in range(5):
        table.add_column(no_wrap=True, overflow="ellipsis")
    spinner = _SPINNER[int(now * _FRAMES_PER_S) % len(_SPINNER)]
    for row in rows:
        bar = ProgressBar(row.total, min(row.done, row.total), width=_BAR_WIDTH) if row.total else ""
        detail = row.detail if len(row.detail) <= _DETAIL_WIDTH else f"{row.detail[: _DETAIL_WIDTH - 1]}…"
        table.add_row(stage_and_time(row.stage, row.seconds), spinner, Text(printable(detail)), bar, row.amount)
    return table
