"""Layers: the entries of all directories, then segments in order, then the end-of-archive blocks, as one gzip member.

A layer is never stored as a whole. It is the concatenation of its parts, which are blobs in the store (image-spec, layer.md).

If several sources of a layer have the same path, the last one's file is in the layer. The spec forbids "duplicate entries for file paths in
the resulting tar archive", so the other segments are written again without it. The layer's key covers this: it names all sources in order.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from functools import cached_property

import deflate
import msgspec

from shipwheel.digest import Digest, digest_of, hash_digest
from shipwheel.files import tar
from shipwheel.files.compress import GZIP_HEADER, gunzip
from shipwheel.files.entry import EntryType, FileEntry, Source, directories_above
from shipwheel.files.fragments import end_of_member, fragment
from shipwheel.files.overlaps import check_kinds, replaced_paths
from shipwheel.files.segment import (
    SEGMENT_RECORD,
    Directory,
    Segment,
    find_segment,
    key_of,
    make_segment,
    source_date_epoch,
    uncompressed_chunks,
)
from shipwheel.files.trimmed import TrimmedSegment
from shipwheel.oci.model import MEDIA_TYPE_LAYER_GZIP, MEDIA_TYPE_LAYER_ZSTD, Descriptor
from shipwheel.store.store import Store
from shipwheel.timeline import LAYERS, piece, span

__all__ = [
    "ANNOTATION_KEY",
    "ANNOTATION_UNPACKED",
    "LAYER_RECORD",
    "Compression",
    "Layer",
    "LayerSpec",
    "find_layer",
    "layer_chunks",
    "layer_from_descriptor",
    "make_layer",
]

ANNOTATION_KEY = "io.shipwheel.layer.key"
ANNOTATION_UNPACKED = "io.shipwheel.layer.unpacked-size"

LAYER_RECORD = "layer"
"""The kind of the store's records of layers."""

ZSTD_LEVEL = 9
"""A fifth smaller than gzip; higher levels take several times as long for little more."""


class Compression(Enum):
    """How layers are compressed. The values are their media types."""

    GZIP = MEDIA_TYPE_LAYER_GZIP
    ZSTD = MEDIA_TYPE_LAYER_ZSTD


class LayerSpec(msgspec.Struct, frozen=True, dict=True):
    """The content of a layer that may not exist yet; its key is known before anything is fetched.

    `base_directories` are directories of the layers below, with the attributes that entries of this layer must not change.
    """

    name: str
    sources: tuple[Source, ...]
    base_directories: tuple[tuple[str, Directory], ...] = ()
    compression: Compression = Compression.GZIP

    @property
    def contents(self) -> tuple[str, ...]:
        """The labels of the sources, if there are several: otherwise the name tells."""
        return tuple(source.label for source in self.sources) if len(self.sources) > 1 else ()

    @cached_property
    def key(self) -> str:
        """A hex sha256 over the keys of the sources, in order, the base directories and, unless it is gzip, the compressor."""
        directories = (f"{path} {directory.mode:o} {directory.uid}:{directory.gid}" for path, directory in self.base_directories)
        return key_of("layer", *(source.key for source in self.sources), *directories, *self._compressor)

    @property
    def _compressor(self) -> tuple[str, ...]:
        """The compressor's version and level, which decide the bytes. For gzip, they are part of the segments' keys."""
        if self.compression is Compression.GZIP:
            return ()
        import zstandard

        return (f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))} {ZSTD_LEVEL}",)


class Layer(msgspec.Struct, frozen=True):
    """A layer that shipwheel has built. `parts` are the digests of its consecutive blobs, `segments` the keys of its sources.

    A layer that only a registry has, has no parts. `contents` are the labels of its sources, if there are several.
    """

    key: str
    name: str
    digest: Digest
    size: int
    diff_id: Digest
    unpacked_size: int
    parts: tuple[Digest, ...]
    segments: tuple[str, ...]
    contents: tuple[str, ...] = ()
    compression: Compression = Compression.GZIP

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor for a manifest. Its annotations contain the key, so that the layer can be found without fetching it."""
        annotations = {ANNOTATION_KEY: self.key, ANNOTATION_UNPACKED: str(self.unpacked_size)}
        return Descriptor(media_type=self.compression.value, digest=self.digest, size=self.size, annotations=annotations)


def find_layer(spec: LayerSpec, store: Store) -> Layer | None:
    """Return the layer of a spec if the store has all of its parts and the metadata of its segments."""
    layer = store.get_as(LAYER_RECORD, spec.key, Layer)
    if layer is None:
        return None
    known = all(store.get(SEGMENT_RECORD, key) is not None for key in layer.segments)
    return layer if known and all(store.has(part) for part in layer.parts) else None


def layer_from_descriptor(spec: LayerSpec, descriptor: Descriptor, diff_id: Digest) -> Layer | None:
    """Return the layer of a spec as a pushed image describes it, without parts. Return None if the descriptor is not for this layer."""
    size = descriptor.annotations.get(ANNOTATION_UNPACKED, "")
    if descriptor.annotations.get(ANNOTATION_KEY) != spec.key or not re.fullmatch(r"[0-9]{1,18}", size):
        return None
    if descriptor.size < 0 or descriptor.media_type != spec.compression.value:
        return None
    keys = tuple(source.key for source in spec.sources)
    return Layer(spec.key, spec.name, descriptor.digest, descriptor.size, diff_id, int(size), (), keys, compression=spec.compression)


def layer_chunks(layer: Layer, store: Store) -> Iterator[bytes]:
    """Yield the layer's compressed bytes. Discard a damaged part and raise DamagedBlob. A layer without parts yields nothing."""
    for part in layer.parts:
        yield from store.chunks(part)


