"""Zip archives that are checked before use, so that every reader sees the same files in them (APPNOTE 6.3).

The central directory must agree with the local headers, and the two cover the whole file: a reader that goes from header to header finds
the same members as one that starts at the end. No name may lead outside the archive.
"""

import io
import mmap
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import deflate
import msgspec

from shipwheel.errors import ArchiveError
from shipwheel.files.compress import Deflated
from shipwheel.files.entry import Content, LazyContent, checked_path, directories_above
from shipwheel.files.file_part import ChunkReader, FilePart, OpenFile

__all__ = ["HINT", "ZipArchive", "open_zip", "zip_errors"]

HINT = "The file is malformed or hostile; do not use it."

_MAX_RATIO = 300
"""A large file that unpacks to more than this many times its size is a zip bomb; deflate's own limit is 1032."""

_SMALL_BYTES = 64 << 20
_PIECE = 1 << 20
_LOCAL = struct.Struct("<4s5H3I2H")
_SIGNATURE, _END = b"PK\7\x08", b"PK\5\6"
_CENTRAL_BYTES, _END_BYTES, _LOCATOR_BYTES = 46, 22, 20
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800


class ZipArchive(msgspec.Struct, frozen=True):
    """A checked zip file; `zip.filelist` has its members. Their contents are read from `file` when they are needed.

    `starts` are the offsets of the members' data by name.
    """

    zip: zipfile.ZipFile
    file: OpenFile
    filename: str
    starts: Mapping[str, int]

    def content(self, name: str) -> Content:
        """Return the content of a member without inflating it. Raise ArchiveError if stored bytes do not match their checksum."""
        info = self.zip.getinfo(name)
        raw = FilePart(self.file, self.starts[name], info.compress_size)
        if info.compress_type == zipfile.ZIP_DEFLATED:
            return Deflated(raw, info.file_size, info.CRC)
        crc = 0
        for piece in _pieces(raw):
            crc = deflate.crc32(piece, crc)
        if crc != info.CRC:
            raise ArchiveError(f"{self.filename}: {name} does not match its checksum", hint=HINT)
        return LazyContent(info.file_size, partial(_open, raw))


def _pieces(raw: FilePart) -> Iterator[bytes]:
    return (raw[start : start + _PIECE] for start in range(0, len(raw), _PIECE))


def _open(raw: FilePart) -> BinaryIO:
    return io.BufferedReader(ChunkReader(_pieces(raw)))


