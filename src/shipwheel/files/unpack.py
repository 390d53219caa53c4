"""Writes file entries below a directory of the host: for interpreters that the build itself runs."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from shipwheel.errors import ArchiveError
from shipwheel.files.content import stream
from shipwheel.files.entry import EntryType, FileEntry, checked_path

__all__ = ["unpack"]


def unpack(entries: Iterable[FileEntry], root: Path, label: str) -> None:
    """Creates each entry; owners are left out. Raises ArchiveError for a path that leads outside, by itself or through a link."""
    inside: set[Path] = set()
    real = root.resolve()
    for entry in entries:
        path = root / _native(checked_path(entry.path, label))
        if path.parent not in inside:
            if not path.parent.resolve().is_relative_to(real):
                raise ArchiveError(f"{label}: {entry.path} leads outside through a link", hint="The archive is hostile; do not use it.")
            path.parent.mkdir(parents=True, exist_ok=True)
            inside.add(path.parent)
        match entry.type:
            case EntryType.DIRECTORY:
                path.mkdir(exist_ok=True)
            case EntryType.SYMLINK:
                path.unlink(missing_ok=True)
                path.symlink_to(_native(entry.target))
                inside.clear()  # where directories lead may be another place now
            case EntryType.HARDLINK:
                path.hardlink_to(root / _native(checked_path(entry.target, label)))
            case EntryType.FILE:
                path.unlink(missing_ok=True)
                with stream(entry.content) as source, path.open("xb") as target:
                    shutil.copyfileobj(source, target)
                path.chmod(entry.mode)


def _native(name: str) -> str:
    """The name whose bytes on this machine are UTF-8, whatever the locale says."""
    return os.fsdecode(name.encode())
