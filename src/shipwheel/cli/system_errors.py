"""Errors of the operating system that no code expected, such as a full disk."""

import os
import tempfile
from pathlib import Path

from shipwheel.errors import ShipwheelError

__all__ = ["from_system"]


def from_system(error: OSError) -> ShipwheelError:
    """Return the error to show, with the next step."""
    from shipwheel.store.store import NO_SPACE

    if error.errno in NO_SPACE:
        return _from_full_disk(error)
    path = f"{error.filename}: " if error.filename else ""
    return ShipwheelError(f"{path}{error.strerror or error}", hint="Correct this, and run the command again.")


def _from_full_disk(error: OSError) -> ShipwheelError:
    """Name the directory that is full: that of the file, or, as a failed write has no name, the one with the least space."""
    from shipwheel.store.store import default_root, store_write_error

    cache, temporary = default_root().absolute(), Path(tempfile.gettempdir())
    path = Path(os.fsdecode(error.filename)).absolute() if error.filename else min((temporary, cache), key=_free)
    if path.is_relative_to(cache):
        return store_write_error(cache, error)
    if path.is_relative_to(temporary):
        return ShipwheelError(
            f"no space left on the disk of {temporary}, the directory for temporary files",
            hint="Free some space, or set TMPDIR to a directory on another disk.",
        )
    return ShipwheelError(f"no space left on the disk of {path}", hint="Free some space, and run the command again.")


def _free(path: Path) -> int:
    """Return the free bytes on the disk of a directory; 0 if it is out of inodes. A directory that is missing is on that of its parent."""
    while not path.exists():
        path = path.parent
    if not hasattr(os, "statvfs"):
        import shutil

        return shutil.disk_usage(path).free
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize if status.f_favail or not status.f_files else 0
