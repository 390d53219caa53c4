"""The bytes of a layer that somebody else made, as they come and as they unpack: hashed, bounded, in one direction.

It shares no code with what writes layers: the standard library unpacks, so that a fault of ours is found.
"""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

__all__ = ["MAX_UNPACKED", "CompressedStream", "Stream", "UncompressedStream", "UnpackError", "check_member"]

MAX_UNPACKED = 32 << 30
"""A layer that unpacks to more bytes is refused."""

MAX_SPARSE = 1 << 30
"""A file with holes has no bytes in the archive for them, so nothing else bounds it."""

_MAX_ID = (1 << 32) - 1

# Deflate cannot do better than 1032 to 1; what claims to is made to hurt.
_MAX_RATIO = 1100
_RATIO_FROM = 1 << 30
_PIECE = 32 << 10
_OUTPUT = 1 << 20


class Stream(Protocol):
    """What compressed bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


class UnpackError(Exception):
    """The compressed data is damaged, or unpacks to too much."""


def check_member(member: tarfile.TarInfo) -> None:
    """Raises tarfile.ReadError for a header whose numbers no file system has: some releases of the reader go round in circles with them."""
    if member.size < 0 or (member.issparse() and member.size > MAX_SPARSE):
        raise tarfile.ReadError(f"{member.name[:200]!r} has a size of {member.size} bytes")
    if not 0 <= member.uid <= _MAX_ID or not 0 <= member.gid <= _MAX_ID:
        raise tarfile.ReadError(f"{member.name[:200]!r} is owned by {member.uid}:{member.gid}")


class CompressedStream:
    """The compressed bytes, hashed."""

    def __init__(self, stream: Stream, size: int, algorithm: str) -> None:
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


class UncompressedStream:
    """The uncompressed bytes as a stream that only goes forward, hashed, with a memory of where the last byte was that is not zero."""

    def __init__(self, packed: CompressedStream, compression: str | None, limit: int) -> None:
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
            raise UnpackError(f"unpacks to more than {self._limit} bytes")
        if self.size > _RATIO_FROM and self.size > _MAX_RATIO * self._packed.size:
            raise UnpackError(f"{self._packed.size} bytes unpack to {self.size} and more: a decompression bomb")
        return True

    def _unpack(self, compression: str | None) -> Iterator[bytes]:
        first = self._packed.read()
        found = "gzip" if first[:2] == b"\x1f\x8b" else "zstd" if first[:4] == b"\x28\xb5\x2f\xfd" else ""
        if compression is not None and found != compression:
            raise UnpackError(f"the media type states {compression or 'no compression'}, found {found or 'no compression'}")
        unpack = {"gzip": _gunzip, "zstd": _unzstd, "": _as_it_is}[found]
        yield from unpack(first, self._packed)


def _as_it_is(first: bytes, packed: CompressedStream) -> Iterator[bytes]:
    data = first
    while data:
        yield data
        data = packed.read()


def _gunzip(first: bytes, packed: CompressedStream) -> Iterator[bytes]:
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
        raise UnpackError(f"the gzip data is damaged ({error})") from error
    if engine is not None:
        raise UnpackError("the gzip data is cut off")


def _unzstd(first: bytes, packed: CompressedStream) -> Iterator[bytes]:
    import zstandard

    # This reader takes a last frame that is cut off for the end; a tar that is cut off with it lacks its end-of-archive blocks.
    source = _Again(first, packed)
    try:
        with zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(cast(BinaryIO, source), read_across_frames=True) as reader:
            while out := reader.read(_OUTPUT):
                yield out
    except zstandard.ZstdError as error:
        raise UnpackError(f"the zstd data is damaged ({error})") from error


class _Again(io.RawIOBase):
    """The compressed bytes with what was already read of them."""

    def __init__(self, first: bytes, packed: CompressedStream) -> None:
        super().__init__()
        self._first = first
        self._packed = packed

    def read(self, size: int = -1, /) -> bytes:
        if not self._first:
            return self._packed.read(size)
        data, self._first = self._first[:size], self._first[size:]
        return data
