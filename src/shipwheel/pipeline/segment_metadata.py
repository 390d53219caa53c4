"""The metadata of layers that is attached to a pushed image: another machine can prove a changed image without its layers.

It is an artifact whose subject is the image (image-spec 1.1, manifest.md: "Guidelines for Artifact Usage"), with a blob for each layer.
"""

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.digest import digest_of
from shipwheel.errors import ImageError
from shipwheel.files.compress import member
from shipwheel.files.segment import Segment, load_segment_metadata, save_segment_metadata
from shipwheel.oci.layer import ANNOTATION_KEY, Layer
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Manifest, encode
from shipwheel.store.store import Store
from shipwheel.wheels.built_wheels import BuiltWheel, find_built_wheel, record_remote_wheel

__all__ = [
    "ARTIFACT_TYPE",
    "EMPTY",
    "MEDIA_TYPE_BUILDS",
    "MEDIA_TYPE_EMPTY",
    "MEDIA_TYPE_RECORD",
    "artifact",
    "pack",
    "pack_builds",
    "unpack",
    "unpack_builds",
]

T = TypeVar("T")

ARTIFACT_TYPE = "application/vnd.shipwheel.records.v1"
MEDIA_TYPE_RECORD = "application/vnd.shipwheel.segments.v1+json+gzip"
MEDIA_TYPE_BUILDS = "application/vnd.shipwheel.builds.v1+json+gzip"
EMPTY = b"{}"
MEDIA_TYPE_EMPTY = "application/vnd.oci.empty.v1+json"

_PUSH_AGAIN = "Push the image again from a machine that has all of it."

_MAX_RECORD = 64 << 20
"""Bytes that the metadata of one layer may unpack to."""


def pack(layer: Layer, store: Store) -> bytes | None:
    """Return a layer's metadata, compressed: its segments. None if the store does not know them all."""
    segments = [load_segment_metadata(key, store) for key in layer.segments]
    if not all(segments):
        return None
    return bytes(member(msgspec.json.encode(segments)))


def unpack(data: bytes, keys: Sequence[str], store: Store) -> None:
    """Keep metadata of the segments `keys` in the store. Raises ImageError if it is damaged or describes other segments."""
    segments = _decoded(data, list[Segment])
    if [segment.key for segment in segments] != list(keys):
        raise ImageError("the metadata of a layer describes another layer", hint=_PUSH_AGAIN)
    for segment in segments:
        save_segment_metadata(segment, store)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return decode_json(_unpacked(data), kind)
    except (InvalidDocument, zlib.error, OSError, EOFError) as error:
        raise ImageError(f"the metadata of an image is damaged: {error}", hint=_PUSH_AGAIN) from None


def _unpacked(data: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    content = inflater.decompress(data, _MAX_RECORD)
    if inflater.unconsumed_tail:
        raise gzip.BadGzipFile(f"more than {_MAX_RECORD >> 20} MiB")
    return content


def pack_builds(wheels: Sequence[BuiltWheel]) -> bytes:
    """Return the records of built wheels, compressed and sorted by key."""
    return bytes(member(msgspec.json.encode(sorted(wheels, key=lambda wheel: wheel.key))))


def unpack_builds(data: bytes, store: Store) -> bool:
    """Keep records of wheels that were built elsewhere, where the store has none. Return whether there are any. Raises ImageError."""
    wheels = _decoded(data, list[BuiltWheel])
    for wheel in wheels:
        if re.fullmatch(r"[0-9a-f]{64}", wheel.key) and find_built_wheel(wheel.key, store, need_bytes=False) is None:
            record_remote_wheel(wheel, store)
    return bool(wheels)


def artifact(subject: Descriptor, records: Mapping[str, bytes], known: Mapping[str, Descriptor], builds: bytes | None) -> bytes:
    """Return the artifact's manifest.

    `records` maps a layer's key to its packed metadata; `known` describes metadata that the repository has already.
    """
    built = (Descriptor(MEDIA_TYPE_BUILDS, digest_of(builds), len(builds)),) if builds is not None else ()
    return encode(
        Manifest(
            schema_version=2,
            media_type=MEDIA_TYPE_MANIFEST,
            artifact_type=ARTIFACT_TYPE,
            config=Descriptor(MEDIA_TYPE_EMPTY, digest_of(EMPTY), len(EMPTY)),
            layers=(*_descriptors(records, known), *built),
            subject=Descriptor(subject.media_type, subject.digest, subject.size),
        )
    )


def _descriptors(records: Mapping[str, bytes], known: Mapping[str, Descriptor]) -> Iterator[Descriptor]:
    new = {key: Descriptor(MEDIA_TYPE_RECORD, digest_of(data), len(data)) for key, data in records.items()}
    for key, descriptor in sorted({**known, **new}.items()):
        yield msgspec.structs.replace(descriptor, annotations={ANNOTATION_KEY: key})