def make_layer(spec: LayerSpec, store: Store) -> Layer:
    """Make the missing segments and the layer. Raise ArchiveError for malformed entries, DamagedBlob for a damaged segment.

    Raise ArchiveError as well if one source has a file where another one has a directory.

    The diff_id is the digest of the uncompressed bytes, so segments that already exist are inflated again. A layer with one new segment
    is hashed while that segment is made.
    """
    with span(LAYERS, spec.name, key=spec.key):
        return _make_layer(spec, store)


def _make_layer(spec: LayerSpec, store: Store) -> Layer:
    hasher = _LayerHasher(store) if len(spec.sources) == 1 else None
    whole = [find_segment(source.key, store) or make_segment(source, store, hasher) for source in spec.sources]
    check_kinds(whole)
    segments = _without_replaced(whole, store)
    directories = _directories(segments, spec.base_directories)
    if hasher is None or hasher.directories != directories:
        hasher = _LayerHasher(store)
        hasher.begin(directories)
        for segment in segments:
            for data in uncompressed_chunks(segment, store):
                hasher.update(data)
    tail = hasher.end()
    parts = (hasher.head, *(segment.digest for segment in segments), tail)
    digest, size = _digest_and_size(parts, store)
    layer = Layer(
        key=spec.key,
        name=spec.name,
        digest=digest,
        size=size,
        diff_id=hash_digest(hasher.hash),
        unpacked_size=hasher.size,
        parts=parts,
        segments=tuple(source.key for source in spec.sources),
    )
    if spec.compression is Compression.ZSTD:
        layer = _with_zstd(layer, store)
    store.put(LAYER_RECORD, spec.key, msgspec.json.encode(layer))
    return layer


def _with_zstd(layer: Layer, store: Store) -> Layer:
    """Return the layer in one zstd frame (RFC 8878)."""
    import zstandard

    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj(size=layer.unpacked_size)
    with store.writer() as blob:
        for chunk in gunzip(layer_chunks(layer, store)):
            blob.write(compressor.compress(chunk))
        blob.write(compressor.flush())
    changed = {"digest": blob.digest, "size": blob.size, "parts": (blob.digest,), "compression": Compression.ZSTD}
    return msgspec.structs.replace(layer, **changed)


class _LayerHasher:
    """Hashes the uncompressed bytes of a layer, and stores its first and last part: the gzip header with the directories, and the end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.hash = hashlib.sha256()
        self._crc32 = 0
        self.directories: dict[str, Directory] | None = None
        self.head: Digest = digest_of(b"")
        self.size = 0

    def begin(self, directories: dict[str, Directory]) -> None:
        self.directories = dict(sorted(directories.items()))
        headers = b"".join(
            tar.header(FileEntry(path, EntryType.DIRECTORY, directory.mode, uid=directory.uid, gid=directory.gid), 0, source_date_epoch())
            for path, directory in self.directories.items()
        )
        self.update(headers)
        self.head = self._store.add(GZIP_HEADER + (fragment(headers) if headers else b""))

    def update(self, data: bytes | bytearray, /) -> None:
        with piece("hash"):
            self.hash.update(data)
        self._crc32 = deflate.crc32(data, self._crc32)
        self.size += len(data)

    def end(self) -> Digest:
        self.update(tar.END_OF_ARCHIVE)
        return self._store.add(fragment(tar.END_OF_ARCHIVE) + end_of_member(self._crc32, self.size))


def _without_replaced(segments: Sequence[Segment], store: Store) -> list[Segment]:
    """Return the segments, each without the paths that a later one has."""
    trimmed = [TrimmedSegment(segment, paths, store) for segment, paths in zip(segments, replaced_paths(segments), strict=True)]
    return [(find_segment(it.key, store) or make_segment(it, store)) if it.paths else it.segment for it in trimmed]


def _directories(segments: Sequence[Segment], base_directories: Iterable[tuple[str, Directory]]) -> dict[str, Directory]:
    """Return every directory of the layer, sorted, with the attributes of the base, else of a source, else 0755 and root."""
    paths = (path for segment in segments for path in (*segment.files, *segment.links, *segment.directories))
    found = dict.fromkeys(directories_above(paths), Directory())
    for segment in segments:
        found.update(segment.directories)
    found.update((path, directory) for path, directory in base_directories if path in found)
    return dict(sorted(found.items()))


def _digest_and_size(parts: Sequence[Digest], store: Store) -> tuple[Digest, int]:
    checksum, size = hashlib.sha256(), 0
    for part in parts:
        for chunk in store.chunks(part):
            with piece("hash"):
                checksum.update(chunk)
            size += len(chunk)
    return hash_digest(checksum), size
