"""Small wheels as bytes, well-formed or wrong in any way that a zip archive can be.

The zip is written field by field (APPNOTE 4.3), because the writer of the standard library cannot write a broken one.
"""

import base64
import csv
import hashlib
import io
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

__all__ = ["Member", "SmallWheel", "record_row", "zip_bytes"]

Record = Literal["correct", "missing", "partial", "wrong hash", "wrong size"]
"""A wheel's RECORD: correct, missing, with half of the files only, or with a wrong hash or size of the first file."""

_DATE = (1 << 5) | 1  # 1980-01-01
_DEFLATED, _STORED = 8, 0
_MODE = stat.S_IFREG | 0o644


class Member(msgspec.Struct, frozen=True):
    """A member of a zip archive. Fields that are None are computed; all others are written unchecked.

    `local_*` are fields of the local header that differ from the central directory. `before` are bytes that precede the member.
    A `descriptor` follows the data, with a signature if it is `signed`.
    """

    name: str
    data: bytes = b""
    mode: int = _MODE
    stored: bool = False
    zip64: bool = False
    descriptor: bool = False
    signed: bool = True
    flags: int = 0
    method: int | None = None
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    local_name: str | None = None
    local_size: int | None = None
    local_crc: int | None = None
    before: bytes = b""


class _Fields(msgspec.Struct, frozen=True):
    """The numeric header fields of a member."""

    method: int
    flags: int
    crc: int
    packed_size: int
    size: int


def zip_bytes(members: Iterable[Member], *, prefix: bytes = b"", zip64: bool = False, comment: bytes = b"") -> bytes:
    """Return a zip archive of the members. Offsets do not count `prefix`, which precedes it as in a self-extracting archive."""
    body, directory = bytearray(), bytearray()
    count = 0
    for member in members:
        count += 1
        body += member.before
        offset = len(body)
        fields, packed = _fields(member)
        body += _local(member, fields) + packed + (_descriptor(member, fields) if member.descriptor else b"")
        directory += _central(member, fields, offset if member.offset is None else member.offset)
    return prefix + body + directory + _end(count, len(directory), len(body), zip64) + struct.pack("<H", len(comment)) + comment


def _fields(member: Member) -> tuple[_Fields, bytes]:
    packed = member.packed
    if packed is None:
        packed = member.data if member.stored else _deflate(member.data)
    flags = member.flags | (0 if member.name.isascii() else 0x800) | (8 if member.descriptor else 0)
    method = (_STORED if member.stored else _DEFLATED) if member.method is None else member.method
    crc = zlib.crc32(member.data) if member.crc is None else member.crc
    size = len(member.data) if member.size is None else member.size
    return _Fields(method, flags, crc, len(packed) if member.packed_size is None else member.packed_size, size), packed


def _deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def _local(member: Member, fields: _Fields) -> bytes:
    name = (member.name if member.local_name is None else member.local_name).encode()
    size = fields.size if member.local_size is None else member.local_size
    crc = fields.crc if member.local_crc is None else member.local_crc
    packed_size, extra = fields.packed_size, b""
    if member.descriptor:
        crc = size = packed_size = 0
    elif member.zip64:
        extra = struct.pack("<HHQQ", 1, 16, size, packed_size)
        size = packed_size = 0xFFFFFFFF
    head = (b"PK\3\4", 45 if member.zip64 else 20, fields.flags, fields.method, 0, _DATE, crc, packed_size, size, len(name), len(extra))
    return struct.pack("<4s5H3I2H", *head) + name + extra


def _descriptor(member: Member, fields: _Fields) -> bytes:
    # 4.3.9: with the signature, and with sizes of eight bytes for zip64.
    signature = b"PK\x07\x08" if member.signed else b""
    return signature + struct.pack("<IQQ" if member.zip64 else "<III", fields.crc, fields.packed_size, fields.size)


def _central(member: Member, fields: _Fields, offset: int) -> bytes:
    name = member.name.encode()
    size, packed_size, extra = fields.size, fields.packed_size, b""
    if member.zip64:
        extra = struct.pack("<HHQQQ", 1, 24, size, packed_size, offset)
        size = packed_size = offset = 0xFFFFFFFF
    attributes = member.mode << 16 | (0x10 if stat.S_ISDIR(member.mode) else 0)
    made_by, needed = 3 << 8 | 20, 45 if member.zip64 else 20
    head = (b"PK\1\2", made_by, needed, fields.flags, fields.method, 0, _DATE, fields.crc, packed_size, size)
    return struct.pack("<4s6H3I5H2I", *head, len(name), len(extra), 0, 0, 0, attributes, offset) + name + extra


