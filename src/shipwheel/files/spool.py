"""Files out of an archive that is read as a stream: what is large lies in a temporary file until it is taken."""

import os
import tempfile
from collections.abc import Iterator
from typing import IO, BinaryIO

from shipwheel.files.entry import EntryType, FileEntry, Opened, file

__all__ = ["spooled"]

_IN_MEMORY = 16 << 20
_PIECE = 1 << 20


def spooled(stream: IO[bytes], size: int, path: str, mode: int) -> Iterator[FileEntry]:
    """One entry with what a stream holds, `size` bytes; it must be read before the next is asked for."""
    if size <= _IN_MEMORY:
        yield file(path, b"".join(_pieces(stream)), mode)
        return
    with tempfile.TemporaryFile() as copy:
        copy.writelines(_pieces(stream))
        copy.flush()

        def opened() -> BinaryIO:
            again = os.fdopen(os.dup(copy.fileno()), "rb")
            again.seek(0)
            return again

        yield FileEntry(path, EntryType.FILE, mode, Opened(size, opened))


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece
