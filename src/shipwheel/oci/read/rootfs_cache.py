"""A cache of unpacked images in the store, for engines that run directories. The most recently used ones stay.

A process that uses an image holds a shared lock (flock) on its directory, and a locked directory is never removed. Every change to the
set of directories happens under a lock on their parent, so that none can disappear between being found and being locked.
"""

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from shipwheel.errors import StoreError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.file_lock import locked_directory
from shipwheel.oci.image import Image
from shipwheel.oci.read.rootfs import Rootfs
from shipwheel.store import Store

__all__ = ["KEPT", "CachedRootfs", "unpack_image"]

STAGE = "unpack"
KEPT = 4
"""The number of unused images that stay in the store."""


class CachedRootfs:
    """The files of an image below `path`. They stay until `close` is called or this object is deleted."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._finalizer = weakref.finalize(self, os.close, lock)

    def close(self) -> None:
        """Allow the files to be removed."""
        self._finalizer()


def unpack_image(image: Image, store: Store, reporter: Reporter) -> CachedRootfs:
    """Return the unpacked files of an image, which are created once for each manifest.

    Raise ImageError or ArchiveError for a malformed or hostile layer, DamagedBlob if its bytes do not match its digest, StoreError if the
    files cannot be written.
    """
    parent = store.root / "rootfs"
    final = parent / image.digest.partition(":")[2]
    try:
        parent.mkdir(exist_ok=True)
        return _find(final) or _create(image, final, store, reporter)
    except OSError as error:
        raise StoreError(f"the image cannot be unpacked: {error.filename}: {error.strerror or error}", hint="Free some space.") from error


def _find(final: Path) -> CachedRootfs | None:
    with locked_directory(final.parent):
        if not final.is_dir():
            return None
        # The modification time is the time of the last use.
        with suppress(OSError):
            os.utime(final)
        return CachedRootfs(final, _lock(final))


def _create(image: Image, final: Path, store: Store, reporter: Reporter) -> CachedRootfs:
    reporter(StageStarted(STAGE, len(image.layers)))
    _prune(final.parent, KEPT - 1)
    with locked_directory(final.parent):
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=final.parent))
        unpacked = CachedRootfs(final, _lock(temporary))
    try:
        rootfs = Rootfs(temporary)
        for number, layer in enumerate(image.layers, 1):
            store.check_open()
            rootfs.apply(layer, store)
            reporter(Moved(STAGE, "", number, len(image.layers)))
        temporary.chmod(0o755)
        with locked_directory(final.parent):
            if final.is_dir():
                # Another process has created it in the meantime.
                unpacked.close()
                unpacked = CachedRootfs(final, _lock(final))
            else:
                temporary.rename(final)
                os.utime(final)
    except BaseException:
        unpacked.close()
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    reporter(StageFinished(STAGE, f"{len(image.layers)} layers"))
    return unpacked


def _prune(parent: Path, keep: int) -> None:
    """Remove unused images except for the `keep` most recently used ones, and the leftovers of interrupted commands."""
    removable: list[tuple[Path, int]] = []
    with locked_directory(parent):
        directories = [path for path in parent.iterdir() if path.is_dir()]
        complete = [path for path in directories if not path.name.startswith(".")]
        complete.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in (*(path for path in directories if path.name.startswith(".")), *complete[keep:]):
            # Locking fails if another process uses, creates or removes the directory.
            with suppress(OSError):
                lock = _lock(path, wait=False)
                removable.append((_hide(path), lock))
    for path, lock in removable:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _hide(path: Path) -> Path:
    """Rename a directory, so that no process finds it by its name."""
    return path.rename(tempfile.mkdtemp(prefix=".", dir=path.parent))


def _lock(path: Path, *, wait: bool = True) -> int:
    """Return a file descriptor that holds a shared lock on a directory.

    Without `wait`, the lock is exclusive: raise BlockingIOError if a process uses the directory.
    """
    import fcntl

    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(handle)
        raise
    return handle
