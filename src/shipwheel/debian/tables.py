"""Packages and Contents files as compact tables with one line per package or soname.

An archive is large (60,000 packages, two million paths), so the files are read as streams, and only a few columns are kept.
"""

import lzma
import re
import zlib
from collections.abc import Iterable, Iterator

from shipwheel.errors import ArchiveError

__all__ = ["TABLE_VERSION", "contents_table", "find_paths", "is_alternatives_directory", "packages_table"]

TABLE_VERSION = "4"
"""Part of the tables' names in the store: raise it whenever the columns change."""

_REQUIRED = (b"Package", b"Version", b"Architecture", b"Filename", b"SHA256", b"Size")
_COLUMNS = (*_REQUIRED, b"Source", b"Pre-Depends", b"Depends", b"Provides", b"Priority", b"Multi-Arch")
_AS_ROW = bytes.maketrans(b"\n\t\r", b"\t  ")
"""The separators of a row, for values that are lines."""

_HINT = "The mirror's file is damaged: use another mirror (SHIPWHEEL_DEBIAN_MIRROR)."
_MAX_UNPACKED_BYTES = 2 << 30
_CHUNK_BYTES = 8 << 20
_ALTERNATIVES = rb"(?:blas|lapack|atlas|openblas-\w+|blis-\w+)"


def is_alternatives_directory(name: str) -> bool:
    """Return whether a directory below the multiarch one has libraries that update-alternatives would link into place."""
    return re.fullmatch(_ALTERNATIVES, name.encode()) is not None


def packages_table(chunks: Iterable[bytes], name: str) -> bytes:
    """Convert Packages.xz to lines of `name version architecture filename sha256 size source pre-depends depends provides priority
    multi-arch`, separated by tabs.

    `chunks` are the bytes of the file, `name` is its name in errors. Raise ArchiveError for a damaged file.
    """
    field = re.compile(rb"\n(%b): ([^\n]*)" % b"|".join(_COLUMNS))
    rows: list[bytes] = []
    for block in _blocks(_unxz(chunks, name), b"\n\n"):
        for stanza in block.split(b"\n\n"):
            # The first of several fields with one name counts.
            values = dict(reversed(field.findall(b"\n" + stanza)))
            if all(map(values.get, _REQUIRED)):
                row = b"\n".join([values.get(column, b"") for column in _COLUMNS])
                rows.append(_text(row.translate(_AS_ROW)) + b"\n")
    rows.sort()
    return b"".join(rows)


def contents_table(chunks: Iterable[bytes], multiarch: str, name: str) -> bytes:
    """Convert Contents.gz to lines of `soname package,package`, separated by a tab, for shared objects in the loader's directories.

    Raise ArchiveError for a damaged file.
    """
    pattern = re.compile(
        rb"\n(?:usr/)?lib(?:64)?/(?:%b/)?(?:%b/)?([^/\s]+\.so(?:\.[^/\s]*)?)[ \t]+(\S+)(?=\n)"
        % (re.escape(multiarch.encode()), _ALTERNATIVES)
    )
    packages_by_soname: dict[bytes, set[bytes]] = {}
    for block in _blocks(_gunzip(chunks, name), b"\n"):
        for soname, packages in pattern.findall(b"\n" + block + b"\n"):
            # "[[$AREA/]$SECTION/]$NAME", comma-separated (Debian repository format, Contents indices)
            packages_by_soname.setdefault(soname, set()).update(entry.rpartition(b"/")[2] for entry in packages.split(b","))
    rows = (b"%b\t%b\n" % (soname, b",".join(sorted(names))) for soname, names in packages_by_soname.items())
    return _text(b"".join(sorted(rows)))


def find_paths(chunks: Iterable[bytes], pattern: bytes, name: str) -> dict[str, frozenset[str]]:
    """Return the paths of a Contents.gz that a regular expression matches as a whole, each with the packages that have it.

    The file is read for each question, in some two seconds: as a table, all its paths would take as much space as a base. Raise
    ArchiveError for a damaged file.
    """
    line = re.compile(rb"\n(%b)[ \t]+(\S+)(?=\n)" % pattern)
    found: dict[str, frozenset[str]] = {}
    for block in _blocks(_gunzip(chunks, name), b"\n"):
        for path, packages in line.findall(b"\n" + block + b"\n"):
            names = (entry.rpartition(b"/")[2].decode(errors="replace") for entry in packages.split(b","))
            found[path.decode(errors="replace")] = frozenset(names)
    return found


def _text(data: bytes) -> bytes:
    """Return the data as valid UTF-8, which readers of the tables rely on."""
    return data.decode(errors="replace").encode()


def _blocks(pieces: Iterable[bytes], separator: bytes) -> Iterator[bytes]:
    """Yield the same bytes in pieces that end at a separator."""
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
        raise ArchiveError(f"{name} is truncated", hint=_HINT)


def _gunzip(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    engine = zlib.decompressobj(31)
    left = _MAX_UNPACKED_BYTES
    try:
        for chunk in chunks:
            pending = chunk
            while pending and not engine.eof:
                piece = engine.decompress(pending, _CHUNK_BYTES)
                pending = engine.unconsumed_tail
                left -= len(piece)
                if left < 0:
                    raise ArchiveError(f"{name} unpacks to more than {_MAX_UNPACKED_BYTES} bytes", hint=_HINT)
                yield piece
    except zlib.error as error:
        raise ArchiveError(f"{name} is damaged ({error})", hint=_HINT) from error
    if not engine.eof:
        raise ArchiveError(f"{name} is truncated", hint=_HINT)
