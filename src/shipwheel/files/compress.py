"""gzip members: made by one compressor with fixed settings, or spliced from raw deflate that already is there.

libdeflate's output depends on its version and level alone, not on the processor (RFC 1951, RFC 1952).
"""

import struct
import zlib
from collections.abc import Iterable, Iterator

import deflate

from shipwheel.errors import ArchiveError
from shipwheel.files.entry import Deflated

__all__ = ["LEVEL", "deflated", "gunzip", "inflate", "member", "splice"]

LEVEL = 6
WHOLE = 32 << 20
"""Up to this many bytes a file is inflated in one call, which is the fast way; above it, in pieces."""

_PIECE = 1 << 20
_MEMBER_PIECE = 32 << 10
# ID1 ID2 CM=8 FLG=0 MTIME=0 XFL=0 OS=255 (unknown)
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def deflated(data: bytes) -> Deflated:
    """Compresses to raw deflate."""
    return Deflated(deflate.deflate_compress(data, LEVEL), len(data), deflate.crc32(data))


def member(data: bytes) -> bytes:
    """Compresses to one gzip member."""
    return b"".join(splice(deflated(data)))


def splice(content: Deflated) -> tuple[bytes, bytes | bytearray | memoryview, bytes]:
    """A gzip member around deflate data that is copied as it is."""
    return _HEADER, content.raw, struct.pack("<II", content.crc32, content.size & 0xFFFFFFFF)


def inflate(content: Deflated, label: str = "") -> Iterator[bytes | bytearray]:
    """The uncompressed bytes; raises ArchiveError when they are not of the size and CRC-32 that were promised."""
    crc = size = 0
    for piece in _whole(content, label) if content.size <= WHOLE else _pieces(content, label):
        crc = deflate.crc32(piece, crc)
        size += len(piece)
        yield piece
    if size != content.size or crc != content.crc32:
        raise ArchiveError(f"{label}: compressed data is not what its checksum says", hint="The file is damaged; fetch it again.")


def _whole(content: Deflated, label: str) -> Iterator[bytes | bytearray]:
    # As a member, so that the trailer must follow the deflate data at once: bytes between the two would break the layer that it
    # is spliced into. A reader stops at the first trailer that fits, so one inside the data calls for the exact way.
    header, raw, trailer = splice(content)
    data = b"".join((header, raw, trailer))
    if not content.size or data.find(trailer, len(header)) != len(data) - len(trailer):
        yield from _pieces(content, label)
        return
    try:
        yield deflate.gzip_decompress(data, content.size)
    except deflate.DeflateError as error:
        raise ArchiveError(f"{label}: compressed data is damaged ({error})", hint="The file is damaged; fetch it again.") from error


def _pieces(content: Deflated, label: str) -> Iterator[bytes | bytearray]:
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    left = content.size
    data = content.raw
    try:
        for start in range(0, len(data), _PIECE):
            pending = bytes(data[start : start + _PIECE])
            while pending:
                piece = engine.decompress(pending, _PIECE * 4)
                pending = engine.unconsumed_tail
                left -= len(piece)
                if left < 0:
                    raise ArchiveError(
                        f"{label}: a file unpacks to more than the size it states", hint="The file is hostile; do not use it."
                    )
                yield piece
        yield engine.flush()
        if not engine.eof or engine.unused_data:
            raise ArchiveError(f"{label}: compressed data does not end where it is said to", hint="The file is hostile; do not use it.")
    except zlib.error as error:
        raise ArchiveError(f"{label}: compressed data is damaged ({error})", hint="The file is damaged; fetch it again.") from error


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The uncompressed bytes of any number of gzip members in a row; raises ArchiveError when they are damaged or cut off."""
    engine = None
    try:
        for chunk in chunks:
            # In small pieces, since the end of each member copies the rest of its piece.
            for start in range(0, len(chunk), _MEMBER_PIECE):
                pending = chunk[start : start + _MEMBER_PIECE]
                while pending:
                    engine = engine or zlib.decompressobj(31)
                    yield engine.decompress(pending, _PIECE * 4)
                    if engine.eof:
                        pending, engine = engine.unused_data, None
                    else:
                        pending = engine.unconsumed_tail
    except zlib.error as error:
        raise ArchiveError(f"gzip data is damaged ({error})", hint="Make or fetch the layer again.") from error
    if engine is not None:
        raise ArchiveError("gzip data ends in the middle of a member", hint="Make or fetch the layer again.")
