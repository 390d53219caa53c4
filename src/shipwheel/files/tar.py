"""Deterministic, minimal tar headers in the pax interchange format (POSIX.1-2017).

The same entry yields the same bytes everywhere. The standard library's writer is half as fast, and a build writes one header for each
file; a property test compares the two.
"""

from shipwheel.errors import ArchiveError
from shipwheel.files.entry import EntryType, FileEntry

__all__ = ["BLOCK", "END_OF_ARCHIVE", "header", "padding"]

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)

_MAX_OCTAL_SIZE = 0o77777777777
_MAX_OCTAL_ID = 0o7777777
_ZEROS = bytes(BLOCK)


def padding(size: int) -> bytes:
    """Return the zeros between a file's content and the next header."""
    return _ZEROS[: -size % BLOCK]


def header(entry: FileEntry, size: int, mtime: int) -> bytes:
    """Return the header block of an entry, after a pax header if ustar has no room. `size` in bytes, `mtime` in seconds.

    Raise ArchiveError for a name that is not Unicode, because pax cannot represent it.
    """
    try:
        return _header(entry, size, mtime)
    except UnicodeEncodeError as error:
        hint = "Rename the file, or exclude it."
        raise ArchiveError(f"the name {entry.path!r} or its target {entry.target!r} is not UTF-8", hint=hint) from error


def _header(entry: FileEntry, size: int, mtime: int) -> bytes:
    name = entry.path + ("/" if entry.type is EntryType.DIRECTORY else "")
    fields = _split(name)
    records: dict[str, str] = {}
    if fields is None:
        records["path"] = name
        fields = (_truncated(name), b"")
    link = entry.target.encode()
    if len(link) > 100 or not entry.target.isascii():
        records["linkpath"] = entry.target
        link = _truncated(entry.target)
    if size > _MAX_OCTAL_SIZE:
        records["size"] = str(size)
    for key, value in (("uid", entry.uid), ("gid", entry.gid)):
        if value > _MAX_OCTAL_ID:
            records[key] = str(value)
    block = _block(fields, entry, 0 if "size" in records else size, mtime, entry.type.value, link)
    return _pax(records, mtime) + block if records else block


def _split(name: str) -> tuple[bytes, bytes] | None:
    """Return the name as ustar's (name, prefix), or None if it does not fit."""
    if not name.isascii():
        return None
    raw = name.encode()
    if len(raw) <= 100:
        return raw, b""
    # The leftmost slash that leaves a name of at most 100 bytes, as in the standard library.
    cut = raw.find(b"/", len(raw) - 101, len(raw) - 1)
    if 0 < cut <= 155:
        return raw[cut + 1 :], raw[:cut]
    return None


def _truncated(text: str) -> bytes:
    return text.encode("ascii", "replace")[:100]


def _block(fields: tuple[bytes, bytes], entry: FileEntry, size: int, mtime: int, flag: bytes, link: bytes) -> bytes:
    name, prefix = fields
    block = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%bustar\x0000%b%b%b" % (
        name.ljust(100, b"\0"),
        entry.mode & 0o7777,
        entry.uid if entry.uid <= _MAX_OCTAL_ID else 0,
        entry.gid if entry.gid <= _MAX_OCTAL_ID else 0,
        size,
        mtime,
        flag,
        link.ljust(100, b"\0"),
        bytes(64) + b"0000000\x000000000\x00",
        prefix.ljust(155, b"\0"),
        bytes(12),
    )
    return b"%b%06o\0 %b" % (block[:148], sum(block), block[156:])


def _pax(records: dict[str, str], mtime: int) -> bytes:
    body = b"".join(_record(key, value) for key, value in sorted(records.items()))
    entry = FileEntry("././@PaxHeader", EntryType.FILE, 0o644)
    return _block((b"././@PaxHeader", b""), entry, len(body), mtime, b"x", b"") + body + padding(len(body))


def _record(key: str, value: str) -> bytes:
    """Return a pax record: its own length in decimal, a space, key=value, a newline."""
    rest = b" " + key.encode() + b"=" + value.encode() + b"\n"
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest
