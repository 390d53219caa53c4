"""Part of a file that is read piece by piece, so that a large member of an archive is never in memory as a whole.

A memory map would do as well, but its pages count as the memory of the process until the map is closed.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

__all__ = ["ChunkReader", "FilePart", "OpenFile"]


class OpenFile:
    """A file that stays open until nothing refers to it. Any number of threads may read it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if (descriptor := getattr(self, "_descriptor", None)) is not None:
            os.close(descriptor)

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from an offset, fewer at the end of the file."""
        data = os.pread(self._descriptor, size, start)
        while len(data) < size and (more := os.pread(self._descriptor, size - len(data), start + len(data))):
            data += more
        return data


class FilePart:
    """`size` bytes of a file from `start` on. A slice, which has no step, reads them."""

    __slots__ = ("_file", "_size", "_start")

    def __init__(self, file: OpenFile, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        return self._file.read(self._start + start, max(stop - start, 0))

    def __bytes__(self) -> bytes:
        return self[:]


class ChunkReader(io.RawIOBase):
    """Chunks of bytes as a stream. Its `read` returns fewer bytes than it is asked for only at the end of a chunk."""

    def __init__(self, chunks: Iterator[bytes | bytearray | memoryview]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: object, /) -> int:
        """Fill the buffer from the current chunk, or the next one."""
        target = cast(memoryview, buffer)
        while not self._rest and (chunk := next(self._chunks, None)) is not None:
            self._rest = memoryview(chunk)
        piece, self._rest = self._rest[: len(target)], self._rest[len(target) :]
        target[: len(piece)] = piece
        return len(piece)
