"""One layer's bytes, checked in one pass: digest, size, diff_id, and whether the tar inside is well formed.

It shares no code with what writes layers: the standard library unpacks and parses, so that a fault of ours is found.
Memory is bounded by the number of paths; nothing is unpacked to disk.
"""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import msgspec

from shipwheel.oci.opened import TAR_ERRORS, CappedReader

__all__ = ["CHECK_VERSION", "MAX_UNPACKED", "LayerFacts", "check_layer"]

CHECK_VERSION = "1"
"""Part of the key of stored facts: raise it when the checks change."""

MAX_UNPACKED = 32 << 30
"""A layer that unpacks to more bytes is refused."""

MAX_ENTRIES = 4_000_000
MAX_PATH = 4096
# Deflate cannot do better than 1032 to 1; what claims to is made to hurt.
_MAX_RATIO = 1100
_RATIO_FROM = 1 << 30
_SHOWN = 20
_PIECE = 32 << 10
_OUTPUT = 1 << 20


class LayerFacts(msgspec.Struct, frozen=True):
    """What a layer's bytes are. Paths have no leading or trailing slash; `diff_id` is empty when the data cannot be unpacked."""

    digest: str
    size: int
    diff_id: str
    unpacked_size: int
    entries: int
    directories: frozenset[str]
    symlinks: frozenset[str]
    removed: frozenset[str]
    """Paths that whiteouts take away; `x/` stands for all that is below x."""
    orphans: dict[str, str]
    """Parent that this layer does not have -> a path that needs it."""
    problems: tuple[str, ...]
    notes: tuple[str, ...]


class _Unpacking(Exception):
    """The compressed data is damaged, or unpacks to too much."""


def check_layer(stream: BinaryIO, size: int, algorithm: str, compression: str | None, limit: int = MAX_UNPACKED) -> LayerFacts:
    """Reads `size` bytes through. `compression` is gzip, zstd, an empty text for none, or None to find out."""
    packed = _Packed(stream, size, algorithm)
    tar = _Tar()
    unpacked = _Unpacked(packed, compression, limit)
    diff_id = ""
    try:
        tar.read(unpacked)
        unpacked.drain()
        diff_id = f"sha256:{unpacked.hash.hexdigest()}"
    except _Unpacking as error:
        tar.problem(str(error))
    packed.drain()
    return LayerFacts(
        digest=f"{algorithm}:{packed.hash.hexdigest()}",
        size=packed.size,
        diff_id=diff_id,
        unpacked_size=unpacked.size,
        entries=tar.count,
        directories=frozenset(tar.directories),
        symlinks=frozenset(tar.symlinks),
        removed=frozenset(tar.removed),
        orphans=tar.orphans,
        problems=tuple(tar.shown()),
        notes=tuple(tar.notes[:_SHOWN]),
    )


class _Packed:
    """The compressed bytes, hashed."""

    def __init__(self, stream: BinaryIO, size: int, algorithm: str) -> None:
        self._stream = stream
        self._left = size
        self.hash = hashlib.new(algorithm)
        self.size = 0

    def read(self, size: int = 1 << 20, /) -> bytes:
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        self.size += len(data)
        self.hash.update(data)
        return data

    def drain(self) -> None:
        while self.read():
            pass


class _Unpacked:
    """The uncompressed bytes as a stream that only goes forward, hashed, with a memory of where the last byte was that is not zero."""

    def __init__(self, packed: _Packed, compression: str | None, limit: int) -> None:
        self._packed = packed
        self._limit = limit
        self._chunks = self._unpack(compression)
        self._chunk = b""
        self._start = 0
        self._position = 0
        self.hash = hashlib.sha256()
        self.size = 0
        self.zeros_from = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, _whence: int = 0, /) -> int:
        if position < self._start:
            raise tarfile.ReadError("a header that leads back")
        while position > self._start + len(self._chunk) and self._next():
            pass
        self._position = position
        return position

    def read(self, size: int = -1, /) -> bytes:
        at = self._position - self._start
        if at > len(self._chunk):
            return b""
        data = self._chunk[at : at + size]
        while len(data) < size and self._next():
            data += self._chunk[: size - len(data)]
        self._position += len(data)
        return data

    def drain(self) -> None:
        while self._next():
            pass

    def _next(self) -> bool:
        self._start += len(self._chunk)
        self._chunk = next(self._chunks, b"")
        if not self._chunk:
            return False
        self.hash.update(self._chunk)
        kept = len(self._chunk) if self._chunk[-1] else len(self._chunk.rstrip(b"\0"))
        if kept:
            self.zeros_from = self.size + kept
        self.size += len(self._chunk)
        if self.size > self._limit:
            raise _Unpacking(f"unpacks to more than {self._limit} bytes")
        if self.size > _RATIO_FROM and self.size > _MAX_RATIO * self._packed.size:
            raise _Unpacking(f"{self._packed.size} bytes unpack to {self.size} and more: a decompression bomb")
        return True

    def _unpack(self, compression: str | None) -> Iterator[bytes]:
        first = self._packed.read()
        found = "gzip" if first[:2] == b"\x1f\x8b" else "zstd" if first[:4] == b"\x28\xb5\x2f\xfd" else ""
        if compression is not None and found != compression:
            raise _Unpacking(f"the media type states {compression or 'no compression'}, found {found or 'no compression'}")
        unpack = {"gzip": _gunzip, "zstd": _unzstd, "": _as_it_is}[found]
        yield from unpack(first, self._packed)


