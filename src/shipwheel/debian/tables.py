"""Packages and Contents files -> compact tables, one line a package or soname.

Whole archives are large (60,000 packages, two million paths): they are read as a stream and only a few columns are kept.
"""

import lzma
import re
import zlib
from collections.abc import Iterable, Iterator

from shipwheel.errors import ArchiveError

__all__ = ["TABLE_VERSION", "alternative_directory", "contents_table", "packages_table"]

TABLE_VERSION = "2"
"""Part of the tables' names in the store: raise it when the columns change."""

_COLUMNS = tuple(b"\n%b: " % name for name in (b"Package", b"Version", b"Architecture", b"Filename", b"SHA256", b"Size"))
_OPTIONAL = tuple(b"\n%b: " % name for name in (b"Source", b"Pre-Depends", b"Depends"))
_HINT = "The mirror's file is damaged: use another mirror (SHIPWHEEL_DEBIAN_MIRROR)."
_UNPACKED_LIMIT = 2 << 30
_PIECE = 8 << 20
_ALTERNATIVES = rb"(?:blas|lapack|atlas|openblas-\w+|blis-\w+)"

alternative_directory = re.compile(_ALTERNATIVES.decode()).fullmatch
"""Whether a directory below the multiarch one holds a library that update-alternatives would link into place."""


def packages_table(chunks: Iterable[bytes], name: str) -> bytes:
    """A Packages.xz file as lines `name version architecture filename sha256 size source pre-depends depends`, apart by tabs.

    Raises ArchiveError.
    """
    rows: list[bytes] = []
    for block in _blocks(_unxz(chunks, name), b"\n\n"):
        for stanza in block.split(b"\n\n"):
            row = _row(b"\n" + stanza.strip(b"\n") + b"\n")
            if row is not None:
                rows.append(row)
    rows.sort()
    return b"".join(rows)


def contents_table(chunks: Iterable[bytes], multiarch: str, name: str) -> bytes:
    """A Contents.gz file as lines `soname package,package`, apart by a tab; raises ArchiveError.

    Only shared objects in the loader's directories are kept.
    """
    pattern = re.compile(
        rb"\n(?:usr/)?lib(?:64)?/(?:%b/)?(?:%b/)?([^/\s]+\.so(?:\.[^/\s]*)?)[ \t]+(\S+)(?=\n)"
        % (re.escape(multiarch.encode()), _ALTERNATIVES)
    )
    found: dict[bytes, set[bytes]] = {}
    for block in _blocks(_gunzip(chunks, name), b"\n"):
        for soname, packages in pattern.findall(b"\n" + block + b"\n"):
            # "[[$AREA/]$SECTION/]$NAME", comma-separated (Debian repository format, Contents indices)
            found.setdefault(soname, set()).update(entry.rpartition(b"/")[2] for entry in packages.split(b","))
    return b"".join(b"%b\t%b\n" % (soname, b",".join(sorted(names))) for soname, names in sorted(found.items()))


def _row(stanza: bytes) -> bytes | None:
    values = [_value(stanza, column) for column in _COLUMNS]
    return b"\t".join((*values, *(_value(stanza, column) for column in _OPTIONAL))) + b"\n" if all(values) else None


def _value(stanza: bytes, column: bytes) -> bytes:
    start = stanza.find(column)
    if start < 0:
        return b""
    start += len(column)
    return stanza[start : stanza.find(b"\n", start)].replace(b"\t", b" ")


def _blocks(pieces: Iterable[bytes], separator: bytes) -> Iterator[bytes]:
    """The same bytes, cut at separators only."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        cut = data.rfind(separator)
        if cut < 0:
            rest = data
            continue
        rest = data[cut + len(separator) :]
        yield data[:cut]
    if rest:
        yield rest


def _unxz(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    engine = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 << 20)
    try:
        for chunk in chunks:
            yield engine.decompress(chunk)
    except (lzma.LZMAError, EOFError) as error:
        raise ArchiveError(f"{name} is damaged ({error})", hint=_HINT) from error
    if not engine.eof:
        raise ArchiveError(f"{name} is cut off", hint=_HINT)


def _gunzip(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    engine = zlib.decompressobj(31)
    left = _UNPACKED_LIMIT
    try:
        for chunk in chunks:
            pending = chunk
            while pending and not engine.eof:
                piece = engine.decompress(pending, _PIECE)
                pending = engine.unconsumed_tail
                left -= len(piece)
                if left < 0:
                    raise ArchiveError(f"{name} unpacks to more than {_UNPACKED_LIMIT} bytes", hint=_HINT)
                yield piece
    except zlib.error as error:
        raise ArchiveError(f"{name} is damaged ({error})", hint=_HINT) from error
    if not engine.eof:
        raise ArchiveError(f"{name} is cut off", hint=_HINT)
