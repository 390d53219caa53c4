"""The files of a layer, unpacked once: any number of unpacked images have them as hard links.

A directory below the store has a file for the content of each regular file of the layer, named by the number of its entry, and an index
of all entries in their order. Nothing in it depends on other layers, and no name of the layer becomes a name on this machine.
"""

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import msgspec

from shipwheel.digest import hash_digest
from shipwheel.errors import DamagedBlob, ImageError
from shipwheel.oci.image import ImageLayer, compressed_chunks
from shipwheel.oci.read.image_files import TAR_ERRORS, CappedReader, ChunkStream, members
from shipwheel.oci.read.layer_stream import Allowance, CompressedStream, UncompressedStream, UnpackError, check_member
from shipwheel.store.contents import LAYER_FILES
from shipwheel.store.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.store.store import Store

__all__ = ["EntryKind", "LayerEntry", "LayerFiles", "read_layer"]

_KEPT = 200
"""The number of unused layers that stay in the store."""
_INDEX = "index"
_REFUSES_LINKS = b"/site-packages/nltk/"


class EntryKind(Enum):
    """The kinds of entries that an engine which runs directories tells apart."""

    DIRECTORY = "d"
    FILE = "f"
    SYMLINK = "s"
    HARD_LINK = "h"
    OTHER = "o"
    """A device or a pipe."""


class LayerEntry(msgspec.Struct, frozen=True, array_like=True):
    """An entry of a layer. `name` and `target`, that of a link, are as in the archive, in bytes: they may be no text."""

    name: bytes
    kind: EntryKind
    mode: int
    target: bytes = b""


class _Index(msgspec.Struct, frozen=True, array_like=True):
    size: int
    entries: tuple[LayerEntry, ...]


class LayerFiles:
    """The entries of a layer, and `size`, its uncompressed bytes. Stays in the store until `close` is called."""

    def __init__(self, directory: CachedDirectory) -> None:
        self._directory = directory
        index = msgspec.msgpack.decode((directory.path / _INDEX).read_bytes(), type=_Index)
        self.size, self.entries = index.size, index.entries

    @property
    def refuses_links(self) -> bool:
        """True if it has a program that opens no data with several names (CWE-59): the image is then to have data of its own."""
        return any(_REFUSES_LINKS in entry.name for entry in self.entries)

    def content(self, number: int) -> Path:
        """Return the file with the content and the mode of the entry of this number, a regular file. It must not be changed."""
        return self._directory.path / str(number)

    def close(self) -> None:
        """Allow the files to be removed."""
        self._directory.close()


def read_layer(layer: ImageLayer, store: Store, allowance: Allowance) -> LayerFiles:
    """Return the files of a layer, which are unpacked if the store does not have them. `allowance` is that of the image.

    Raise ImageError for a malformed or hostile layer, DamagedBlob if its bytes do not match its digest, OSError if they cannot be written.
    """
    cache = DirectoryCache(store.root / LAYER_FILES)
    name = layer.descriptor.digest.partition(":")[2]
    if (kept := _find(cache, name)) is not None:
        with _damages(layer):
            allowance.take(size=kept.size, entries=len(kept.entries))
        return kept

    def fill(directory: Path) -> None:
        (directory / _INDEX).write_bytes(msgspec.msgpack.encode(_unpack(layer, store, allowance, directory)))

    return LayerFiles(cache.fill(name, fill, keep=_KEPT))


def _find(cache: DirectoryCache, name: str) -> LayerFiles | None:
    """Return the files of a layer that the store has. Those that were not all on the disk when the machine stopped are removed."""
    found = cache.find(name)
    try:
        return LayerFiles(found) if found is not None else None
    except (FileNotFoundError, msgspec.MsgspecError):
        cache.discard(name)
        return None


def _unpack(layer: ImageLayer, store: Store, allowance: Allowance, directory: Path) -> _Index:
    compressed = CompressedStream(ChunkStream(compressed_chunks(layer, store)), layer.descriptor.size, "sha256")
    data = UncompressedStream(compressed, None, allowance)
    entries: list[LayerEntry] = []
    with _damages(layer, compressed):
        with tarfile.open(fileobj=CappedReader(data), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in members(archive):
                check_member(member)
                allowance.take(entries=1)
                if (kind := _kind(member)) is EntryKind.FILE:
                    _write(archive, member, directory / str(len(entries)))
                target = os.fsencode(member.linkname) if kind in (EntryKind.SYMLINK, EntryKind.HARD_LINK) else b""
                entries.append(LayerEntry(os.fsencode(member.name), kind, member.mode & 0o7777, target))
        data.drain()
    _check(layer, compressed)
    return _Index(data.size, tuple(entries))


@contextmanager
def _damages(layer: ImageLayer, compressed: CompressedStream | None = None) -> Iterator[None]:
    """Blame the image for what is wrong with a layer, unless its bytes are others than its digest says."""
    try:
        yield
    except (*TAR_ERRORS, UnpackError) as error:
        if compressed is not None:
            _check(layer, compressed)
        hint = "The image is damaged; build or copy it again."
        raise ImageError(f"the layer {layer.descriptor.digest} cannot be read: {error}", hint=hint) from error


def _check(layer: ImageLayer, compressed: CompressedStream) -> None:
    compressed.drain()
    if hash_digest(compressed.hash) != layer.descriptor.digest:
        raise DamagedBlob(layer.descriptor.digest)


def _kind(member: tarfile.TarInfo) -> EntryKind:
    if member.isdir():
        return EntryKind.DIRECTORY
    if member.issym():
        return EntryKind.SYMLINK
    if member.islnk():
        return EntryKind.HARD_LINK
    return EntryKind.FILE if member.isreg() else EntryKind.OTHER


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    with path.open("xb") as file:
        stream = archive.extractfile(member)
        assert stream is not None  # noqa: S101 - it is a regular file
        shutil.copyfileobj(stream, file, 1 << 20)
        os.fchmod(file.fileno(), member.mode & 0o777)
