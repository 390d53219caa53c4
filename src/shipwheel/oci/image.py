"""Images and image indexes as values: documents in canonical bytes, and layers that are streamed on demand.

image-spec 1.1: manifest.md, config.md, image-index.md.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec

from shipwheel.digest import Digest, digest_of, hash_digest
from shipwheel.errors import DamagedBlob, ImageError
from shipwheel.oci.execution import ExecutionConfig, execution_config
from shipwheel.oci.layer import Layer, layer_chunks
from shipwheel.oci.layer_text import LayerText, layer_history
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
from shipwheel.store.store import Store

__all__ = [
    "MAX_LAYERS",
    "Blob",
    "FileLayer",
    "Image",
    "ImageIndex",
    "ImageLayer",
    "RemoteLayer",
    "compressed_chunks",
    "make_image",
    "make_index",
    "rfc3339",
    "verified_chunks",
]

MAX_LAYERS = 127
"""The number of layers that the engines' overlay file system supports, including those of the base."""

_CHUNK = 1 << 20


class FileLayer(msgspec.Struct, frozen=True):
    """A layer in a file: in a layout, in an archive at `offset`, or a blob of the store."""

    descriptor: Descriptor
    diff_id: Digest
    path: Path
    offset: int = 0
    name: str = ""
    contents: tuple[str, ...] = ()


class RemoteLayer(msgspec.Struct, frozen=True):
    """A layer in a registry. `open` fetches its bytes, and raises FetchError if that fails.

    `origin` is the `registry/repository` that it can be mounted from (distribution-spec, "Mounting a blob from another repository").
    """

    descriptor: Descriptor
    diff_id: Digest
    open: Callable[[], Iterator[bytes]]
    origin: str = ""
    name: str = ""
    contents: tuple[str, ...] = ()


ImageLayer = Layer | FileLayer | RemoteLayer
"""A layer of an image: built by shipwheel, in a file, or in a registry. `compressed_chunks` streams it."""


class Blob(msgspec.Struct, frozen=True):
    """A descriptor and a function that yields its bytes, which raises DamagedBlob or ImageError if they do not match the digest."""

    descriptor: Descriptor
    chunks: Callable[[], Iterator[bytes]]


class Image(msgspec.Struct, frozen=True):
    """The image for one platform: its documents as bytes, and its layers, bottom first."""

    platform: Platform
    manifest: bytes
    config: bytes
    layers: tuple[ImageLayer, ...]
    config_media_type: str = MEDIA_TYPE_CONFIG
    manifest_media_type: str = MEDIA_TYPE_MANIFEST

    @property
    def digest(self) -> Digest:
        """The manifest's digest."""
        return digest_of(self.manifest)

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor with the platform, as in an image index."""
        return Descriptor(self.manifest_media_type, self.digest, len(self.manifest), platform=PlatformFields.of(self.platform))

    @property
    def config_descriptor(self) -> Descriptor:
        """The config's descriptor, as in the manifest."""
        return Descriptor(self.config_media_type, digest_of(self.config), len(self.config))

    @property
    def config_file(self) -> ConfigFile:
        """The decoded config. Raises ImageError if it is invalid."""
        return decode(self.config, ConfigFile, self.config_descriptor.digest)

    @property
    def execution(self) -> ExecutionConfig:
        """The config's execution parameters, checked. Raises ImageError for values that no engine could take."""
        return execution_config(self.config_file.config, f"the image {self.digest}")

    @property
    def size(self) -> int:
        """The size in bytes of manifest, config, and each layer once."""
        layers = {layer.descriptor.digest: layer.descriptor.size for layer in self.layers}
        return len(self.manifest) + len(self.config) + sum(layers.values())

    def blobs(self, store: Store) -> Iterator[Blob]:
        """Yield the image's blobs in an order in which they can be delivered: layers, config, manifest."""
        for layer in self.layers:
            file = layer.path if isinstance(layer, FileLayer) and not layer.path.is_relative_to(store.root) else None
            yield Blob(layer.descriptor, partial(_verified, layer.descriptor, partial(compressed_chunks, layer, store), file))
        yield Blob(self.config_descriptor, lambda: iter((self.config,)))
        yield Blob(self.descriptor, lambda: iter((self.manifest,)))


