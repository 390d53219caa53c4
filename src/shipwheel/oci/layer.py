"""Layers: an ordered run of segments behind the entries of their directories, closed by the end-of-archive blocks.

A layer is never stored whole: it is the concatenation of its parts, which are blobs of the store (image-spec, layer.md).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from shipwheel.files import tar
from shipwheel.files.compress import member
from shipwheel.files.entry import EntryType, FileEntry, Source, parents
from shipwheel.files.segment import Directory, Segment, find_segment, key_of, make_segment, source_date_epoch, uncompressed_chunks
from shipwheel.oci.model import MEDIA_TYPE_LAYER_GZIP, Descriptor
from shipwheel.store import Store

__all__ = [
    "ANNOTATION_KEY",
    "ANNOTATION_UNPACKED",
    "Layer",
    "LayerSpec",
    "find_layer",
    "layer_chunks",
    "layer_from_descriptor",
    "make_layer",
]

ANNOTATION_KEY = "io.shipwheel.layer.key"
ANNOTATION_UNPACKED = "io.shipwheel.layer.unpacked-size"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class LayerSpec:
    """What a layer will hold; its key is known before anything is fetched.

    `kept` are directories that the layers below own, with attributes which an entry of this one must not change.
    """

    name: str
    sources: tuple[Source, ...]
    kept: tuple[tuple[str, Directory], ...] = ()

    @cached_property
    def key(self) -> str:
        """Hex sha256 over the keys of the sources, in order, and over what is kept."""
        kept = (f"{path} {at.mode:o} {at.uid}:{at.gid}" for path, at in self.kept)
        return key_of("layer", *(source.key for source in self.sources), *kept)


class Layer(msgspec.Struct, frozen=True):
    """A finished layer. `parts` are the digests of the blobs that follow one another in it."""

    key: str
    name: str
    digest: str
    size: int
    diff_id: str
    unpacked_size: int
    parts: tuple[str, ...]
    segments: tuple[str, ...]

    @property
    def descriptor(self) -> Descriptor:
        """The layer's descriptor, as a manifest holds it: with its key, so that a layer can be found before anything of it is fetched."""
        notes = {ANNOTATION_KEY: self.key, ANNOTATION_UNPACKED: str(self.unpacked_size)}
        return Descriptor(media_type=MEDIA_TYPE_LAYER_GZIP, digest=self.digest, size=self.size, annotations=notes)


def find_layer(spec: LayerSpec, store: Store) -> Layer | None:
    """The layer of that spec, if the store has all of its parts and what is known of its segments."""
    layer = store.get_as("layer", spec.key, Layer)
    if layer is None:
        return None
    known = all(store.get("segment", key) is not None for key in layer.segments)
    return layer if known and all(store.has(part) for part in layer.parts) else None


def layer_from_descriptor(spec: LayerSpec, descriptor: Descriptor, diff_id: str) -> Layer | None:
    """The layer of that spec as a pushed image has it: its bytes are not here. None if the descriptor is another's, or no layer's."""
    size = descriptor.annotations.get(ANNOTATION_UNPACKED, "")
    if descriptor.annotations.get(ANNOTATION_KEY) != spec.key or not re.fullmatch(r"[0-9]{1,18}", size):
        return None
    if descriptor.size < 0 or not all(_DIGEST.fullmatch(digest) for digest in (descriptor.digest, diff_id)):
        return None
    keys = tuple(source.key for source in spec.sources)
    return Layer(spec.key, spec.name, descriptor.digest, descriptor.size, diff_id, int(size), (), keys)


def layer_chunks(layer: Layer, store: Store) -> Iterator[bytes]:
    """The layer's compressed bytes; a damaged part is discarded and raises DamagedBlob. One that is elsewhere has none."""
    for part in layer.parts:
        yield from store.chunks(part)


def make_layer(spec: LayerSpec, store: Store) -> Layer:
    """Makes the segments that are missing, and the layer of them all.

    The diff_id is the digest of the uncompressed bytes, so a segment that the store already has is inflated once more. A layer
    of one new segment is hashed while that is made.
    """
    tap = _OnePass(store) if len(spec.sources) == 1 else None
    segments = [find_segment(source.key, store) or make_segment(source, store, tap) for source in spec.sources]
    directories = _directories(segments, spec.kept)
    if tap is None or tap.begun_with != directories:
        tap = _OnePass(store)
        tap.begin(directories)
        for segment in segments:
            for data in uncompressed_chunks(segment, store):
                tap.update(data)
    tail = tap.end()
    parts = (tap.head, *(segment.digest for segment in segments), tail)
    digest, size = _sum(parts, store)
    layer = Layer(
        key=spec.key,
        name=spec.name,
        digest=digest,
        size=size,
        diff_id=f"sha256:{tap.hash.hexdigest()}",
        unpacked_size=tap.size,
        parts=parts,
        segments=tuple(segment.key for segment in segments),
    )
    store.put("layer", spec.key, msgspec.json.encode(layer))
    return layer


class _OnePass:
    """Hashes a layer's uncompressed bytes: the directories' entries, the segments', the end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.hash = hashlib.sha256()
        self.begun_with: dict[str, Directory] | None = None
        self.head = ""
        self.size = 0

    def begin(self, directories: dict[str, Directory]) -> None:
        self.begun_with = dict(sorted(directories.items()))
        self.head = self._part(
            tar.header(FileEntry(path, EntryType.DIRECTORY, at.mode, uid=at.uid, gid=at.gid), 0, source_date_epoch())
            for path, at in self.begun_with.items()
        )

    def update(self, data: bytes | bytearray, /) -> None:
        self.hash.update(data)
        self.size += len(data)

    def end(self) -> str:
        return self._part([tar.END_OF_ARCHIVE])

    def _part(self, blocks: Iterable[bytes]) -> str:
        data = b"".join(blocks)
        self.update(data)
        return self._store.add(member(data) if data else b"")


def _directories(segments: Sequence[Segment], kept: Iterable[tuple[str, Directory]]) -> dict[str, Directory]:
    """Every directory of the layer, once: with the attributes that are kept, else those a source states, else 0755 root, sorted."""
    found = {parent: Directory() for segment in segments for path in (*segment.files, *segment.links) for parent in parents(path)}
    for segment in segments:
        found.update({parent: Directory() for path in segment.directories for parent in parents(path) if parent not in found})
    for segment in segments:
        found.update(segment.directories)
    found.update((path, at) for path, at in kept if path in found)
    return dict(sorted(found.items()))


def _sum(parts: Sequence[str], store: Store) -> tuple[str, int]:
    seen, size = hashlib.sha256(), 0
    for part in parts:
        for chunk in store.chunks(part):
            seen.update(chunk)
            size += len(chunk)
    return f"sha256:{seen.hexdigest()}", size
