"""Unpacking source distributions (PyPA: source distribution format), which anyone can have written."""

import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from shipwheel.errors import ArchiveError
from shipwheel.files.entry import EntryType, FileEntry, LazyContent, checked_path, file, read_content, spooled_file, symlink, write_entries

__all__ = ["unpack_sdist"]

_MAX_MEMBERS = 200_000
_MAX_UNPACKED_BYTES = 4 << 30
_UNPACK_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, ValueError, OverflowError, EOFError, OSError, RuntimeError, LookupError)
"""The errors of the standard library for damaged archives; RuntimeError stands for encrypted and unknown members of a zip."""
_HINT = "The file is malformed or hostile; do not use it."


def unpack_sdist(path: Path, directory: Path, label: str) -> Path:
    """Unpack a .tar.gz, .zip or other archive below a directory, and return the source's own directory in it. Raise ArchiveError."""
    read = _zip_entries if path.name.endswith(".zip") else _tar_entries
    try:
        write_entries(_limited(read(path, label), label), directory, label)
    except _UNPACK_ERRORS as error:
        raise ArchiveError(f"{label}: {path.name} cannot be unpacked: {error}", hint=_HINT) from error
    found = [folder for folder in directory.iterdir() if folder.is_dir() and not folder.is_symlink()]
    if len(found) != 1:
        raise ArchiveError(f"{label}: {path.name} has {len(found)} directories at its top, not one", hint=_HINT)
    return found[0]


def _limited(entries: Iterator[FileEntry], label: str) -> Iterator[FileEntry]:
    left = _MAX_UNPACKED_BYTES
    for number, entry in enumerate(entries):
        left -= entry.content.size if isinstance(entry.content, LazyContent) else len(read_content(entry.content))
        if number > _MAX_MEMBERS or left < 0:
            limit = f"{_MAX_UNPACKED_BYTES >> 30} GiB or {_MAX_MEMBERS} files"
            raise ArchiveError(f"{label}: it unpacks to more than {limit}", hint=_HINT)
        yield entry


def _tar_entries(path: Path, label: str) -> Iterator[FileEntry]:
    with tarfile.open(path, "r:*", encoding="utf-8") as archive:
        for info in archive:
            name = checked_path(info.name, label)
            mode = 0o755 if info.mode & 0o100 else 0o644
            if info.isreg():
                content = archive.extractfile(info)
                assert content is not None  # noqa: S101 - a regular file has content
                yield from spooled_file(content, info.size, name, mode)
            elif info.issym() and _stays_inside(name, info.linkname):
                yield symlink(name, info.linkname)
            elif info.islnk():
                yield FileEntry(name, EntryType.HARDLINK, mode, target=checked_path(info.linkname, label))
            elif not info.isdir():
                raise ArchiveError(f"{label}: {name} is a link to outside, a device or another file that no source has", hint=_HINT)


def _stays_inside(name: str, target: str) -> bool:
    top = name.partition("/")[0]
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return not target.startswith("/") and (whole == top or whole.startswith(f"{top}/"))


def _zip_entries(path: Path, label: str) -> Iterator[FileEntry]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                if info.file_size > _MAX_UNPACKED_BYTES:
                    raise ArchiveError(f"{label}: {info.filename} is too large", hint=_HINT)
                executable = (info.external_attr >> 16) & 0o100
                yield file(checked_path(info.filename, label), archive.read(info), 0o755 if executable else 0o644)
