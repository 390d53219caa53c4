"""The one writer of the command line: results on standard output; progress, warnings and errors on standard error.

No other module of the command line writes to either: what is written beside the rows of the stages in progress ends up inside them.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TextIO

from shipwheel.cli.text import cut, labelled, printable
from shipwheel.errors import ShipwheelError

if TYPE_CHECKING:
    from shipwheel.cli.progress import ProgressDisplay
    from shipwheel.events import Event

__all__ = ["Terminal", "Verbosity"]

_STOP_TIMEOUT_S = 0.3
_SHOW_CURSOR = "\x1b[?25h"


class Verbosity(Enum):
    """The amount of text on standard error."""

    QUIET = auto()
    """Warnings and errors."""
    NORMAL = auto()
    """Also progress and a summary."""
    VERBOSE = auto()
    """Also requests, programs, and stages that took no time."""


class Terminal:
    """Standard output and standard error, or another stream instead. Every method may be called from any thread."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.as_json = False
        """Write results and errors as JSON documents."""
        self._verbosity = Verbosity.NORMAL
        self._given = stream
        self._progress: ProgressDisplay | None = None
        self._stopped = False
        self._warned: set[tuple[str, str]] = set()
        # Held while something is written, so that lines never end up inside the rows.
        self._lock = threading.RLock()

    @property
    def quiet(self) -> bool:
        """True if no progress and no summary is wanted."""
        return self._verbosity is Verbosity.QUIET

    @property
    def verbose(self) -> bool:
        """True if requests, programs and short stages are shown too."""
        return self._verbosity is Verbosity.VERBOSE

    def set_up(self, verbosity: "Verbosity", *, as_json: bool) -> None:
        """Set how much is shown, and in which form results and errors are written."""
        self._verbosity, self.as_json = verbosity, as_json
        if verbosity is Verbosity.VERBOSE:
            from shipwheel.cli.trace import trace

            trace(lambda line: self._write(printable(line)))

    def result(self, document: Callable[[], Any], lines: Iterable[str]) -> None:
        """Write the result to standard output, as a JSON document or as lines. It ends the display of the progress."""
        self.stop()
        if self.as_json:
            _print(json.dumps(document(), indent=2))
            return
        for line in lines:
            _print(printable(line))

    def line(self, text: str) -> None:
        """Write one line of a result that goes on, such as a log, to standard output, above the rows of the stages in progress."""
        with self._lock:
            if self._progress is None or not self._progress.write(printable(text)):
                _print(printable(text))

    def raw(self, data: bytes) -> None:
        """Write the result to standard output, byte for byte."""
        self.stop()
        sys.stdout.buffer.write(data)

    def ask(self, question: str, *, hidden: bool = False) -> str:
        """Return the answer to a question; a `hidden` one is not shown while it is typed."""
        import click

        self.stop()
        answer: str = click.prompt(question, hide_input=hidden, err=True)
        return answer

    def confirm(self, question: str) -> bool:
        """Return whether the answer to a question is yes; the default is no."""
        import click

        self.stop()
        return bool(click.confirm(question, err=True))

    def note(self, text: str) -> None:
        """Write lines for people to standard error, unless they asked for quiet."""
        if not self.quiet:
            self._write(printable(text))

    def warn(self, message: str, hint: str = "") -> None:
        """Write a warning to standard error, once: what is true for two platforms is found twice."""
        with self._lock:
            if (message, hint) not in self._warned:
                self._warned.add((message, hint))
                self._write_labelled(("warning:", "yellow", message), (" " * 8, "", hint))

    def error(self, error: ShipwheelError) -> None:
        """Write an error with its hint to standard error, and as JSON to standard output. It ends the display of the progress."""
        self.stop()
        self.failure(error)
        if self.as_json:
            _print(json.dumps({"error": self.details(error)}, indent=2))

    def failure(self, error: ShipwheelError) -> None:
        """Write an error with its hint to standard error; the command may go on."""
        self._write_labelled(("error:", "red", error.message), ("hint:", "cyan", error.hint))

    def details(self, error: ShipwheelError) -> dict[str, Any]:
        """Return an error as a JSON document."""
        return {"kind": type(error).__name__, "exit-code": error.exit_code, "message": error.message, "hint": error.hint}

    def report(self, event: "Event") -> None:
        """Show an event: this is the reporter of every command."""
        from shipwheel.cli.progress import ProgressDisplay
        from shipwheel.events import StageStarted, Warned

        if isinstance(event, Warned):
            self.warn(event.message, event.hint)
            return
        if self.quiet or self._stopped:
            return
        with self._lock:
            progress = self._progress = self._progress or ProgressDisplay(self._stream)
            line = progress.take(event)
            if isinstance(event, StageStarted):
                progress.draw()
            if line is not None and (line.is_worth_showing or self._verbosity is Verbosity.VERBOSE):
                self._write(cut(printable(str(line)), self._stream))

    def stop(self) -> None:
        """Remove the rows of the stages in progress, draw no others, and leave the terminal to others."""
        with self._lock:
            self._stopped = True
            if self._progress is not None:
                self._progress.stop()

    def interrupted(self, text: str) -> None:
        """Write the last line of a process that was interrupted, even if a thread that hangs holds a lock."""
        stopping = threading.Thread(target=self.stop, daemon=True)
        stopping.start()
        stopping.join(_STOP_TIMEOUT_S)
        with suppress(OSError):
            cursor = _SHOW_CURSOR if self._stream.isatty() else ""
            _print(f"{cursor}{text}", self._stream)

    @property
    def _stream(self) -> TextIO:
        return self._given or sys.stderr

    def _write_labelled(self, *parts: tuple[str, str, str]) -> None:
        """Write (label, colour, text) parts that are not empty, a line or more each, with nothing between them."""
        self._write("\n".join(labelled(label, colour, text, self._stream) for label, colour, text in parts if text))

    def _write(self, text: str) -> None:
        with self._lock:
            if self._progress is None or not self._progress.write(text):
                _print(text, self._stream)


def _print(text: str, stream: TextIO | None = None) -> None:
    """Write lines to a stream, by default standard output, at once. What its encoding lacks is written as an escape."""
    stream = stream or sys.stdout
    try:
        stream.write(f"{text}\n")
    except UnicodeEncodeError:
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding) + "\n")
    stream.flush()
