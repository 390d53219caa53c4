"""`--verbose`: requests and started programs, seen in one place each, whichever module makes them."""

import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from shipwheel.download.http import redacted
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["trace"]

_CREDENTIALS = lazy_pattern(r"(?<=://)[^/@\s]+@")


def trace(write: Callable[[str], None]) -> None:
    """Write a line for every request that is answered and for every program that is started, until the process ends."""
    logger = logging.getLogger("httpx")
    logger.addHandler(_Requests(write))
    logger.setLevel(logging.INFO)
    logger.propagate = False

    def started(event: str, details: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            write(f"  started {_command_line(details[1])}")

    sys.addaudithook(started)


class _Requests(logging.Handler):
    """Takes httpx's record of each request, whose arguments are the method, the URL, the HTTP version, the status and its phrase."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            method, url, _, status, _ = record.args
            self._write(f"  {method} {redacted(str(url))} {status}")


def _command_line(words: str | bytes | Sequence[Any]) -> str:
    """Return a program's arguments as a shell line, without credentials in URLs."""
    text = shlex.join(map(str, words)) if not isinstance(words, (str, bytes)) else str(words)
    return _CREDENTIALS.sub("***@", text)
