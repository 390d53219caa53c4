"""The contents of a store, by kind, with sizes and times of the last use.

Only files at the places where a store puts its own are found, and symbolic links are not followed: whoever sets SHIPWHEEL_CACHE to a
directory with other files keeps those.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path

import msgspec

from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.store.sessions import TEMPORARY_NAME, exclusive, leftover_files

__all__ = [
    "BUILDERS",
    "BUILD_LOGS",
    "BUILD_PACKAGES",
    "BYTECODE",
    "IMAGES",
    "INTERPRETERS",
    "LAYER_FILES",
    "Kind",
    "StoredItem",
    "stored_items",
]

BYTECODE, BUILD_LOGS = "bytecode.sqlite3", "build-logs"
"""Names in a store: of the database with compiled files, and of the directory with the output of failed builds."""

IMAGES, LAYER_FILES, INTERPRETERS, BUILDERS, BUILD_PACKAGES = "rootfs", "layer-files", "interpreters", "builders", "build-packages"
"""Names in a store of directories of directories (see `directory_cache`)."""

_BLOCK_BYTES = 4096
_HEX = lazy_pattern(r"[0-9a-f]{64,128}")
_CACHED_DIRECTORY = lazy_pattern(r"[0-9a-f]{64}|\.[0-9a-z_]{8}")
"""A directory of a `DirectoryCache`; one that is not complete, or was to be removed, begins with a dot."""


class Kind(Enum):
    """The kinds of what a store holds."""

    DOWNLOADS = "downloads"
    LAYERS = "layers"
    WHEELS = "built wheels"
    BYTECODE = "bytecode"
    IMAGES = "unpacked images"
    LAYER_FILES = "unpacked layers"
    INTERPRETERS = "interpreters"
    BUILDERS = "compilers"
    BUILD_PACKAGES = "packages of npm and cargo"
    BUILD_LOGS = "build logs"
    RECORDS = "records"
    PARTIAL = "unfinished downloads"
    TEMPORARY = "temporary files"


_DIRECTORIES = {
    Kind.IMAGES: IMAGES,
    Kind.LAYER_FILES: LAYER_FILES,
    Kind.INTERPRETERS: INTERPRETERS,
    Kind.BUILDERS: BUILDERS,
    Kind.BUILD_PACKAGES: BUILD_PACKAGES,
}


class StoredItem(msgspec.Struct, frozen=True):
    """A file, a directory with all that is below it, or a database: what is removed as a whole.

    `size` in bytes of the disk, `used` in seconds since 1970. A `leftover` belongs to a process that is gone.
    """

    kind: Kind
    path: Path
    size: int
    used: float
    leftover: bool = False


def stored_items(root: Path) -> list[StoredItem]:
    """Return what a store holds, in any order. Raise OSError if a directory cannot be read."""
    return list(_items(root)) if root.is_dir() else []


def _items(root: Path) -> Iterator[StoredItem]:
    kinds = _kinds_of_blobs(root)
    for entry in _sharded(root / "blobs"):
        if _HEX.fullmatch(entry.name):
            yield from _item(kinds.get(entry.name, Kind.DOWNLOADS), entry)
    for entry in _sharded(root / "records"):
        yield from _item(Kind.RECORDS, entry)
    for entry in _files(root / "partial", 0):
        if _HEX.fullmatch(entry.name):
            yield from _item(Kind.PARTIAL, entry)
    with exclusive(root):
        leftovers = frozenset(leftover_files(root))
    for entry in _files(root / "tmp", 0):
        if TEMPORARY_NAME.fullmatch(entry.name):
            yield from _item(Kind.TEMPORARY, entry, leftover=Path(entry.path) in leftovers)
    for entry in _files(root / BUILD_LOGS, 0):
        if entry.name.endswith(".log"):
            yield from _item(Kind.BUILD_LOGS, entry)
    for kind, name in _DIRECTORIES.items():
        for entry in _entries(root / name):
            if _CACHED_DIRECTORY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    used = entry.stat(follow_symlinks=False).st_mtime
                    yield StoredItem(kind, Path(entry.path), _size_below(entry.path), used, leftover=entry.name.startswith("."))
    database = root / BYTECODE
    if database.is_file() and not database.is_symlink():
        status = database.stat()
        yield StoredItem(Kind.BYTECODE, database, _allocated(status.st_size), status.st_mtime)


class _Naming(msgspec.Struct, frozen=True):
    """The fields of records that name blobs."""

    digest: str = ""
    parts: tuple[str, ...] = ()


def _kinds_of_blobs(root: Path) -> Mapping[str, Kind]:
    """Return the kinds of the blobs that records name, by their hashes. The others were downloaded."""
    found: dict[str, Kind] = {}
    for name, kind in (("segment", Kind.LAYERS), ("layer", Kind.LAYERS), ("built", Kind.WHEELS)):
        for entry in _files(root / "records" / name, 1):
            with suppress(OSError, InvalidDocument):
                naming = decode_json(Path(entry.path).read_bytes().partition(b"\n")[2], _Naming)
                found.update({digest.partition(":")[2]: kind for digest in (naming.digest, *naming.parts)})
    return found


def _item(kind: Kind, entry: "os.DirEntry[str]", *, leftover: bool = False) -> Iterator[StoredItem]:
    # Another process may remove it between two calls.
    with suppress(FileNotFoundError):
        status = entry.stat(follow_symlinks=False)
        yield StoredItem(kind, Path(entry.path), _allocated(status.st_size), status.st_mtime, leftover)


def _sharded(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield the files below KIND/XX/ whose names begin with XX."""
    return (entry for entry in _files(folder, 2) if entry.name[:2] == Path(entry.path).parent.name)


def _files(folder: Path, depth: int) -> Iterator["os.DirEntry[str]"]:
    """Yield the files `depth` levels below a directory."""
    for entry in _entries(folder):
        if depth and entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), depth - 1)
        elif not depth and entry.is_file(follow_symlinks=False):
            yield entry


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what is in a directory; nothing if it is missing or a symbolic link."""
    if folder.is_symlink():
        return []
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size_below(folder: str) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                status = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - for thousands of files
                # An unpacked image and its layers share their files.
                total += _allocated(status.st_size) // status.st_nlink
    return total


def _allocated(size: int) -> int:
    """Return what a file of this size takes on most file systems: the limits are about disks."""
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
