"""Images of a registry: read as values whose layers stay there until they are read, or pulled into a layout.

Reads images of image-spec 1.1 and of docker's image manifest version 2, schema 2; writes OCI's media types.
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from shipwheel.digest import Digest
from shipwheel.errors import ImageError, IntegrityError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, format_size
from shipwheel.oci.convert import to_oci_media_types
from shipwheel.oci.image import Image, ImageIndex, RemoteLayer, make_index
from shipwheel.oci.layout import (
    blob_path,
    create_empty_layout,
    has_blob,
    require_layout_or_empty,
    write_error,
    write_layout,
)
from shipwheel.oci.model import (
    MEDIA_TYPE_INDEX,
    ConfigFile,
    Descriptor,
    Index,
    Manifest,
    decode,
)
from shipwheel.platform import Platform, select_platforms, without_default_variant
from shipwheel.registry.repository import Document, Repository
from shipwheel.store.file_lock import lock_file
from shipwheel.store.store import Store

__all__ = [
    "STAGE",
    "PullResult",
    "RemoteDocuments",
    "RemoteImages",
    "images_of",
    "pull",
    "remote_documents",
    "remote_images",
    "remote_index",
]

STAGE = "pull"

_BUFFER_SIZE = 1 << 20


class RemoteImages(msgspec.Struct, frozen=True):
    """A reference's document, byte for byte, and its images for the requested platforms, sorted by platform. Attestations are left out."""

    document: Document
    images: tuple[Image, ...]

    @property
    def digest(self) -> Digest:
        """The digest of the reference's document."""
        return self.document.descriptor.digest


class RemoteDocuments(msgspec.Struct, frozen=True):
    """A reference's document, and the manifests of its images with their entries in it, attestations left out.

    The only entry of a document that is a manifest itself is None.
    """

    root: Document
    manifests: tuple[tuple[Document, Descriptor | None], ...]


class PullResult(msgspec.Struct, frozen=True):
    """A pull's result: the layout's entry, the digest in the registry, and the bytes of layers that were fetched and already present."""

    entry: Descriptor
    digest: Digest
    fetched: int
    present: int


def remote_images(repository: Repository, reference: str, platforms: Sequence[Platform] | None = None) -> RemoteImages:
    """Return the images of a tag or digest, for these platforms or all. Reads manifests and configs, but no layer.

    Raises UsageError that lists the available platforms if one is missing, ImageError for invalid images.
    """
    label = repository.label(reference)
    documents = remote_documents(repository, reference, platforms)
    images = images_of(repository, documents)
    if platforms is not None:
        selected = select_platforms([image.platform for image in images], platforms, label)
        images = tuple(image for image in images if image.platform in selected)
    return RemoteImages(documents.root, images)


def remote_documents(repository: Repository, reference: str, platforms: Sequence[Platform] | None = None) -> RemoteDocuments:
    """Return the manifests of a tag or digest, for all platforms, or those of these platforms that the image index tells apart.

    Raises UsageError that lists the available platforms if one is missing, ImageError for an invalid image index.
    """
    root = repository.manifest(reference)
    label = repository.label(reference)
    if not root.is_index:
        return RemoteDocuments(root, ((root, None),))
    entries = [entry for entry in decode(root.data, Index, label).manifests if not entry.is_attestation]
    listed = [(entry, _entry_platform(entry)) for entry in entries]
    if platforms is not None and all(platform is not None for _, platform in listed):
        selected = select_platforms([platform for _, platform in listed if platform], platforms, label)
        listed = [(entry, platform) for entry, platform in listed if platform in selected]
    if not listed:
        raise ImageError(f"{label} is an image index without images", hint="Name another tag or digest.")
    return RemoteDocuments(root, tuple((repository.manifest(entry.digest), entry) for entry, _ in listed))


def images_of(repository: Repository, documents: RemoteDocuments) -> tuple[Image, ...]:
    """Return the images of manifests, sorted by platform; reads their configs. Raises ImageError for invalid images."""
    images = [_image(repository, document, entry) for document, entry in documents.manifests]
    return tuple(sorted(images, key=lambda image: image.platform))


def remote_index(found: RemoteImages) -> ImageIndex:
    """Return the images as an image index in OCI's media types: the registry's own bytes if they need no change."""
    images = tuple(to_oci_media_types(image) for image in found.images)
    if found.document.is_index and found.document.descriptor.media_type == MEDIA_TYPE_INDEX:
        listed = [entry.digest for entry in decode(found.document.data, Index, found.digest).manifests]
        if sorted(listed) == sorted(image.digest for image in images):
            return ImageIndex(images, found.document.data)
    return make_index(images)


def pull(
    repository: Repository, found: RemoteImages, directory: Path, store: Store, *, name: str, reporter: Reporter, workers: int = 4
) -> PullResult:
    """Add the images under a name to an OCI image layout, which may be new. Fetches only layers that the layout lacks.

    Resumes the layers of an interrupted pull. Raises UsageError if the directory holds anything else, FetchError, IntegrityError, and
    BuildError if the disk is full.
    """
    index = remote_index(found)
    require_layout_or_empty(directory)
    try:
        # An interrupted pull leaves a layout that the next pull accepts.
        create_empty_layout(directory)
        layers = _LayerPull(repository, directory, reporter)
        layers.fetch_all(index, workers)
        entry = write_layout(index, directory, store, name=name)
        layers.remove_partial_files()
    except OSError as error:
        raise write_error(f"the layout {directory}", error, "directory") from error
    rest = f" ({format_size(layers.present)} already there)" if layers.present else ""
    reporter(StageFinished(STAGE, f"fetched {format_size(layers.fetched)}{rest}", notable=True))
    return PullResult(entry, found.digest, layers.fetched, layers.present)


