"""Bounds for programs of others that build something: the time that one takes, and the disk that it fills.

Only the standard library is imported, because `build_hook` needs this.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["BOUNDS_HINT", "Bounds", "BoundsWatch", "OverBounds", "disk_usage"]

BOUNDS_HINT = (
    "If the disk is full, free some space. If the build needs that much, raise max-minutes or max-gigabytes in [tool.shipwheel.build]. "
    "Otherwise choose another version or another package."
)
_SCAN_EVERY_S = 1.0
_SCAN_SHARE = 20
"""A scan of a large tree is followed by a pause of this many times its duration."""
_FREE_SHARE = 10
"""One part of this many of the free space stays free for others."""


class Bounds(NamedTuple):
    """The most that one program of a build may use: seconds, and bytes in its directories."""

    seconds: float = 180 * 60
    size: int = 20 << 30

    @classmethod
    def of(cls, minutes: int, gigabytes: int) -> "Bounds":
        """Return the bounds that the settings state."""
        return cls(minutes * 60, gigabytes << 30)

    @property
    def size_exceeded(self) -> str:
        """A clause about a program that used more of the disk."""
        return f"its build was stopped because it used more than {self.size / (1 << 30):.3g} GB of disk"


class OverBounds(Exception):
    """A program was stopped at its bounds; the message says at which."""


class BoundsWatch:
    """An event that is set once a program is over its bounds, or with another event. `reason` says why.

    The program writes to `directories`, or where this machine cannot look: then `usage` returns the bytes.
    """

    def __init__(self, stop: threading.Event, bounds: Bounds, directories: Sequence[Path], usage: Callable[[], int] | None = None) -> None:
        self.reason = ""
        self._stop = stop
        self._bounds = bounds
        self._directories = directories
        self._usage = usage or (lambda: disk_usage(directories))
        self._end = time.monotonic() + bounds.seconds
        self._next_scan = 0.0
        self._reserve = self._free() // _FREE_SHARE

    def wait(self, timeout: float) -> bool:
        """Return True if the program is to be stopped, after at most `timeout` seconds and the time to look."""
        if self._stop.wait(timeout):
            return True
        self.reason = self._over()
        return bool(self.reason)

    def _over(self) -> str:
        started = time.monotonic()
        if started > self._end:
            minutes = self._bounds.seconds / 60
            return f"its build was stopped after {minutes:.3g} minute{'s' if minutes != 1 else ''}"
        if started < self._next_scan:
            return ""
        # Names can be too deep to be measured; the free space tells of their files as well.
        if (free := self._free()) < self._reserve:
            return f"its build was stopped because the disk is nearly full: {free / (1 << 30):.3g} GB are free"
        if self._usage() > self._bounds.size:
            return self._bounds.size_exceeded
        ended = time.monotonic()
        self._next_scan = ended + max(_SCAN_EVERY_S, _SCAN_SHARE * (ended - started))
        return ""

    def _free(self) -> int:
        return min((shutil.disk_usage(path).free for path in self._directories if path.is_dir()), default=0)


def disk_usage(directories: Iterable[Path]) -> int:
    """Return the bytes that directories take on the disk; links are not followed.

    What vanishes meanwhile, or cannot be read, does not count.
    """
    total, pending = 0, [os.fspath(path) for path in directories]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return total