def _end(count: int, size: int, offset: int, zip64: bool) -> bytes:
    """Return the end of the central directory, without the comment and its length."""
    if not zip64:
        return struct.pack("<4s4H2I", b"PK\5\6", 0, 0, count, count, size, offset)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, offset + size, 1)
    return record + locator + struct.pack("<4s4H2I", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def record_row(path: str, data: bytes) -> tuple[str, str, str]:
    """Return the row of a file in RECORD (PEP 376): path, hash, size in bytes."""
    value = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return path, f"sha256={value}", str(len(data))


class SmallWheel(msgspec.Struct, frozen=True):
    """A wheel (PEP 427). `files` maps paths to contents, `data` schemes to such files, scripts map names to `module:function`.

    `extra` members come last and are not listed in RECORD. Files of the .dist-info that `omitted` names are not written.
    """

    name: str = "small"
    version: str = "1.0"
    files: Mapping[str, bytes | str] = msgspec.field(default_factory=lambda: {"small/__init__.py": "VALUE = 1\n"})
    data: Mapping[str, Mapping[str, bytes | str]] = msgspec.field(default_factory=dict)
    console_scripts: Mapping[str, str] = msgspec.field(default_factory=dict)
    gui_scripts: Mapping[str, str] = msgspec.field(default_factory=dict)
    executable: frozenset[str] = frozenset()
    requires: Sequence[str] = ()
    requires_python: str = ""
    tag: str = "py3-none-any"
    purelib: bool = True
    record: Record = "correct"
    stored: bool = False
    zip64: bool = False
    descriptors: bool = False
    directories: bool = False
    prefix: bytes = b""
    extra: Sequence[Member] = ()
    omitted: frozenset[str] = frozenset()

    @property
    def filename(self) -> str:
        """The wheel's file name."""
        return f"{self.name}-{self.version}-{self.tag}.whl"

    @property
    def dist_info(self) -> str:
        """The name of the .dist-info directory."""
        return f"{self.name}-{self.version}.dist-info"

    def content(self) -> bytes:
        """Return the wheel's bytes, the same for the same fields."""
        members = [self._member(path, data) for path, data in self._all()]
        if self.directories:
            folders = sorted({parent for member in members for parent in _folders(member.name)})
            members = [Member(f"{folder}/", mode=stat.S_IFDIR | 0o755, stored=True) for folder in folders] + members
        return zip_bytes([*members, *self.extra], prefix=self.prefix, zip64=self.zip64)

    def _member(self, path: str, data: bytes) -> Member:
        mode = stat.S_IFREG | (0o755 if path in self.executable else 0o644)
        return Member(path, data, mode, self.stored, self.zip64, self.descriptors)

    def _all(self) -> Iterator[tuple[str, bytes]]:
        found = dict(self._installed())
        yield from found.items()
        if self.record != "missing" and "RECORD" not in self.omitted:
            path = f"{self.dist_info}/RECORD"
            yield path, _record(path, found, self.record)

    def _installed(self) -> Iterator[tuple[str, bytes]]:
        for path, data in self.files.items():
            yield path, _encoded(data)
        for scheme, files in self.data.items():
            for path, data in files.items():
                yield f"{self.name}-{self.version}.data/{scheme}/{path}", _encoded(data)
        for name, text in (("METADATA", self._metadata()), ("WHEEL", self._wheel()), ("entry_points.txt", self._entry_points())):
            if text and name not in self.omitted:
                yield f"{self.dist_info}/{name}", text.encode()

    def _metadata(self) -> str:
        lines = [f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n"]
        lines += [f"Requires-Dist: {item}\n" for item in self.requires]
        lines += [f"Requires-Python: {self.requires_python}\n"] if self.requires_python else []
        return "".join(lines)

    def _wheel(self) -> str:
        return f"Wheel-Version: 1.0\nGenerator: shipwheel.testing\nRoot-Is-Purelib: {str(self.purelib).lower()}\nTag: {self.tag}\n"

    def _entry_points(self) -> str:
        sections = (("console_scripts", self.console_scripts), ("gui_scripts", self.gui_scripts))
        return "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in items.items()) for name, items in sections if items)


def _encoded(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _folders(path: str) -> Iterator[str]:
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path


def _record(path: str, files: Mapping[str, bytes], kind: Record) -> bytes:
    rows = [record_row(name, data) for name, data in files.items()]
    match kind:
        case "partial":
            rows = rows[1::2]
        case "wrong hash":
            rows[0] = (rows[0][0], record_row("", b"something else")[1], rows[0][2])
        case "wrong size":
            rows[0] = (rows[0][0], rows[0][1], str(int(rows[0][2]) + 1))
        case _:
            pass
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*rows, (path, "", "")])
    return text.getvalue().encode()
