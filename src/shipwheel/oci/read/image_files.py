"""The files of an image on disk by name: those of a layout's directory, or the members of an archive, read in place.

The image is untrusted: no path may lead outside, and no header may exceed a size that fits into memory.
"""

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import msgspec

from shipwheel.errors import ImageError, UsageError

__all__ = [
    "TAR_ERRORS",
    "CappedReader",
    "ChunkStream",
    "FileRange",
    "ImageFile",
    "ImageFiles",
    "Readable",
    "StreamedFile",
    "members",
    "open_image",
]

MAX_HEADER = 1 << 20
"""The maximum size in bytes of one tar header with its pax records."""

MAX_MEMBERS = 100_000
_MAX_LINKS = 8

TAR_ERRORS = (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError, EOFError, RecursionError)
"""Everything that the standard library's reader raises for malformed archives."""


class Readable(Protocol):
    """The methods of a stream that tarfile uses for reading."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes."""

    def seek(self, position: int, _whence: int = 0, /) -> int:
        """Go to an absolute position."""

    def tell(self) -> int:
        """Return the position."""


class CappedReader(io.RawIOBase):
    """A stream that limits how much tarfile reads at once. Content is skipped by seeking, so only a hostile header causes a large read."""

    def __init__(self, stream: Readable) -> None:
        super().__init__()
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes. Raise tarfile.ReadError for more bytes than a header may have."""
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)

    def seek(self, position: int, _whence: int = 0, /) -> int:
        """Go to an absolute position."""
        return self._stream.seek(position)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()


class ChunkStream(io.RawIOBase):
    """A stream of chunks of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        if not self._rest:
            self._rest = next(self._chunks, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class ImageFile(Protocol):
    """A file of an image, on disk or elsewhere."""

    @property
    def size(self) -> int:
        """The size in bytes."""

    def open(self) -> BinaryIO:
        """Open the file. Every call returns a new stream, so that several threads can read at once."""


class StreamedFile(msgspec.Struct, frozen=True):
    """A file that is not on disk as such: its chunks are produced when it is read."""

    size: int
    chunks: Callable[[], Iterator[bytes]]

    def open(self) -> BinaryIO:
        """Open the file, see `ImageFile.open`."""
        return cast(BinaryIO, ChunkStream(self.chunks()))


class FileRange(msgspec.Struct, frozen=True):
    """A file whose bytes are a range of a file on disk: `size` bytes from `offset`."""

    path: Path
    offset: int
    size: int

    def open(self) -> BinaryIO:
        """Open the file, see `ImageFile.open`. The stream does not end after `size` bytes."""
        stream = self.path.open("rb")
        stream.seek(self.offset)
        return stream


class ImageFiles(msgspec.Struct, frozen=True):
    """The files of an image by their names inside it, the symbolic links between them, and the problems of the archive or directory.

    `elsewhere` are the digests of blobs that are not here, and known to be at the image's destination.
    """

    path: Path
    files: Mapping[str, ImageFile]
    links: Mapping[str, str]
    problems: tuple[str, ...] = ()
    elsewhere: frozenset[str] = frozenset()

    def find(self, name: str) -> ImageFile | None:
        """Return the file with this name, following links, which docker's older archives contain."""
        for _ in range(_MAX_LINKS):
            found = self.files.get(name)
            target = self.links.get(name)
            if found is not None or target is None:
                return found
            name = os.path.normpath(f"{name.rpartition('/')[0]}/{target}").lstrip("/")
        return None


def open_image(path: Path) -> ImageFiles:
    """Open a layout or an archive. Raise UsageError if the path does not exist, ImageError if it cannot be read as either."""
    if path.is_dir():
        return _directory(path)
    if not path.is_file():
        raise UsageError(f"{path} does not exist", hint="Name an OCI image layout, or an archive that ends in .tar.")
    try:
        return _archive(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}", hint="Build or copy the archive again.") from error


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
            _read_members(stream, path, files, links, problems)
        except TAR_ERRORS as error:
            hint = "An image archive is an uncompressed tar; build or copy it again."
            raise ImageError(f"{path} is not a readable archive: {error}", hint=hint) from error
    for name, found in files.items():
        if found.offset + found.size > size:
            problems.append(f"{name}: the archive ends before its {found.size} bytes")
    return ImageFiles(path, {name: found for name, found in files.items() if found.offset + found.size <= size}, links, tuple(problems))


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive in order, without keeping them in memory."""
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]
        yield member


def _read_members(stream: BinaryIO, path: Path, files: dict[str, FileRange], links: dict[str, str], problems: list[str]) -> None:
    with tarfile.open(fileobj=CappedReader(stream), mode="r:", encoding="utf-8") as archive:
        for member in members(archive):
            name = member.name.removeprefix("./")
            if name in files or name in links:
                problems.append(f"{name}: occurs twice in the archive")
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
