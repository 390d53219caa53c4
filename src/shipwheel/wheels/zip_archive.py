"""A zip archive that is checked before it is used: what one reader sees in it must be what every reader sees (APPNOTE 6.3).

The central directory and the headers in front of the data say the same, nothing overlaps, and no name leads outside.
"""

import io
import mmap
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import deflate
import msgspec

from shipwheel.errors import ArchiveError
from shipwheel.files.entry import Content, Deflated, Opened, checked_path, parents

__all__ = ["HINT", "ZipArchive", "damage", "open_zip"]

HINT = "The file is malformed or hostile; do not use it."

_LARGEST_RATIO = 300
"""What unpacks to more than this many times its packed size (and is not small) is a bomb: deflate itself stops at 1032."""

_SMALL = 64 << 20
_LOCAL = struct.Struct("<4s5H3I2H")
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800


class ZipArchive(msgspec.Struct, frozen=True):
    """A checked zip file with its bytes at hand. `zip.filelist` has its members."""

    zip: zipfile.ZipFile
    data: memoryview
    filename: str

    def content(self, name: str) -> Content:
        """The content of a member without inflating it; raises ArchiveError when stored bytes are not what their checksum says."""
        info = self.zip.getinfo(name)
        start = _start(self.data, info)
        raw = self.data[start : start + info.compress_size]
        if info.compress_type == zipfile.ZIP_DEFLATED:
            return Deflated(raw, info.file_size, info.CRC)
        if deflate.crc32(raw) != info.CRC:
            raise ArchiveError(f"{self.filename}: {name} is not what its checksum says", hint=HINT)
        return bytes(raw) if info.file_size <= _SMALL else Opened(info.file_size, lambda: io.BufferedReader(_View(raw)))


class _View(io.RawIOBase):
    """Bytes of the archive as a stream."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = cast(memoryview, buffer)
        piece = self._data[: len(target)]
        target[: len(piece)] = piece
        self._data = self._data[len(piece) :]
        return len(piece)


@contextmanager
def damage(filename: str) -> Iterator[None]:
    """Turns everything that zipfile raises over a damaged archive into ArchiveError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, RuntimeError, ValueError, OverflowError, IndexError, OSError) as error:
        raise ArchiveError(f"{filename} is not a valid zip archive: {error}", hint=HINT) from error


@contextmanager
def open_zip(path: Path, filename: str) -> Iterator[ZipArchive]:
    """Opens the zip file at `path`, which errors call `filename`; raises ArchiveError for one that cannot be trusted."""
    with path.open("rb") as stream:
        with damage(filename):
            opened = zipfile.ZipFile(cast(BinaryIO, stream))
            # Entries hold views of the map, so it is closed when the last of them is gone, not here.
            data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
            _check(opened, data, filename)
        with opened:
            yield ZipArchive(opened, data, filename)


def _check(opened: zipfile.ZipFile, data: memoryview, filename: str) -> None:
    members = opened.infolist()
    for info in members:
        _check_member(info, filename)
        _check_local(info, data, filename)
    _check_names([info.filename for info in members], filename)
    _check_places(members, data, opened.start_dir, filename)
    total = sum(info.file_size for info in members)
    if total > _SMALL and total > len(data) * _LARGEST_RATIO:
        raise ArchiveError(f"{filename} unpacks to {total} bytes: a bomb", hint=HINT)


def _check_member(info: zipfile.ZipInfo, filename: str) -> None:
    name = info.filename
    # Strictly: `./x`, `x//` and a name that is cut off at a zero byte mean one thing to one reader and another to the next.
    if checked_path(name, filename) != name.removesuffix("/") or info.orig_filename != name:
        raise ArchiveError(f"{filename}: the path {info.orig_filename!r} is not allowed in an archive", hint=HINT)
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"{filename}: {name} is encrypted", hint=HINT)
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"{filename}: {name} is a link or a device, which wheels may not hold", hint=HINT)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{filename}: {name} is packed by a method that wheels do not use", hint=HINT)
    if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
        raise ArchiveError(f"{filename}: {name} states two sizes", hint=HINT)
    if info.file_size > _SMALL and info.file_size > info.compress_size * _LARGEST_RATIO:
        raise ArchiveError(f"{filename}: {name} unpacks to {info.file_size} bytes: a bomb", hint=HINT)


def _check_local(info: zipfile.ZipInfo, data: memoryview, filename: str) -> None:
    """The header in front of the data must say what the central directory says (APPNOTE 4.3.7)."""
    at = info.header_offset
    if not 0 <= at <= len(data) - _LOCAL.size:
        raise ArchiveError(f"{filename}: {info.filename} is outside the archive", hint=HINT)
    magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack_from(data, at)
    name_at = at + _LOCAL.size
    raw = bytes(data[name_at : name_at + name_length])
    name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    size, packed = _zip64(bytes(data[name_at + name_length : name_at + name_length + extra_length]), size, packed)
    stated = ((crc, info.CRC), (packed, info.compress_size), (size, info.file_size))
    # 4.4.4, bit 3: the three are zero here and follow the data.
    agree = all(here == there or (flags & _DESCRIPTOR and here == 0) for here, there in stated)
    if magic != b"PK\3\4" or name != info.orig_filename or method != info.compress_type or flags & _ENCRYPTED or not agree:
        raise ArchiveError(f"{filename}: the two headers of {info.filename} do not agree", hint=HINT)


def _zip64(extra: bytes, size: int, packed: int) -> tuple[int, int]:
    """(size, packed size), from the zip64 extra field where the header has no room (APPNOTE 4.5.3)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
            size = next(values, size) if size == 0xFFFFFFFF else size
            packed = next(values, packed) if packed == 0xFFFFFFFF else packed
        at += 4 + length
    return size, packed


def _check_names(names: Sequence[str], filename: str) -> None:
    seen: set[str] = set()
    for name in names:
        if (path := name.rstrip("/")) in seen:
            raise ArchiveError(f"{filename}: {path} is there twice", hint=HINT)
        seen.add(path)
    folders = {parent for name in seen for parent in parents(name)}
    if clash := sorted(name for name in names if name in folders):
        raise ArchiveError(f"{filename}: {clash[0]} is a file and a directory", hint=HINT)


def _check_places(members: Sequence[zipfile.ZipInfo], data: memoryview, end: int, filename: str) -> None:
    """No member overlaps another or the central directory, which begins at `end`."""
    last = 0
    for info in sorted(members, key=lambda info: info.header_offset):
        if info.header_offset < last:
            raise ArchiveError(f"{filename}: {info.filename} overlaps another file", hint=HINT)
        last = _start(data, info) + info.compress_size
        if last > end:
            raise ArchiveError(f"{filename}: {info.filename} is outside the archive", hint=HINT)


def _start(data: memoryview, info: zipfile.ZipInfo) -> int:
    """Where a member's data begins: behind its header, of which the last four bytes give the lengths of name and extra field."""
    name, extra = struct.unpack_from("<HH", data, info.header_offset + 26)
    start: int = info.header_offset + _LOCAL.size + name + extra
    return start
