"""Real terminals of a known size, and what a person sees on them: pyte draws what is written, as a terminal does."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pyte

from support.process import HANG_S, until

__all__ = ["Screen", "Shown", "run_on_terminal"]

_ROWS = 40
_HISTORY = 500


class Screen:
    """A terminal that this process writes to through `stream`. A context manager."""

    def __init__(self, columns: int) -> None:
        self._screen = pyte.HistoryScreen(columns, _ROWS, history=_HISTORY, ratio=1)
        self._parser = pyte.ByteStream(self._screen)
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        self._marks = 0
        self._reader = threading.Thread(target=self._read)
        self.written = b""
        """Everything that was written."""
        self.stream: TextIO = os.fdopen(self._theirs, "w", encoding="utf-8", buffering=1)

    def lines(self) -> list[str]:
        """Return the lines on the screen and those that have scrolled off, once everything that was written is drawn."""
        self._marks += 1
        # A title is not drawn: when it arrives, so has everything before it.
        self.stream.write(f"\x1b]2;{self._marks}\x07")
        self.stream.flush()
        until(lambda: self._screen.title == str(self._marks))
        return _lines(self._screen)

    def __enter__(self) -> "Screen":
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self._reader.join()
        os.close(self._ours)

    def _read(self) -> None:
        for data in _chunks(self._ours):
            self.written += data
            self._parser.feed(data)


@dataclass(frozen=True, slots=True)
class Shown:
    """A program that has ended: its exit code, what it wrote to the terminal, the lines that remain, and its piped output."""

    code: int
    written: bytes
    lines: list[str]
    out: str


def run_on_terminal(command: Sequence[str], columns: int, env: Mapping[str, str], *, cwd: Path | None = None, pipe: bool = False) -> Shown:
    """Run a program on a terminal to its end. With `pipe`, its standard output goes elsewhere."""
    with Screen(columns) as screen:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            stdin=screen.stream,
            stdout=subprocess.PIPE if pipe else screen.stream,
            stderr=screen.stream,
            timeout=HANG_S,
            check=False,
        )
        lines = screen.lines()
    return Shown(done.returncode, screen.written, lines, (done.stdout or b"").decode())


def _chunks(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(descriptor, 4096)
        except OSError:
            # Linux: every end of the other side is closed.
            return
        if not data:
            return
        yield data


def _lines(screen: pyte.HistoryScreen) -> list[str]:
    above = ["".join(row[column].data for column in range(screen.columns)).rstrip() for row in screen.history.top]
    lines = [*above, *(line.rstrip() for line in screen.display)]
    while lines and not lines[-1]:
        lines.pop()
    return lines
