"""Fragments of a gzip member: deflate data without a last block that ends at a byte boundary, so that more can follow.

A member is `GZIP_HEADER`, any number of fragments, `end_of_member`. A stream that already exists becomes a fragment without compressing it
again: the mark of its last block is removed, and an empty block without compression fills its last byte (RFC 1951, 3.2.4), as zlib's
gzjoin does. Every reader of gzip reads such a member; some stop, mostly silently, after the first of several members.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator

import deflate

from shipwheel.errors import ArchiveError
from shipwheel.files.compress import DAMAGED, HOSTILE, Buffer, Deflated
from shipwheel.files.deflate_blocks import LastBlock, inflate_blocks
from shipwheel.files.libdeflate import compress
from shipwheel.timeline import piece as timed

__all__ = ["Spliced", "end_of_member", "fragment", "inflate_fragments"]

_EMPTY_BLOCK = b"\x00\x00\xff\xff"
"""The lengths of a block without compression that is empty; its three header bits are zeros in the byte before."""
_LAST_BLOCK = b"\x03\x00"
"""An empty last block with fixed codes."""
_PIECE = 4 << 20
_COPIED = 1 << 20
_WRITTEN = 128 << 10


def end_of_member(crc32: int, size: int) -> bytes:
    """Return the last block and the trailer of a member; `crc32` and `size` are those of all its uncompressed bytes."""
    return _LAST_BLOCK + struct.pack("<II", crc32, size & 0xFFFFFFFF)


def fragment(data: bytes) -> bytes:
    """Compress to a fragment."""
    raw = compress(data)
    blocks = inflate_blocks(raw)
    while True:
        try:
            next(blocks)
        except StopIteration as found:
            return b"".join(_without_end(raw, found.value))


class Spliced:
    """Deflate data that becomes a fragment: iterate over its uncompressed bytes to the end, then over `parts`, the compressed ones.

    Raise ArchiveError if the bytes do not match their size or CRC-32.
    """

    def __init__(self, content: Deflated, label: str = "") -> None:
        self._content = content
        self._label = label
        # A small file is read once. A large one is read again for `parts`.
        self._raw = bytes(content.raw[:]) if len(content.raw) <= _COPIED else content.raw
        self._last: LastBlock | None = None

    def __iter__(self) -> Iterator[bytes]:
        content, crc, size = self._content, 0, 0
        blocks = inflate_blocks(self._raw)
        try:
            while True:
                with timed("inflate"):
                    piece = next(blocks)
                crc = deflate.crc32(piece, crc)
                size += len(piece)
                if size > content.size:
                    raise ArchiveError(f"{self._label}: a file unpacks to more than its stated size", hint=HOSTILE)
                yield piece
        except StopIteration as found:
            last: LastBlock = found.value
        except zlib.error as error:
            raise ArchiveError(f"{self._label}: compressed data is damaged ({error})", hint=DAMAGED) from error
        if size != content.size or crc != content.crc32:
            raise ArchiveError(f"{self._label}: compressed data does not match its checksum", hint=DAMAGED)
        self._last = last

    def parts(self) -> Iterator[bytearray]:
        """Yield the fragment in pieces; nothing before the uncompressed bytes were read."""
        return _without_end(self._raw, self._last) if self._last is not None else iter(())


def _without_end(raw: Buffer, last: LastBlock) -> Iterator[bytearray]:
    at, bit = divmod(last.start, 8)
    unused = 8 * len(raw) - last.end
    for start in range(0, len(raw), _WRITTEN):
        piece = bytearray(raw[start : start + _WRITTEN])
        if start <= at < start + len(piece):
            piece[at - start] &= ~(1 << bit)
        if start + len(piece) == len(raw):
            piece[-1] &= 0xFF >> unused
            # The header of the empty block takes three bits.
            piece += (b"\0" if unused < 3 else b"") + _EMPTY_BLOCK
        yield piece


def inflate_fragments(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the uncompressed bytes of fragments. Raise ArchiveError if they are damaged, or not `size` bytes."""
    from zlib_ng import zlib_ng

    decompressor = zlib_ng.decompressobj(-zlib.MAX_WBITS)
    found = 0
    try:
        for chunk in chunks:
            pending = chunk
            while pending and not decompressor.eof:
                piece = decompressor.decompress(pending, _PIECE)
                pending = decompressor.unconsumed_tail
                found += len(piece)
                yield piece
        piece = decompressor.flush()
    except zlib_ng.error as error:  # type: ignore[misc]  # its stubs declare an instance
        raise ArchiveError(f"compressed data is damaged ({error})", hint=DAMAGED) from error
    yield piece
    if found + len(piece) != size or decompressor.eof:
        raise ArchiveError("compressed data does not have its stated size", hint=DAMAGED)
