"""An image on disk as named files: a layout's directory, or an archive whose members are read in place.

Reads what others made, so it trusts nothing: no path leads outside, no header is read that does not fit into memory.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import msgspec

from shipwheel.errors import ImageError, UsageError

__all__ = ["TAR_ERRORS", "CappedReader", "ChunkStream", "FileRange", "ImageFile", "ImageFiles", "Readable", "StreamedFile", "open_image"]

MAX_HEADER = 1 << 20
"""The most that one tar header, its pax records included, may take."""

MAX_MEMBERS = 100_000

TAR_ERRORS = (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError, EOFError, RecursionError)
"""What the standard library's reader raises when it is fed rubbish."""


class Readable(Protocol):
    """The part of a stream that tarfile uses to read."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes."""

    def seek(self, position: int, _whence: int = 0, /) -> int:
        """Goes to an absolute position."""

    def tell(self) -> int:
        """The position."""


class CappedReader(io.RawIOBase):
    """What tarfile reads headers through: content is skipped by seeking, so a large read is a header that lies."""

    def __init__(self, stream: Readable) -> None:
        super().__init__()
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; raises tarfile.ReadError for more than a header can be."""
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)

    def seek(self, position: int, _whence: int = 0, /) -> int:
        """Goes to an absolute position."""
        return self._stream.seek(position)

    def tell(self) -> int:
        """The position."""
        return self._stream.tell()


class ChunkStream(io.RawIOBase):
    """A stream over pieces of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class ImageFile(Protocol):
    """A file of an image, wherever it is."""

    @property
    def size(self) -> int:
        """In bytes."""

    def open(self) -> BinaryIO:
        """The file's bytes; every call gives a stream of its own, so threads may read side by side."""


class StreamedFile(msgspec.Struct, frozen=True):
    """A file of an image that is not on disk as such: its bytes are made when they are read."""

    size: int
    chunks: Callable[[], Iterator[bytes]]

    def open(self) -> BinaryIO:
        """See ImageFile."""
        return cast(BinaryIO, ChunkStream(self.chunks()))


class FileRange(msgspec.Struct, frozen=True):
    """A file of the image: `size` bytes from `offset` of a file on disk."""

    path: Path
    offset: int
    size: int

    def open(self) -> BinaryIO:
        """The file's bytes; every call gives a stream of its own, so threads may read side by side."""
        stream = self.path.open("rb")
        stream.seek(self.offset)
        return stream


class ImageFiles(msgspec.Struct, frozen=True):
    """The files of an image by their names inside it. `links` are symbolic links among them, `problems` what was wrong.

    `elsewhere` names blobs that are known to be where the image goes.
    """

    path: Path
    files: Mapping[str, ImageFile]
    links: Mapping[str, str]
    problems: tuple[str, ...] = ()
    elsewhere: frozenset[str] = frozenset()

    def find(self, name: str) -> ImageFile | None:
        """The file of that name, through the links that docker's older archives have."""
        for _ in range(8):
            found = self.files.get(name)
            target = self.links.get(name)
            if found is not None or target is None:
                return found
            name = os.path.normpath(f"{name.rpartition('/')[0]}/{target}").lstrip("/")
        return None


def open_image(path: Path) -> ImageFiles:
    """Opens a layout or an archive; raises UsageError if there is nothing, ImageError if it cannot be read as either."""
    if path.is_dir():
        return _directory(path)
    if not path.is_file():
        raise UsageError(f"{path} does not exist", hint="Name an OCI image layout, or an archive that ends in .tar.")
    try:
        return _archive(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}", hint="Make or copy the archive again.") from error


def _directory(root: Path) -> ImageFiles:
    files: dict[str, FileRange] = {}
    problems: list[str] = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            inside = path.relative_to(root).as_posix()
            if not path.is_file():
                problems.append(f"{inside}: neither a file nor a directory")
            else:
                files[inside] = FileRange(path, 0, path.stat().st_size)
    return ImageFiles(root, files, {}, tuple(sorted(problems)))


def _archive(path: Path) -> ImageFiles:
    files: dict[str, FileRange] = {}
    links: dict[str, str] = {}
    problems: list[str] = []
    size = path.stat().st_size
    with path.open("rb") as stream:
        try:
            _members(stream, path, files, links, problems)
        except TAR_ERRORS as error:
            hint = "An image archive is a tar that is not compressed; make or copy it again."
            raise ImageError(f"{path} is not an archive that can be read: {error}", hint=hint) from error
    for name, found in files.items():
        if found.offset + found.size > size:
            problems.append(f"{name}: the archive ends before its {found.size} bytes do")
    return ImageFiles(path, {name: found for name, found in files.items() if found.offset + found.size <= size}, links, tuple(problems))


def _members(stream: BinaryIO, path: Path, files: dict[str, FileRange], links: dict[str, str], problems: list[str]) -> None:
    with tarfile.open(fileobj=CappedReader(stream), mode="r:", encoding="utf-8") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]
            name = member.name.removeprefix("./")
            if name in files or name in links:
                problems.append(f"{name}: there twice in the archive")
            elif len(files) >= MAX_MEMBERS:
                raise tarfile.ReadError(f"more than {MAX_MEMBERS} members")
            elif member.isreg() and not member.issparse():
                files[name] = FileRange(path, member.offset_data, member.size)
            elif member.issym():
                links[name] = member.linkname
            elif not member.isdir():
                problems.append(f"{name}: neither a file nor a directory")
        end = archive.offset
    stream.seek(end)
    tail = stream.read(MAX_HEADER)
    if len(tail) < 1024:
        problems.append("the archive has no end-of-archive blocks: it was cut off")
    elif tail.strip(b"\0"):
        problems.append(f"the archive has data after its end, at byte {end}")
