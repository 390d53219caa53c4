"""Directories that are filled once and then only read, such as unpacked images. The most recently used ones stay.

A process that uses a directory holds a shared lock (flock) on it, and a locked directory is never removed. The kernel releases the lock of
a process that was killed. Every change to the set of directories happens under a lock on their parent, so that none can disappear between
being found and being locked.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from shipwheel.store.file_lock import lock_file, locked_directory

__all__ = ["CachedDirectory", "DirectoryCache"]


class CachedDirectory:
    """A directory in use. It stays until `close` is called or this object is deleted."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._finalizer = weakref.finalize(self, os.close, lock)

    def close(self) -> None:
        """Allow the directory to be removed."""
        self._finalizer()


class DirectoryCache:
    """The directories below `parent`, by name. Names that begin with a dot are those of unfinished and removed ones.

    Every method may raise OSError. Needs flock, which Windows does not have.
    """

    def __init__(self, parent: Path) -> None:
        self.parent = parent

    def find(self, name: str) -> CachedDirectory | None:
        """Return the directory of this name, None if there is none. This is a use of it."""
        final = self.parent / name
        if not self.parent.is_dir():
            return None
        with locked_directory(self.parent):
            if not final.is_dir():
                return None
            # The modification time is the time of the last use.
            with suppress(OSError):
                os.utime(final)
            return CachedDirectory(final, _lock(final))

    def fill(self, name: str, fill: Callable[[Path], None], *, keep: int) -> CachedDirectory:
        """Return a new directory that `fill` has filled, or the one that another process has created in the meantime.

        `keep` unused directories stay, with the new one.
        """
        self.parent.mkdir(parents=True, exist_ok=True)
        self.prune(keep - 1)
        final = self.parent / name
        with locked_directory(self.parent):
            temporary = Path(tempfile.mkdtemp(prefix=".", dir=self.parent))
            filled = CachedDirectory(final, _lock(temporary))
        try:
            fill(temporary)
            temporary.chmod(0o755)
            with locked_directory(self.parent):
                if final.is_dir():
                    filled.close()
                    filled = CachedDirectory(final, _lock(final))
                else:
                    temporary.rename(final)
                    os.utime(final)
        except BaseException:
            filled.close()
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return filled

    def discard(self, name: str) -> None:
        """Remove a damaged directory, also from under those who use it."""
        with locked_directory(self.parent):
            hidden = self._hide(self.parent / name)
        shutil.rmtree(hidden, ignore_errors=True)

    def prune(self, keep: int) -> None:
        """Remove unused directories except for the `keep` most recently used ones, and the leftovers of interrupted commands."""
        with locked_directory(self.parent):
            directories = [path for path in self.parent.iterdir() if path.is_dir()]
            complete = [path for path in directories if not _is_leftover(path)]
            complete.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
            removable = [self._take(path) for path in (*filter(_is_leftover, directories), *complete[keep:])]
        for taken in filter(None, removable):
            _remove(*taken)

    def remove(self, name: str) -> bool:
        """Remove a directory. Return False if it is in use or gone."""
        with locked_directory(self.parent):
            taken = self._take(self.parent / name)
        if taken is not None:
            _remove(*taken)
        return taken is not None

    def _take(self, path: Path) -> tuple[Path, int] | None:
        """Lock and hide an unused directory. Return its new path and the lock, None if it is in use or gone."""
        lock = _lock_unused(path)
        if lock is None:
            return None
        try:
            return self._hide(path), lock
        except FileNotFoundError:
            # Another process has removed it since it was opened.
            os.close(lock)
            return None

    def _hide(self, path: Path) -> Path:
        """Rename a directory, so that no process finds it by its name. Raise FileNotFoundError if it is gone."""
        hidden = Path(tempfile.mkdtemp(prefix=".", dir=self.parent))
        try:
            return path.rename(hidden)
        except FileNotFoundError:
            hidden.rmdir()
            raise


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


def _is_leftover(path: Path) -> bool:
    # Earlier versions called unfinished directories tmp….
    return path.name.startswith((".", "tmp"))


def _lock(path: Path) -> int:
    """Return a file descriptor that holds a shared lock on a directory."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    lock_file(handle, shared=True)
    return handle


def _lock_unused(path: Path) -> int | None:
    """Return a file descriptor that holds the only lock on a directory, None if a process uses, creates or removes it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    if lock_file(handle, wait=False):
        return handle
    os.close(handle)
    return None
