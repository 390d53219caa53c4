"""The compressed and uncompressed bytes of an untrusted layer as streams: hashed, bounded, forward only.

This shares no code with the writers of layers, so that it reveals bugs in our own code. zlib-ng decompresses: it is twice as fast as zlib.
"""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

__all__ = ["MAX_UNPACKED", "Allowance", "CompressedStream", "Stream", "UncompressedStream", "UnpackError", "check_member"]

MAX_UNPACKED = 32 << 30
"""The maximum uncompressed size of an image in bytes."""

MAX_ENTRIES = 2_000_000
"""The maximum number of entries in all layers of an image."""

MAX_SPARSE = 1 << 30
"""The maximum size of a sparse file: its holes take no bytes in the archive, so no other limit applies to them."""

_MAX_ID = (1 << 32) - 1

# Deflate compresses at most 1032 to 1. Data with a higher ratio is a decompression bomb.
_MAX_RATIO = 1100
_RATIO_FROM = 1 << 30
_PIECE = 32 << 10
_OUTPUT = 1 << 20


class Stream(Protocol):
    """A source of compressed bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


class UnpackError(Exception):
    """The compressed data is damaged, or its uncompressed size exceeds a limit."""


class Allowance:
    """The number of bytes and entries that the layers of one image may still unpack to. Any thread may use it."""

    def __init__(self, size: int = MAX_UNPACKED) -> None:
        self._limits = (size, MAX_ENTRIES)
        self._size, self._entries = self._limits
        self._lock = threading.Lock()

    def take(self, *, size: int = 0, entries: int = 0) -> None:
        """Take bytes or entries. Raise UnpackError if there are fewer left."""
        with self._lock:
            self._size -= size
            self._entries -= entries
        if self._size < 0:
            raise UnpackError(f"the image unpacks to more than {self._limits[0]} bytes")
        if self._entries < 0:
            raise UnpackError(f"the image has more than {self._limits[1]} entries")


def check_member(member: tarfile.TarInfo) -> None:
    """Raise tarfile.ReadError for sizes and owners that no file system has, with which some versions of tarfile loop forever."""
    if member.size < 0 or (member.issparse() and member.size > MAX_SPARSE):
        raise tarfile.ReadError(f"{member.name[:200]!r} has a size of {member.size} bytes")
    if not 0 <= member.uid <= _MAX_ID or not 0 <= member.gid <= _MAX_ID:
        raise tarfile.ReadError(f"{member.name[:200]!r} is owned by {member.uid}:{member.gid}")


class CompressedStream:
    """The compressed bytes of a layer. Keeps their hash and size."""

    def __init__(self, stream: Stream, size: int, algorithm: str) -> None:
        self._stream = stream
        self._remaining = size
        self.hash = hashlib.new(algorithm)
        self.size = 0

    def read(self, size: int = 1 << 20, /) -> bytes:
        data = self._stream.read(min(size, self._remaining))
        self._remaining -= len(data)
        self.size += len(data)
        self.hash.update(data)
        return data

    def drain(self) -> None:
        while self.read():
            pass


class UncompressedStream:
    """The uncompressed bytes of a layer as a forward-only stream. Keeps their hash and size, and where the trailing zeros start."""

    def __init__(self, compressed: CompressedStream, compression: str | None, allowance: Allowance) -> None:
        self._compressed = compressed
        self._allowance = allowance
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
            raise tarfile.ReadError("a header that refers to an earlier position")
        while position > self._start + len(self._chunk) and self._next():
            pass
        self._position = position
        return position

    def read(self, size: int = -1, /) -> bytes:
        start = self._position - self._start
        if start > len(self._chunk):
            return b""
        data = self._chunk[start : start + size]
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
        length = len(self._chunk) if self._chunk[-1] else len(self._chunk.rstrip(b"\0"))
        if length:
            self.zeros_from = self.size + length
        self.size += len(self._chunk)
        self._allowance.take(size=len(self._chunk))
        if self.size > _RATIO_FROM and self.size > _MAX_RATIO * self._compressed.size:
            raise UnpackError(f"{self._compressed.size} bytes unpack to {self.size} and more: a decompression bomb")
        return True

    def _unpack(self, compression: str | None) -> Iterator[bytes]:
        first = self._compressed.read()
        found = "gzip" if first[:2] == b"\x1f\x8b" else "zstd" if first[:4] == b"\x28\xb5\x2f\xfd" else ""
        if compression is not None and found != compression:
            raise UnpackError(f"the media type states {compression or 'no compression'}, found {found or 'no compression'}")
        unpack = {"gzip": _gunzip, "zstd": _unzstd, "": _uncompressed}[found]
        yield from unpack(first, self._compressed)


def _uncompressed(first: bytes, compressed: CompressedStream) -> Iterator[bytes]:
    data = first
    while data:
        yield data
        data = compressed.read()


def _gunzip(first: bytes, compressed: CompressedStream) -> Iterator[bytes]:
    """Decompress any number of members, in small pieces, because the end of each member copies the rest of its piece."""
    from zlib_ng import zlib_ng

    decompressor = None
    try:
        for data in _uncompressed(first, compressed):
            for start in range(0, len(data), _PIECE):
                piece = data[start : start + _PIECE]
                while piece:
                    decompressor = decompressor or zlib_ng.decompressobj(31)
                    if out := decompressor.decompress(piece, _OUTPUT):
                        yield out
                    piece = decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail
                    if decompressor.eof:
                        decompressor = None
    except zlib_ng.error as error:  # type: ignore[misc]  # its stubs declare an instance
        raise UnpackError(f"the gzip data is damaged ({error})") from error
    if decompressor is not None:
        raise UnpackError("the gzip data is cut off")


def _unzstd(first: bytes, compressed: CompressedStream) -> Iterator[bytes]:
    import zstandard

    # zstandard accepts a last frame that is cut off, but then the tar lacks its end-of-archive blocks.
    source = _Prefixed(first, compressed)
    try:
        with zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(cast(BinaryIO, source), read_across_frames=True) as reader:
            while out := reader.read(_OUTPUT):
                yield out
    except zstandard.ZstdError as error:
        raise UnpackError(f"the zstd data is damaged ({error})") from error


class _Prefixed(io.RawIOBase):
    """A stream of bytes that were already read, followed by the rest."""

    def __init__(self, first: bytes, compressed: CompressedStream) -> None:
        super().__init__()
        self._first = first
        self._compressed = compressed

    def read(self, size: int = -1, /) -> bytes:
        if not self._first:
            return self._compressed.read(size)
        data, self._first = self._first[:size], self._first[size:]
        return data
