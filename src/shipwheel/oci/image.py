"""Images and image indexes, as values: documents in canonical bytes, and layers that are streamed when they are wanted.

image-spec 1.1: manifest.md, config.md, image-index.md.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec

from shipwheel.errors import DamagedBlob, ImageError
from shipwheel.oci.layer import Layer, layer_chunks
from shipwheel.oci.model import (
    MEDIA_TYPE_CONFIG,
    MEDIA_TYPE_INDEX,
    MEDIA_TYPE_MANIFEST,
    ConfigFile,
    ContainerConfig,
    Descriptor,
    History,
    Index,
    Manifest,
    PlatformFields,
    RootFS,
    decode,
    encode,
)
from shipwheel.platform import Platform
from shipwheel.store import Store

__all__ = [
    "MAX_LAYERS",
    "Blob",
    "FileLayer",
    "Image",
    "ImageIndex",
    "ImageLayer",
    "RemoteLayer",
    "compressed_chunks",
    "digest_of",
    "make_image",
    "make_index",
    "rfc3339",
    "verified_chunks",
]

MAX_LAYERS = 127
"""What the engines' overlay file system takes, the base's layers included."""

_PIECE = 1 << 20


class FileLayer(msgspec.Struct, frozen=True):
    """A layer whose bytes are one file: in a layout, or one blob of the store (a base's, for example).

    `offset` is where it begins, when the file is an archive.
    """

    descriptor: Descriptor
    diff_id: str
    path: Path
    offset: int = 0
    name: str = ""


class RemoteLayer(msgspec.Struct, frozen=True):
    """A layer that is in a registry and is read only if somebody wants its bytes; `open` raises FetchError.

    `origin` is the `registry/repository` that it can be mounted from (distribution-spec, "Mounting a blob from another repository").
    """

    descriptor: Descriptor
    diff_id: str
    open: Callable[[], Iterator[bytes]]
    origin: str = ""
    name: str = ""


ImageLayer = Layer | FileLayer | RemoteLayer
"""A layer that can be streamed: `compressed_chunks`."""


class Blob(msgspec.Struct, frozen=True):
    """A descriptor with a way to read what it describes. Reading raises DamagedBlob if the bytes are others."""

    descriptor: Descriptor
    chunks: Callable[[], Iterator[bytes]]


class Image(msgspec.Struct, frozen=True):
    """One platform's image."""

    platform: Platform
    manifest: bytes
    config: bytes
    layers: tuple[ImageLayer, ...]
    config_media_type: str = MEDIA_TYPE_CONFIG
    manifest_media_type: str = MEDIA_TYPE_MANIFEST

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor, with the platform: an entry of an image index."""
        return Descriptor(self.manifest_media_type, self.digest, len(self.manifest), platform=PlatformFields.of(self.platform))

    @property
    def config_descriptor(self) -> Descriptor:
        """The config's descriptor, as the manifest holds it."""
        return Descriptor(self.config_media_type, digest_of(self.config), len(self.config))

    @property
    def config_file(self) -> ConfigFile:
        """The config, read; raises ImageError when it is not valid."""
        return decode(self.config, ConfigFile, self.config_descriptor.digest)

    @property
    def size(self) -> int:
        """Bytes to transfer: manifest, config, and each layer once."""
        layers = {layer.descriptor.digest: layer.descriptor.size for layer in self.layers}
        return len(self.manifest) + len(self.config) + sum(layers.values())

    def blobs(self, store: Store) -> Iterator[Blob]:
        """The image's blobs in the order in which they can be delivered: layers, config, manifest."""
        for layer in self.layers:
            yield Blob(layer.descriptor, partial(_proved, layer.descriptor, partial(compressed_chunks, layer, store)))
        yield Blob(self.config_descriptor, lambda: iter((self.config,)))
        yield Blob(self.descriptor, lambda: iter((self.manifest,)))


class ImageIndex(msgspec.Struct, frozen=True):
    """Images for several platforms, sorted by platform. `index` is the image index's bytes."""

    images: tuple[Image, ...]
    index: bytes

    @property
    def descriptor(self) -> Descriptor:
        """What a name stands for: the image index, or the manifest itself when there is one platform.

        Some services take nothing but a plain manifest, and every engine takes both.
        """
        if len(self.images) == 1:
            return self.images[0].descriptor
        return Descriptor(MEDIA_TYPE_INDEX, digest_of(self.index), len(self.index))

    @property
    def digest(self) -> str:
        """The digest of what a name stands for."""
        return self.descriptor.digest

    def blobs(self, store: Store) -> Iterator[Blob]:
        """Every blob, each digest once, in an order in which nothing comes before what it refers to."""
        seen: set[str] = set()
        for image in self.images:
            for blob in image.blobs(store):
                if blob.descriptor.digest not in seen:
                    seen.add(blob.descriptor.digest)
                    yield blob
        if len(self.images) > 1:
            yield Blob(self.descriptor, lambda: iter((self.index,)))


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def compressed_chunks(layer: ImageLayer, store: Store) -> Iterator[bytes]:
    """A layer's compressed bytes, from the store's parts, its file or its registry; a damaged part raises DamagedBlob."""
    if isinstance(layer, RemoteLayer):
        return layer.open()
    return layer_chunks(layer, store) if isinstance(layer, Layer) else _file_chunks(layer)


def make_image(
    layers: Sequence[ImageLayer],
    config: ContainerConfig,
    platform: Platform,
    *,
    created: int,
    annotations: Mapping[str, str] | None = None,
    below: Sequence[History] = (),
) -> Image:
    """The image of these layers, bottom first. `created` is in seconds; `below` is the history of the lowest layers, a base's.

    Raises ImageError for more layers than engines take.
    """
    if len(layers) > MAX_LAYERS:
        raise ImageError(
            f"{len(layers)} layers are more than the {MAX_LAYERS} that engines take", hint="Ask for fewer layers, or use a base with fewer."
        )
    time = rfc3339(created)
    known = sum(not line.empty_layer for line in below)
    # A history that does not fit its layers would be taken for other layers'.
    kept = tuple(below) if known <= len(layers) else ()
    lines = (*kept, *(History(created=time, created_by=_made_by(layer)) for layer in layers[known if kept else 0 :]))
    data = encode(
        ConfigFile(
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            created=time,
            config=config,
            rootfs=RootFS(tuple(layer.diff_id for layer in layers)),
            history=lines,
        )
    )
    manifest = Manifest(
        # image-spec, manifest.md: "This REQUIRED property specifies the image manifest schema version ... MUST be 2".
        schema_version=2,
        media_type=MEDIA_TYPE_MANIFEST,
        config=Descriptor(MEDIA_TYPE_CONFIG, digest_of(data), len(data)),
        layers=tuple(layer.descriptor for layer in layers),
        annotations=dict(annotations or {}),
    )
    return Image(platform, encode(manifest), data, tuple(layers))


def make_index(images: Sequence[Image], annotations: Mapping[str, str] | None = None) -> ImageIndex:
    """The image index of these images. Raises ImageError for none at all, or two of one platform."""
    if not images:
        raise ImageError("an image index needs an image", hint="Name at least one platform.")
    ordered = tuple(sorted(images, key=lambda image: image.platform))
    twice = [str(one.platform) for one, other in pairwise(ordered) if one.platform == other.platform]
    if twice:
        raise ImageError(f"two images are for {', '.join(twice)}", hint="Name each platform once.")
    index = Index(
        schema_version=2,
        media_type=MEDIA_TYPE_INDEX,
        manifests=tuple(image.descriptor for image in ordered),
        annotations=dict(annotations or {}),
    )
    return ImageIndex(ordered, encode(index))


def rfc3339(seconds: int) -> str:
    """A time in UTC as configs and annotations hold it (RFC 3339, 5.6)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _made_by(layer: ImageLayer) -> str:
    return f"shipwheel: {layer.name or layer.descriptor.digest}"


def _file_chunks(layer: FileLayer) -> Iterator[bytes]:
    left = layer.descriptor.size
    try:
        with layer.path.open("rb") as stream:
            stream.seek(layer.offset)
            while left and (data := stream.read(min(left, _PIECE))):
                left -= len(data)
                yield data
    except FileNotFoundError as error:
        raise DamagedBlob(layer.descriptor.digest) from error


def verified_chunks(layer: FileLayer) -> Iterator[bytes]:
    """A file's bytes as they are read; raises DamagedBlob at their end if they are not what the descriptor says."""
    return _proved(layer.descriptor, partial(_file_chunks, layer))


def _proved(descriptor: Descriptor, chunks: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """The bytes, hashed on the way: raises DamagedBlob at their end if they are not what the descriptor says."""
    seen, size = hashlib.sha256(), 0
    for chunk in chunks():
        seen.update(chunk)
        size += len(chunk)
        if size > descriptor.size:
            break
        yield chunk
    if size != descriptor.size or f"sha256:{seen.hexdigest()}" != descriptor.digest:
        raise DamagedBlob(descriptor.digest)
