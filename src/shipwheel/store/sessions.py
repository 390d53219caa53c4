"""The processes that use a store: each holds a lock (flock) on a file of its own below `sessions` for as long as it does.

Two things follow from these files. The temporary files of a process that is gone are leftovers: their names begin with that of its session,
which nobody locks. And nothing that a running process may have found is removed: every use of a file sets its modification time (see
`note_use`), so what was last used before the oldest session began is used by none.

Sessions begin, and files are removed, under a lock on the store's directory. The kernel releases the locks of a process that was killed.
"""

import os
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.store.file_lock import lock_file, locked_directory

__all__ = ["TEMPORARY_NAME", "StoreSession", "exclusive", "leftover_files", "note_use", "open_session", "used_since"]

_SESSIONS, _TEMPORARY = "sessions", "tmp"
_PREFIX = "session-"
TEMPORARY_NAME = lazy_pattern(r"(session-[0-9a-z_]+)\.[0-9a-z_]+|tmp[0-9a-z_]+")
"""A temporary file and its session. Earlier versions named none."""

_UNKNOWN_SESSION_S = 24 * 3600
"""Temporary files without a session are leftovers after this time."""

_USE_GRAIN_S = 60
"""Times of use are this exact, so that a build writes few of them."""


class StoreSession:
    """A use of a store, until `close` is called, this object is deleted or the process ends.

    `prefix` begins the names of its temporary files.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.prefix = f"{path.name}."
        self._finalizer = weakref.finalize(self, _end, path, lock)

    def close(self) -> None:
        """End the use: what it has found may be removed."""
        self._finalizer()


def open_session(root: Path) -> StoreSession | None:
    """Begin to use a store, and remove what processes that are gone have left in it.

    Return None if no file can be written, as on a read-only or full disk: then what is found may be removed, and has to be made again.
    """
    with suppress(OSError), exclusive(root):
        (root / _SESSIONS).mkdir(exist_ok=True)
        for leftover in leftover_files(root):
            with suppress(OSError):
                leftover.unlink()
        handle, name = tempfile.mkstemp(dir=root / _SESSIONS, prefix=_PREFIX)
        lock_file(handle)
        # Another user of the store must be able to find out whether it is locked.
        Path(name).chmod(0o644)
        return StoreSession(Path(name), handle)
    return None


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Let no session begin, and no other process remove anything, during the block."""
    with locked_directory(root):
        yield


def used_since(root: Path) -> float | None:
    """Return the time, in seconds, from which on files may be in use; None if no process uses the store. Call it under `exclusive`."""
    return min((began - _USE_GRAIN_S for _, began in _running(root)), default=None)


def leftover_files(root: Path) -> list[Path]:
    """Return the temporary files of processes that are gone. Call it under `exclusive`."""
    running = {path.name for path, _ in _running(root)}
    found: list[Path] = []
    for path in (root / _TEMPORARY).glob("*"):
        name = TEMPORARY_NAME.fullmatch(path.name)
        if name is None or name[1] in running:
            continue
        with suppress(FileNotFoundError):
            status = path.lstat()
            is_old = time.time() - status.st_mtime > _UNKNOWN_SESSION_S
            if stat.S_ISREG(status.st_mode) and (name[1] or is_old):
                found.append(path)
    return found


def note_use(path: Path, status: os.stat_result) -> None:
    """Set the modification time of a file or directory, which is that of its last use, to now, unless it is recent."""
    if abs(time.time() - status.st_mtime) > _USE_GRAIN_S:
        with suppress(OSError):
            os.utime(path)


def _running(root: Path) -> list[tuple[Path, float]]:
    """Return the file and the beginning of each session whose process is there, and remove the files of the others."""
    found: list[tuple[Path, float]] = []
    for path in (root / _SESSIONS).glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and not _is_over(path):
                found.append((path, status.st_mtime))
    return found


def _is_over(path: Path) -> bool:
    """Return whether the process of a session is gone, and remove the file of one that is."""
    handle = os.open(path, os.O_RDONLY)
    try:
        free = lock_file(handle, wait=False)
    finally:
        os.close(handle)
    if free:
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            # Windows, which has no flock, does not delete a file that a process has open.
            return False
    return free


def _end(path: Path, lock: int) -> None:
    with suppress(OSError):
        path.unlink()
    with suppress(OSError):
        os.close(lock)
