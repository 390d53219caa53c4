"""The watched files as they were last seen, which tells what a person saved from what the program itself writes while it starts."""

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shipwheel.dev.changes import Saved, Watched

__all__ = ["Seen", "SeenFiles"]

_UNKNOWN = "unknown"
"""No file's hash."""


class Seen(msgspec.Struct, frozen=True):
    """Changed files: those that were saved, and new ones that a starting program wrote."""

    saved: Saved
    own: tuple[str, ...]


class SeenFiles:
    """The watched files of a project, by their bytes. Made before a program starts: what is new while it starts is the program's own."""

    def __init__(self, watched: Watched) -> None:
        self._root = watched.root
        self._digests = {name: _digest(watched.root / name) for name in watched.names()}
        self._first = frozenset(self._digests)

    def look(self, saved: Saved, answered: float) -> Seen:
        """Return what of reported files differs from when it was last seen. Files that are written again as they were do not.

        `answered` is the time, in seconds since 1970, at which the program had started; infinite if it starts.
        """
        reported = (*saved.rebuilding, *saved.restarting)
        now = {name: _digest(self._root / name) for name in reported}
        changed = {name for name in reported if now[name] != self._digests.get(name, "")}
        self._digests |= now
        # By the time of the file, since a report may come late.
        own = {name for name in changed - self._first - {*saved.rebuilding} if _written(self._root / name) <= answered}
        rebuilding, restarting = ([name for name in names if name in changed - own] for names in (saved.rebuilding, saved.restarting))
        return Seen(Saved(tuple(rebuilding), tuple(restarting)), tuple(sorted(own)))

    def forget(self, names: Iterable[str]) -> None:
        """Take files for changed when they are next reported, also if they are as they were."""
        self._digests |= dict.fromkeys(names, _UNKNOWN)


def _digest(path: Path) -> str:
    """Return the hash of a file's bytes; empty if there is no regular file."""
    try:
        # Opening a pipe, which managers of secrets make of .env, would wait for who writes to it.
        return "" if not path.is_file() else hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _written(path: Path) -> float:
    """Return when a file was written, in seconds since 1970; infinite if there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf
