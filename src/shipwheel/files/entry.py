"""What a path inside an image is. No path of the host survives past this point."""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import BinaryIO, Protocol

import msgspec

from shipwheel.errors import ArchiveError

__all__ = ["Content", "Deflated", "EntryType", "FileEntry", "Opened", "Source", "checked_path", "directory", "file", "parents", "symlink"]


class EntryType(Enum):
    """The types that images hold; devices and sockets are refused at every door. Values are ustar type flags."""

    FILE = b"0"
    HARDLINK = b"1"
    SYMLINK = b"2"
    DIRECTORY = b"5"


class Deflated(msgspec.Struct, frozen=True):
    """A file's content as raw deflate (RFC 1951) with what a gzip trailer needs, as a zip entry has it."""

    raw: bytes | bytearray | memoryview
    size: int
    crc32: int


class Opened(msgspec.Struct, frozen=True):
    """A file's content that is read when it is needed: for what may be too large for memory."""

    size: int
    open: Callable[[], BinaryIO]


Content = bytes | Deflated | Opened


class FileEntry(msgspec.Struct, frozen=True):
    """A path inside the image (relative, `/` between parts), with what is there.

    `target` is a symlink's text, or the path inside the image of the file that a hard link names.
    """

    path: str
    type: EntryType
    mode: int
    content: Content = b""
    target: str = ""
    uid: int = 0
    gid: int = 0


class Source(Protocol):
    """Whatever yields file entries: a wheel, a Debian package, the project, generated files."""

    @property
    def key(self) -> str:
        """Hex sha256 over everything that decides the bytes; known before a byte is fetched."""

    @property
    def label(self) -> str:
        """What errors and reports call it: `numpy 1.26.4`, `libc6 2.36-9`."""

    def entries(self) -> Iterator[FileEntry]:
        """The entries, in the order in which they are written."""


def checked_path(path: str, label: str) -> str:
    """The path without a leading `./` or trailing `/`; raises ArchiveError for what leads outside the image."""
    cleaned = path.removeprefix("./").rstrip("/")
    if cleaned.startswith("/") or "\0" in cleaned or "\\" in cleaned or any(part in ("", ".", "..") for part in cleaned.split("/")):
        raise ArchiveError(
            f"{label}: the path {path!r} is not allowed in an archive", hint="The file is malformed or hostile; do not use it."
        )
    return cleaned


def parents(path: str) -> Iterator[str]:
    """The directories above a path, innermost first."""
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path


def file(path: str, data: bytes | str, mode: int = 0o644, *, uid: int = 0, gid: int = 0) -> FileEntry:
    """A regular file with the given content."""
    content = data.encode() if isinstance(data, str) else data
    return FileEntry(path, EntryType.FILE, mode, content, uid=uid, gid=gid)


def directory(path: str, mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> FileEntry:
    """A directory whose attributes matter; the others come by themselves."""
    return FileEntry(path, EntryType.DIRECTORY, mode, uid=uid, gid=gid)


def symlink(path: str, target: str) -> FileEntry:
    """A symbolic link."""
    return FileEntry(path, EntryType.SYMLINK, 0o777, target=target)