def _as_it_is(first: bytes, packed: _Packed) -> Iterator[bytes]:
    data = first
    while data:
        yield data
        data = packed.read()


def _gunzip(first: bytes, packed: _Packed) -> Iterator[bytes]:
    """Any number of members. In small pieces, since the end of each member copies the rest of its piece."""
    engine = None
    try:
        for data in _as_it_is(first, packed):
            for start in range(0, len(data), _PIECE):
                piece = data[start : start + _PIECE]
                while piece:
                    engine = engine or zlib.decompressobj(31)
                    if out := engine.decompress(piece, _OUTPUT):
                        yield out
                    piece = engine.unused_data if engine.eof else engine.unconsumed_tail
                    if engine.eof:
                        engine = None
    except zlib.error as error:
        raise _Unpacking(f"the gzip data is damaged ({error})") from error
    if engine is not None:
        raise _Unpacking("the gzip data is cut off")


def _unzstd(first: bytes, packed: _Packed) -> Iterator[bytes]:
    import zstandard

    # This reader takes a last frame that is cut off for the end; a tar that is cut off with it lacks its end-of-archive blocks.
    source = _Again(first, packed)
    try:
        with zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(cast(BinaryIO, source), read_across_frames=True) as reader:
            while out := reader.read(_OUTPUT):
                yield out
    except zstandard.ZstdError as error:
        raise _Unpacking(f"the zstd data is damaged ({error})") from error


class _Again(io.RawIOBase):
    """The compressed bytes with what was already read of them."""

    def __init__(self, first: bytes, packed: _Packed) -> None:
        super().__init__()
        self._first = first
        self._packed = packed

    def read(self, size: int = -1, /) -> bytes:
        if not self._first:
            return self._packed.read(size)
        data, self._first = self._first[:size], self._first[size:]
        return data


class _Tar:
    """What the entries of a layer say, and what is wrong with them."""

    def __init__(self) -> None:
        self.count = 0
        self.directories: set[str] = set()
        self.symlinks: set[str] = set()
        self.removed: set[str] = set()
        self.orphans: dict[str, str] = {}
        self.notes: list[str] = []
        self._files: set[str] = set()
        self._problems: list[str] = []
        self._number = 0

    def problem(self, text: str) -> None:
        self._number += 1
        if len(self._problems) < _SHOWN:
            self._problems.append(text)

    def shown(self) -> list[str]:
        more = self._number - len(self._problems)
        return [*self._problems, f"and {more} more"] if more else self._problems

    def read(self, stream: _Unpacked) -> None:
        end = 0
        try:
            with tarfile.open(fileobj=CappedReader(stream), mode="r:", encoding="utf-8") as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]
                    self._entry(member)
                end = archive.offset
        except TAR_ERRORS as error:
            if stream.size or str(error) != "empty file":
                self.problem(f"not a tar that can be read, at byte {stream.tell()}: {error}")
                return
        stream.drain()
        if stream.zeros_from > end:
            self.problem(
                f"the tar ends or is damaged at byte {end}, and data follows until byte {stream.zeros_from}: what is there is lost"
            )
        elif stream.size - end < 1024:
            self.problem(f"the tar has no end-of-archive blocks: {stream.size - end} bytes after the last entry, not 1024")

    def _entry(self, member: tarfile.TarInfo) -> None:
        self.count += 1
        if self.count > MAX_ENTRIES:
            raise tarfile.ReadError(f"more than {MAX_ENTRIES} entries")
        path = self._path(member.name)
        if not path:
            return
        if path in self._files or path in self.symlinks or path in self.directories:
            self.problem(f"{path}: there twice")
        elif path in self.orphans:
            self.problem(f"{path}: comes after {self.orphans.pop(path)}, which is below it")
        self._parent(path)
        if member.isdir():
            self.directories.add(path)
        elif member.issym():
            self.symlinks.add(path)
        else:
            self._file(path, member)

    def _file(self, path: str, member: tarfile.TarInfo) -> None:
        folder, slash, name = path.rpartition("/")
        if name.startswith(".wh."):
            # image-spec, layer.md: whiteouts.
            self.removed.add(folder + slash if name == ".wh..wh..opq" else f"{folder}{slash}{name[4:]}")
        elif member.islnk() and self._path(member.linkname) not in self._files:
            self.problem(f"{path}: a hard link to {member.linkname}, which is no file before it in this layer")
        elif member.issparse() or member.type not in tarfile.SUPPORTED_TYPES:
            self.problem(f"{path}: an entry of type {member.type!r}")
        elif member.ischr() or member.isblk() or member.isfifo():
            self.notes.append(f"{path}: a device or a pipe")
        self._files.add(path)

    def _parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent in self.symlinks or parent in self._files:
            self.problem(f"{path}: below {parent}, which is not a directory")
        elif parent and parent not in self.directories:
            self.orphans.setdefault(parent, path)

    def _path(self, name: str) -> str:
        """The path without `./` and slashes at its end; an empty text for the root, and for a path that is refused."""
        path = name.removeprefix("./").rstrip("/")
        if path in ("", ".") and not name.startswith("/"):
            return ""
        if len(path) > MAX_PATH or "\0" in path or path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
            self.problem(f"{path[:200]!r}: a path that leads outside or is malformed")
            return ""
        return path