@contextmanager
def zip_errors(filename: str) -> Iterator[None]:
    """Raise ArchiveError for every exception that zipfile raises for a damaged archive."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, RuntimeError, ValueError, OverflowError, IndexError, OSError) as error:
        raise ArchiveError(f"{filename} is not a valid zip archive: {error}", hint=HINT) from error


@contextmanager
def open_zip(path: Path, filename: str) -> Iterator[ZipArchive]:
    """Open the zip file at `path`; `filename` is its name in errors. Raise ArchiveError for a damaged or hostile one."""
    with path.open("rb") as stream:
        with zip_errors(filename):
            opened = zipfile.ZipFile(stream)
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
                _check(opened, data, filename)
                starts = {info.filename: _start(data, info) for info in opened.infolist()}
        with opened:
            yield ZipArchive(opened, OpenFile(path), filename, starts)


def _check(opened: zipfile.ZipFile, data: memoryview, filename: str) -> None:
    members = opened.infolist()
    for info in members:
        _check_member(info, filename)
        _check_local(info, data, filename)
    _check_names([info.filename for info in members], filename)
    _check_members_adjoin(members, data, opened.start_dir, filename)
    _check_end(members, data, opened.start_dir, filename)
    total = sum(info.file_size for info in members)
    if total > _SMALL_BYTES and total > len(data) * _MAX_RATIO:
        raise ArchiveError(f"{filename} unpacks to {total} bytes: a zip bomb", hint=HINT)


def _check_member(info: zipfile.ZipInfo, filename: str) -> None:
    name = info.filename
    if "\\" in info.orig_filename:
        # 4.4.17.1: "All slashes MUST be forward slashes". Readers differ in whether it separates directories.
        what = f"{filename}: {name} has a backslash in its path, which zip archives must not have"
        raise ArchiveError(what, hint="The wheel was made on Windows by a broken tool; use another version, or its sdist.")
    # Readers differ in what they make of `./x`, `x//` and a name that contains a zero byte.
    if checked_path(name, filename) != name.removesuffix("/") or info.orig_filename != name:
        raise ArchiveError(f"{filename}: the path {info.orig_filename!r} is not allowed in an archive", hint=HINT)
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"{filename}: {name} is encrypted", hint=HINT)
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"{filename}: {name} is a link or a device, which wheels must not contain", hint=HINT)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{filename}: {name} has a compression method that wheels do not use", hint=HINT)
    if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
        raise ArchiveError(f"{filename}: {name} has two different sizes", hint=HINT)
    if info.file_size > _SMALL_BYTES and info.file_size > info.compress_size * _MAX_RATIO:
        raise ArchiveError(f"{filename}: {name} unpacks to {info.file_size} bytes: a zip bomb", hint=HINT)


def _check_local(info: zipfile.ZipInfo, data: memoryview, filename: str) -> None:
    """Raise ArchiveError unless the local header agrees with the central directory (APPNOTE 4.3.7)."""
    at = info.header_offset
    if not 0 <= at <= len(data) - _LOCAL.size:
        raise ArchiveError(f"{filename}: {info.filename} is outside the archive", hint=HINT)
    magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack_from(data, at)
    name_at = at + _LOCAL.size
    raw = bytes(data[name_at : name_at + name_length])
    name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    size, packed = _zip64(bytes(data[name_at + name_length : name_at + name_length + extra_length]), size, packed)
    stated = ((crc, info.CRC), (packed, info.compress_size), (size, info.file_size))
    # 4.4.4, bit 3: the three fields are zero here and follow the data.
    agree = all(local == central or (flags & _DESCRIPTOR and local == 0) for local, central in stated)
    if magic != b"PK\3\4" or name != info.orig_filename or method != info.compress_type or flags & _ENCRYPTED or not agree:
        raise ArchiveError(f"{filename}: the two headers of {info.filename} do not agree", hint=HINT)


def _zip64(extra: bytes, size: int, packed: int) -> tuple[int, int]:
    """Return (size, packed size), from the zip64 extra field if the header has no room for them (APPNOTE 4.5.3)."""
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
            raise ArchiveError(f"{filename} contains {path} twice", hint=HINT)
        seen.add(path)
    directories = directories_above(seen)
    if conflicts := sorted(name for name in names if name in directories):
        raise ArchiveError(f"{filename}: {conflicts[0]} is a file and a directory", hint=HINT)


def _check_members_adjoin(members: Sequence[zipfile.ZipInfo], data: memoryview, end: int, filename: str) -> None:
    """Raise ArchiveError unless the members follow one another from the first byte to the central directory, which begins at `end`.

    Bytes between them could be a member that some readers find, and overlapping ones could differ from reader to reader.
    """
    ordered = sorted(members, key=lambda info: info.header_offset)
    offsets = [*(info.header_offset for info in ordered), end]
    if offsets[0]:
        raise ArchiveError(f"{filename} has bytes before its first file", hint=HINT)
    for info, following in zip(ordered, offsets[1:], strict=True):
        behind = _start(data, info) + info.compress_size
        if behind > following:
            raise ArchiveError(f"{filename}: {info.filename} overlaps another file or the central directory", hint=HINT)
        if bytes(data[behind:following]) not in _descriptors(info, data):
            raise ArchiveError(f"{filename} has bytes after {info.filename} that belong to no file", hint=HINT)


def _descriptors(info: zipfile.ZipInfo, data: memoryview) -> tuple[bytes, ...]:
    """Return what may follow a member's data: nothing, or, if its local header says so, a descriptor in one of four forms (4.3.9)."""
    flags: int = struct.unpack_from("<H", data, info.header_offset + 6)[0]
    if not flags & _DESCRIPTOR:
        return (b"",)
    long = struct.pack("<IQQ", info.CRC, info.compress_size, info.file_size)
    if max(info.compress_size, info.file_size) > 0xFFFFFFFF:
        return (long, _SIGNATURE + long)
    short = struct.pack("<III", info.CRC, info.compress_size, info.file_size)
    return (short, _SIGNATURE + short, long, _SIGNATURE + long)


def _check_end(members: Sequence[zipfile.ZipInfo], data: memoryview, start: int, filename: str) -> None:
    """Raise ArchiveError unless the central directory, which begins at `start`, its end record and a comment are all that follows.

    `members` are in the order of the central directory.
    """
    at = start
    for _ in members:
        at += _CENTRAL_BYTES + sum(struct.unpack_from("<3H", data, at + 28))
    rest = bytes(data[at:])
    if rest.startswith(b"PK\6\6"):
        rest = rest[12 + int(struct.unpack_from("<Q", rest, 4)[0]) :]
        rest = rest[_LOCATOR_BYTES:] if rest.startswith(b"PK\6\7") else rest
    size = _END_BYTES + int(struct.unpack_from("<H", rest, _END_BYTES - 2)[0]) if len(rest) >= _END_BYTES else 0
    if not rest.startswith(_END) or len(rest) != size or rest.rfind(_END):
        raise ArchiveError(f"{filename} does not end with its central directory", hint=HINT)


def _start(data: memoryview, info: zipfile.ZipInfo) -> int:
    """Return the offset of a member's data. The last four bytes of the header before it are the lengths of name and extra field."""
    name, extra = struct.unpack_from("<HH", data, info.header_offset + 26)
    start: int = info.header_offset + _LOCAL.size + name + extra
    return start
