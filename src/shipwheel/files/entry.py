"""File entries: paths inside an image with their type, mode, owner and content, and how to make, read and write them.

No path of the host goes beyond this point.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import IO, BinaryIO, Protocol

import msgspec

from shipwheel.errors import ArchiveError
from shipwheel.files.compress import Deflated, inflate

__all__ = [
    "Content",
    "EntryType",
    "FileEntry",
    "LazyContent",
    "Source",
    "checked_path",
    "directories_above",
    "directory",
    "file",
    "is_whiteout",
    "open_content",
    "parents",
    "read_content",
    "spooled_file",
    "symlink",
    "write_entries",
]

_MAX_IN_MEMORY = 16 << 20
_CHUNK = 1 << 20


class EntryType(Enum):
    """The entry types that images may hold; devices and sockets are refused. The values are ustar type flags."""

    FILE = b"0"
    HARDLINK = b"1"
    SYMLINK = b"2"
    DIRECTORY = b"5"


class LazyContent(msgspec.Struct, frozen=True):
    """Content that is opened when it is needed, because it may not fit into memory. `size` in bytes."""

    size: int
    open: Callable[[], BinaryIO]


Content = bytes | Deflated | LazyContent


class FileEntry(msgspec.Struct, frozen=True):
    """One path inside the image, relative and separated by `/`.

    `target` is the text of a symbolic link, or the path inside the image that a hard link refers to.
    """

    path: str
    type: EntryType
    mode: int
    content: Content = b""
    target: str = ""
    uid: int = 0
    gid: int = 0


class Source(Protocol):
    """A source of file entries: a wheel, a Debian package, the project, generated files."""

    @property
    def key(self) -> str:
        """A hex sha256 over everything that decides the bytes, known before any of them is fetched."""

    @property
    def label(self) -> str:
        """The name in errors and reports, for example `numpy 1.26.4` or `libc6 2.36-9`."""

    def entries(self) -> Iterator[FileEntry]:
        """Yield the entries in the order in which they are written."""


_NO_NAMES = frozenset(("", ".", ".."))


def checked_path(path: str, label: str) -> str:
    """Return the path without a leading `./` or trailing `/`. Raise ArchiveError if it leads outside the image."""
    cleaned = path.removeprefix("./").rstrip("/")
    if cleaned.startswith("/") or "\0" in cleaned or not _NO_NAMES.isdisjoint(cleaned.split("/")):
        raise ArchiveError(
            f"{label}: the path {path!r} is not allowed in an archive", hint="The file is malformed or hostile; do not use it."
        )
    return cleaned


def is_whiteout(path: str) -> bool:
    """Return whether engines would delete files of lower layers instead of writing this path (image-spec, layer.md: whiteouts)."""
    return path.startswith(".wh.") or "/.wh." in path


def parents(path: str) -> Iterator[str]:
    """Yield the directories above a path, innermost first."""
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path


def directories_above(paths: Iterable[str]) -> set[str]:
    """Return all directories above the paths."""
    found: set[str] = set()
    # Most files share their directory with others.
    for folder in {path.rpartition("/")[0] for path in paths}:
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def file(path: str, data: bytes | str, mode: int = 0o644, *, uid: int = 0, gid: int = 0) -> FileEntry:
    """Return a regular file with the given content; text is encoded as UTF-8."""
    content = data.encode() if isinstance(data, str) else data
    return FileEntry(path, EntryType.FILE, mode, content, uid=uid, gid=gid)


def directory(path: str, mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> FileEntry:
    """Return a directory whose attributes matter. Other directories need no entry: the layer adds every parent."""
    return FileEntry(path, EntryType.DIRECTORY, mode, uid=uid, gid=gid)


def symlink(path: str, target: str) -> FileEntry:
    """Return a symbolic link."""
    return FileEntry(path, EntryType.SYMLINK, 0o777, target=target)


def read_content(content: Content) -> bytes:
    """Return the uncompressed bytes. Raise ArchiveError if compressed data is damaged."""
    if isinstance(content, Deflated):
        return b"".join(inflate(content))
    if isinstance(content, LazyContent):
        with content.open() as stream:
            return stream.read()
    return content


def open_content(content: Content) -> BinaryIO:
    """Open the uncompressed bytes as a stream; lazy content is not read into memory."""
    return content.open() if isinstance(content, LazyContent) else io.BytesIO(read_content(content))


def spooled_file(stream: IO[bytes], size: int, path: str, mode: int, *, uid: int = 0, gid: int = 0) -> Iterator[FileEntry]:
    """Yield one regular file with the `size` bytes of a stream, for archives that can only be read in order.

    A large file is copied to a temporary file, which is removed when the caller asks for the next entry.
    """
    if size <= _MAX_IN_MEMORY:
        yield file(path, b"".join(_chunks(stream)), mode, uid=uid, gid=gid)
        return
    with tempfile.TemporaryFile() as copy:
        copy.writelines(_chunks(stream))
        copy.flush()

        def reopen() -> BinaryIO:
            duplicate = os.fdopen(os.dup(copy.fileno()), "rb")
            duplicate.seek(0)
            return duplicate

        yield FileEntry(path, EntryType.FILE, mode, LazyContent(size, reopen), uid=uid, gid=gid)


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def write_entries(entries: Iterable[FileEntry], root: Path, label: str) -> None:
    """Write entries below a directory of the host, for interpreters that the build itself runs. Owners are ignored.

    Raise ArchiveError if a path leads outside `root`, directly or through a link.
    """
    safe_parents: set[Path] = set()
    real_root = root.resolve()
    for entry in entries:
        path = root / _host_name(checked_path(entry.path, label))
        if path.parent not in safe_parents:
            if not path.parent.resolve().is_relative_to(real_root):
                raise ArchiveError(f"{label}: {entry.path} leads outside through a link", hint="The archive is hostile; do not use it.")
            path.parent.mkdir(parents=True, exist_ok=True)
            safe_parents.add(path.parent)
        match entry.type:
            case EntryType.DIRECTORY:
                path.mkdir(exist_ok=True)
            case EntryType.SYMLINK:
                path.unlink(missing_ok=True)
                path.symlink_to(_host_name(entry.target))
                safe_parents.clear()  # a parent may resolve to another place now
            case EntryType.HARDLINK:
                path.hardlink_to(root / _host_name(checked_path(entry.target, label)))
            case EntryType.FILE:
                path.unlink(missing_ok=True)
                with open_content(entry.content) as source, path.open("xb") as target:
                    shutil.copyfileobj(source, target)
                path.chmod(entry.mode)


def _host_name(name: str) -> str:
    """Return the file name whose bytes on this host are UTF-8, whatever its locale."""
    return os.fsdecode(name.encode(errors="surrogateescape"))
