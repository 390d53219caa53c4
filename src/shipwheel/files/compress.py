"""Raw deflate data and gzip members (RFC 1951, RFC 1952): compressed with fixed settings, and inflated with checks."""

import struct
import zlib
from collections.abc import Iterable, Iterator

import deflate
import msgspec

from shipwheel.errors import ArchiveError
from shipwheel.files.file_part import FilePart
from shipwheel.files.libdeflate import compress

__all__ = ["DAMAGED", "GZIP_HEADER", "HOSTILE", "Buffer", "Deflated", "deflated", "gunzip", "inflate", "member"]

MAX_WHOLE = 32 << 20
"""Files up to this many bytes are inflated in one call, which is the fastest way; larger ones piece by piece."""

_PIECE = 1 << 20
_MEMBER_PIECE = 32 << 10
# ID1 ID2 CM=8 FLG=0 MTIME=0 XFL=0 OS=255 (unknown)
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

DAMAGED = "The file is damaged; fetch it again."
HOSTILE = "The file is hostile; do not use it."


Buffer = bytes | bytearray | memoryview | FilePart
"""Bytes with a length and slices, in memory or in a file."""


class Deflated(msgspec.Struct, frozen=True):
    """Raw deflate data (RFC 1951) with the size and CRC-32 that a gzip trailer needs; zip entries have all three."""

    raw: Buffer
    size: int
    crc32: int


def deflated(data: bytes) -> Deflated:
    """Compress to raw deflate data."""
    return Deflated(compress(data), len(data), deflate.crc32(data))


def member(data: bytes) -> bytes:
    """Compress to one gzip member."""
    return b"".join(_member_parts(deflated(data)))


def _member_parts(content: Deflated) -> tuple[bytes, bytes | bytearray | memoryview, bytes]:
    """Return header, data and trailer of a gzip member; the deflate data is used as it is."""
    return GZIP_HEADER, content.raw[:], struct.pack("<II", content.crc32, content.size & 0xFFFFFFFF)


def inflate(content: Deflated, label: str = "") -> Iterator[bytes | bytearray]:
    """Yield the uncompressed bytes. Raise ArchiveError if their size or CRC-32 is not the stated one."""
    crc = size = 0
    for piece in _inflate_whole(content, label) if content.size <= MAX_WHOLE else _inflate_pieces(content, label):
        crc = deflate.crc32(piece, crc)
        size += len(piece)
        yield piece
    if size != content.size or crc != content.crc32:
        raise ArchiveError(f"{label}: compressed data does not match its checksum", hint=DAMAGED)


def _inflate_whole(content: Deflated, label: str) -> Iterator[bytes | bytearray]:
    # Inflated as a gzip member, so that the trailer must follow the deflate data immediately: bytes between the two would break
    # the layer that the data is spliced into. A reader stops at the first trailer that matches, so if the trailer's bytes also
    # occur inside the data, zlib has to find the end.
    header, raw, trailer = _member_parts(content)
    data = b"".join((header, raw, trailer))
    if not content.size or data.find(trailer, len(header)) != len(data) - len(trailer):
        yield from _inflate_pieces(content, label)
        return
    try:
        yield deflate.gzip_decompress(data, content.size)
    except deflate.DeflateError as error:
        raise ArchiveError(f"{label}: compressed data is damaged ({error})", hint=DAMAGED) from error


def _inflate_pieces(content: Deflated, label: str) -> Iterator[bytes | bytearray]:
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    remaining = content.size
    data = content.raw
    try:
        for start in range(0, len(data), _PIECE):
            pending = bytes(data[start : start + _PIECE])
            while pending:
                piece = decompressor.decompress(pending, _PIECE * 4)
                pending = decompressor.unconsumed_tail
                remaining -= len(piece)
                if remaining < 0:
                    raise ArchiveError(f"{label}: a file unpacks to more than its stated size", hint=HOSTILE)
                yield piece
        yield decompressor.flush()
        if not decompressor.eof or decompressor.unused_data:
            raise ArchiveError(f"{label}: compressed data does not end at its stated end", hint=HOSTILE)
    except zlib.error as error:
        raise ArchiveError(f"{label}: compressed data is damaged ({error})", hint=DAMAGED) from error


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the uncompressed bytes of any number of gzip members. Raise ArchiveError if one is damaged or cut off."""
    decompressor = None
    try:
        for chunk in chunks:
            # Small pieces, because the end of each member copies the rest of its piece.
            for start in range(0, len(chunk), _MEMBER_PIECE):
                pending = chunk[start : start + _MEMBER_PIECE]
                while pending:
                    decompressor = decompressor or zlib.decompressobj(31)
                    yield decompressor.decompress(pending, _PIECE * 4)
                    if decompressor.eof:
                        pending, decompressor = decompressor.unused_data, None
                    else:
                        pending = decompressor.unconsumed_tail
    except zlib.error as error:
        raise ArchiveError(f"gzip data is damaged ({error})", hint="Make or fetch the layer again.") from error
    if decompressor is not None:
        raise ArchiveError("gzip data ends in the middle of a member", hint="Make or fetch the layer again.")