class _LayerPull:
    """Fetches layers into a layout. A layer's bytes are collected in a `.partial` file beside its final path."""

    def __init__(self, repository: Repository, directory: Path, reporter: Reporter) -> None:
        self.fetched = self.present = 0
        self._repository = repository
        self._directory = directory
        self._reporter = reporter
        self._lock = threading.Lock()

    def fetch_all(self, index: ImageIndex, workers: int) -> None:
        """Fetch the layers that are missing, the largest first. Raises the first error."""
        layers = {layer.descriptor.digest: layer.descriptor for image in index.images for layer in image.layers}
        missing = []
        for layer in layers.values():
            if has_blob(self._directory / blob_path(layer.digest), layer.size):
                self.present += layer.size
            else:
                missing.append(layer)
        self._reporter(StageStarted(STAGE, sum(layer.size for layer in missing), "bytes"))
        with ThreadPoolExecutor(workers, thread_name_prefix="pull") as pool:
            jobs = [pool.submit(self._fetch, layer) for layer in sorted(missing, key=lambda layer: -layer.size)]
            try:
                for job in as_completed(jobs):
                    job.result()
            except BaseException:
                self._repository.transport.closed.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def remove_partial_files(self) -> None:
        """Remove what other, interrupted pulls left in the layout."""
        for path in (self._directory / "blobs").glob("*/.*.partial"):
            with suppress(FileNotFoundError), path.open("rb") as stream:
                if lock_file(stream, wait=False):
                    path.unlink()

    def _fetch(self, layer: Descriptor) -> None:
        path = self._directory / blob_path(layer.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_name(f".{path.name}.partial")
        hasher = hashlib.new(layer.digest.partition(":")[0])
        with partial_path.open("a+b", buffering=_BUFFER_SIZE) as stream:
            lock_file(stream)
            if has_blob(path, layer.size):
                # Another pull had the lock.
                return
            start = reported = size = _hash_partial(stream, layer, hasher)
            for chunk in self._repository.blob(layer, start):
                stream.write(chunk)
                # The repository verifies a blob that is read from its beginning.
                if start:
                    hasher.update(chunk)
                size += len(chunk)
                if size - reported >= _BUFFER_SIZE or size == layer.size:
                    reported = size
                    self._reporter(Moved(STAGE, layer.digest, size, layer.size))
            if start and f"{hasher.name}:{hasher.hexdigest()}" != layer.digest:
                # The earlier pull's part may be wrong: do not use it again.
                partial_path.unlink()
                raise IntegrityError(f"{layer.digest}: got {hasher.name}:{hasher.hexdigest()}", hint="Run the command again.")
            stream.flush()
            partial_path.chmod(0o644)
            partial_path.replace(path)
        with self._lock:
            self.fetched += layer.size - start


def _hash_partial(stream: BinaryIO, layer: Descriptor, hasher: "hashlib._Hash") -> int:
    """Hash what an interrupted pull left of a layer, and return its size. Truncate what cannot be the layer's beginning."""
    stream.seek(0, 2)
    if stream.tell() >= layer.size:
        stream.truncate(0)
    stream.seek(0)
    while data := stream.read(1 << 20):
        hasher.update(data)
    return stream.tell()


def _entry_platform(entry: Descriptor) -> Platform | None:
    return None if entry.platform is None else without_default_variant(entry.platform.platform)


def _image(repository: Repository, document: Document, entry: Descriptor | None) -> Image:
    """Return one platform's image. Its config says the platform, and the index's entry must agree."""
    digest = document.descriptor.digest
    label = repository.label(digest)
    if document.is_index:
        raise ImageError(f"{label} is an image index inside another one", hint="Name the inner one by its digest.")
    if entry is not None and (entry.digest, entry.size) != (digest, document.descriptor.size):
        raise ImageError(f"{label}: {document.descriptor.size} bytes, not {entry.size}", hint=_INCONSISTENT)
    manifest = decode(document.data, Manifest, label)
    data = repository.small_blob(manifest.config)
    config = decode(data, ConfigFile, repository.label(manifest.config.digest))
    platform = without_default_variant(Platform(config.os, config.architecture, config.variant))
    listed = None if entry is None else _entry_platform(entry)
    if listed is not None and (listed.os, listed.architecture) != (platform.os, platform.architecture):
        raise ImageError(f"{label} is listed for {listed}, but is for {platform}", hint=_INCONSISTENT)
    if listed is not None and listed.variant and not platform.variant:
        platform = listed
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        what = f"{label} has {len(manifest.layers)} layers and {len(config.rootfs.diff_ids)} diff_ids"
        raise ImageError(what, hint=_INCONSISTENT)
    layers = tuple(_layers(repository, manifest, config))
    return Image(platform, document.data, data, layers, manifest.config.media_type, document.descriptor.media_type)


def _layers(repository: Repository, manifest: Manifest, config: ConfigFile) -> Iterator[RemoteLayer]:
    for layer, diff_id in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
        yield RemoteLayer(layer, diff_id, partial(repository.blob, layer), repository.name, repository.name)


_INCONSISTENT = "The image was built or copied incorrectly; name another one."
