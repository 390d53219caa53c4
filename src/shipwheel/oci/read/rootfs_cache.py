"""CachedRootfs images in the store, for what runs directories: each is made once, the newest few stay, and none goes while it is in use.

Whoever uses one has its directory locked (flock, shared). What is done to the set of them is done under a lock of their common parent, so
between being found and being locked none can be taken away.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shipwheel.errors import StoreError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.oci.image import Image
from shipwheel.oci.read.rootfs import Rootfs
from shipwheel.store import Store

__all__ = ["KEPT", "CachedRootfs", "unpack_image"]

STAGE = "unpack"
KEPT = 4
"""How many of them stay in the store at the most, those in use aside."""


class CachedRootfs:
    """An image's files, below `path`. They stay there until `close`, or as long as this object lives."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._finalizer = weakref.finalize(self, os.close, lock)

    def close(self) -> None:
        """From now on they may be removed."""
        self._finalizer()


def unpack_image(image: Image, store: Store, reporter: Reporter) -> CachedRootfs:
    """The directory with the image's files, in the store, made once for each manifest.

    Raises ImageError, ArchiveError for a layer that is malformed or hostile, DamagedBlob for one whose bytes are others.
    """
    parent = store.root / "rootfs"
    final = parent / image.digest.partition(":")[2]
    try:
        parent.mkdir(exist_ok=True)
        return _found(final) or _made(image, final, store, reporter)
    except OSError as error:
        raise StoreError(f"the image cannot be unpacked: {error.filename}: {error.strerror or error}", hint="Free some space.") from error


def _found(final: Path) -> CachedRootfs | None:
    with _alone(final.parent):
        if not final.is_dir():
            return None
        # The newest are those that were used last.
        with suppress(OSError):
            os.utime(final)
        return CachedRootfs(final, _locked(final))


def _made(image: Image, final: Path, store: Store, reporter: Reporter) -> CachedRootfs:
    reporter(StageStarted(STAGE, len(image.layers)))
    _tidy(final.parent, KEPT - 1)
    with _alone(final.parent):
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=final.parent))
        made = CachedRootfs(final, _locked(temporary))
    try:
        rootfs = Rootfs(temporary)
        for number, layer in enumerate(image.layers, 1):
            store.check_open()
            rootfs.lay(layer, store)
            reporter(Moved(STAGE, "", number, len(image.layers)))
        temporary.chmod(0o755)
        with _alone(final.parent):
            if final.is_dir():
                # Another process was first.
                made.close()
                made = CachedRootfs(final, _locked(final))
            else:
                temporary.rename(final)
                os.utime(final)
    except BaseException:
        made.close()
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    reporter(StageFinished(STAGE, f"{len(image.layers)} layers"))
    return made


def _tidy(parent: Path, keep: int) -> None:
    """Removes all but the newest that nobody uses, and what interrupted commands left."""
    gone: list[tuple[Path, int]] = []
    with _alone(parent):
        every = [path for path in parent.iterdir() if path.is_dir()]
        whole = [path for path in every if not path.name.startswith(".")]
        whole.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in (*(path for path in every if path.name.startswith(".")), *whole[keep:]):
            # Somebody else may be about to remove what was left, or may have made it.
            with suppress(OSError):
                lock = _locked(path, wait=False)
                gone.append((_hidden(path), lock))
    for path, lock in gone:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _hidden(path: Path) -> Path:
    """Renames a directory, so that nobody finds it by its name any more."""
    return path.rename(tempfile.mkdtemp(prefix=".", dir=path.parent))


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Nobody else changes the set meanwhile."""
    import fcntl  # which Windows does not have

    handle = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _locked(path: Path, *, wait: bool = True) -> int:
    """A descriptor that keeps a directory in use, or, without `wait`, one that shows that nobody uses it; else raises BlockingIOError."""
    import fcntl

    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(handle)
        raise
    return handle