class ImageIndex(msgspec.Struct, frozen=True):
    """Images for one or more platforms, sorted by platform. `index` is the image index as bytes."""

    images: tuple[Image, ...]
    index: bytes

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor that a tag refers to: the image index, or the manifest if there is only one platform.

        Every engine accepts both, and some services accept only a manifest.
        """
        if len(self.images) == 1:
            return self.images[0].descriptor
        return Descriptor(MEDIA_TYPE_INDEX, digest_of(self.index), len(self.index))

    @property
    def digest(self) -> Digest:
        """The digest that a tag refers to."""
        return self.descriptor.digest

    def blobs(self, store: Store) -> Iterator[Blob]:
        """Yield every blob once, each one after the blobs that it refers to."""
        seen: set[str] = set()
        for image in self.images:
            for blob in image.blobs(store):
                if blob.descriptor.digest not in seen:
                    seen.add(blob.descriptor.digest)
                    yield blob
        if len(self.images) > 1:
            yield Blob(self.descriptor, lambda: iter((self.index,)))


def compressed_chunks(layer: ImageLayer, store: Store) -> Iterator[bytes]:
    """Yield a layer's compressed bytes from the store, its file or its registry. Raise DamagedBlob for a damaged part."""
    if isinstance(layer, RemoteLayer):
        return layer.open()
    return layer_chunks(layer, store) if isinstance(layer, Layer) else _file_chunks(layer.descriptor, layer.path, layer.offset)


def make_image(
    layers: Sequence[ImageLayer],
    config: ContainerConfig,
    platform: Platform,
    *,
    created: int,
    annotations: Mapping[str, str] | None = None,
    base_history: Sequence[History] = (),
) -> Image:
    """Return an image with these layers, bottom first. `created` is in seconds; `base_history` is the history of the base's layers.

    Raise ImageError for more layers than engines support.
    """
    if len(layers) > MAX_LAYERS:
        raise ImageError(
            f"the image has {len(layers)} layers, and engines support {MAX_LAYERS}", hint="Use a base image with fewer layers."
        )
    time = rfc3339(created)
    described = sum(not line.empty_layer for line in base_history)
    # A history for more layers than there are would describe the wrong ones.
    kept = tuple(base_history) if described <= len(layers) else ()
    lines = (*kept, *(layer_history(_text(layer), time) for layer in layers[described if kept else 0 :]))
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
    """Return an image index. Raise ImageError for no image, and for two images of one platform."""
    if not images:
        raise ImageError("an image index needs at least one image", hint="Name at least one platform.")
    ordered = tuple(sorted(images, key=lambda image: image.platform))
    duplicates = [str(first.platform) for first, second in pairwise(ordered) if first.platform == second.platform]
    if duplicates:
        raise ImageError(f"two images are for {', '.join(duplicates)}", hint="Name each platform once.")
    index = Index(
        schema_version=2,
        media_type=MEDIA_TYPE_INDEX,
        manifests=tuple(image.descriptor for image in ordered),
        annotations=dict(annotations or {}),
    )
    return ImageIndex(ordered, encode(index))


def rfc3339(seconds: int) -> str:
    """Return a time in seconds as the UTC text of configs and annotations (RFC 3339, 5.6)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(layer: ImageLayer) -> LayerText:
    return LayerText(layer.name or layer.descriptor.digest, layer.contents)


def _file_chunks(descriptor: Descriptor, path: Path, offset: int) -> Iterator[bytes]:
    remaining = descriptor.size
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            while remaining and (data := stream.read(min(remaining, _CHUNK))):
                remaining -= len(data)
                yield data
    except FileNotFoundError as error:
        raise DamagedBlob(descriptor.digest) from error


def verified_chunks(descriptor: Descriptor, path: Path, offset: int) -> Iterator[bytes]:
    """Yield the bytes of a blob in a file that is not the store's. Raise ImageError at the end if they do not match its descriptor."""
    return _verified(descriptor, partial(_file_chunks, descriptor, path, offset), path)


def _verified(descriptor: Descriptor, chunks: Callable[[], Iterator[bytes]], file: Path | None) -> Iterator[bytes]:
    """Yield the bytes. Raise an error at the end if they do not match the descriptor.

    It is DamagedBlob, which is mended by another run, or ImageError if they are in a person's `file`.
    """
    try:
        yield from _matching(descriptor, chunks())
    except DamagedBlob as error:
        if file is None:
            raise
        raise ImageError(f"{file}: the blob {descriptor.digest} is damaged", hint="Build or copy the file again.") from error


def _matching(descriptor: Descriptor, chunks: Iterator[bytes]) -> Iterator[bytes]:
    checksum, size = hashlib.sha256(), 0
    for chunk in chunks:
        checksum.update(chunk)
        size += len(chunk)
        if size > descriptor.size:
            break
        yield chunk
    if size != descriptor.size or hash_digest(checksum) != descriptor.digest:
        raise DamagedBlob(descriptor.digest)
