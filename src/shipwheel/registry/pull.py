"""Images of a registry as values whose layers stay there until somebody reads them, and into a layout.

image-spec 1.1 and docker's image manifest version 2, schema 2: both are read, OCI's media types are written.
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from shipwheel.errors import ImageError, IntegrityError, UsageError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, format_size
from shipwheel.oci.convert import to_oci_media_types
from shipwheel.oci.image import Image, ImageIndex, RemoteLayer, make_index
from shipwheel.oci.layout import (
    INDEX,
    LAYOUT,
    OCI_LAYOUT,
    atomic_write,
    blob_path,
    checked_digest,
    index_json,
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
from shipwheel.platform import Platform
from shipwheel.registry.repository import Document, Repository
from shipwheel.store import Store

__all__ = ["STAGE", "Pulled", "RemoteImages", "pull", "remote_images", "remote_index"]

STAGE = "pull"

_BUFFER = 1 << 20


class RemoteImages(msgspec.Struct, frozen=True):
    """What a reference stands for, byte for byte in `document`, and the images in it that were asked for, sorted by platform.

    Attestations are none of them.
    """

    document: Document
    images: tuple[Image, ...]

    @property
    def digest(self) -> str:
        """The digest of what the reference stands for."""
        return self.document.descriptor.digest


class Pulled(msgspec.Struct, frozen=True):
    """A layout that was filled: what is its entry now, what the registry has, and the bytes of layers that were fetched and were there."""

    entry: Descriptor
    digest: str
    fetched: int
    present: int


def remote_images(repository: Repository, reference: str, platforms: Sequence[Platform] | None = None) -> RemoteImages:
    """The images of a tag or digest, for these platforms or all; manifests and configs are read, no layer is.

    Raises UsageError that names what there is if there is none for a platform, ImageError for images that are not what they say.
    """
    root = repository.manifest(reference)
    label = f"{repository.name}{'@' if ':' in reference else ':'}{reference}"
    if not root.is_index:
        image = _image(repository, root, None)
        if platforms is not None:
            _chosen([image.platform], platforms, label)
        return RemoteImages(root, (image,))
    entries = [one for one in decode(root.data, Index, label).manifests if not one.is_attestation]
    known = [(entry, _platform(entry)) for entry in entries]
    if platforms is not None and all(platform is not None for _, platform in known):
        wanted = _chosen([platform for _, platform in known if platform], platforms, label)
        known = [(entry, platform) for entry, platform in known if platform in wanted]
    images = [_image(repository, repository.manifest(entry.digest), entry) for entry, _ in known]
    if platforms is not None:
        wanted = _chosen([image.platform for image in images], platforms, label)
        images = [image for image in images if image.platform in wanted]
    if not images:
        raise ImageError(f"{label} is an image index without an image", hint="Name another tag or digest.")
    return RemoteImages(root, tuple(sorted(images, key=lambda image: image.platform)))


def remote_index(found: RemoteImages) -> ImageIndex:
    """The images as an image index in OCI's media types: the registry's own bytes if nothing has to be changed or left out."""
    images = tuple(to_oci_media_types(image) for image in found.images)
    if found.document.is_index and found.document.descriptor.media_type == MEDIA_TYPE_INDEX:
        listed = [one.digest for one in decode(found.document.data, Index, found.digest).manifests]
        if sorted(listed) == sorted(image.digest for image in images):
            return ImageIndex(images, found.document.data)
    return make_index(images)


def pull(
    repository: Repository, found: RemoteImages, directory: Path, store: Store, *, name: str, reporter: Reporter, workers: int = 4
) -> Pulled:
    """Brings the images into an OCI image layout under the name, new or there already; a layer that is there is not fetched again.

    What an interrupted pull had fetched is taken up. Raises UsageError if the directory holds something else, FetchError,
    IntegrityError, and BuildError if the disk is full.
    """
    index = remote_index(found)
    require_layout_or_empty(directory)
    try:
        _begin(directory)
        fetching = _Fetching(repository, directory, reporter)
        fetching.all(index, workers)
        entry = write_layout(index, directory, store, name=name)
        fetching.clear()
    except OSError as error:
        raise write_error(f"the layout {directory}", error, "directory") from error
    rest = f" ({format_size(fetching.present)} already there)" if fetching.present else ""
    reporter(StageFinished(STAGE, f"fetched {format_size(fetching.fetched)}{rest}", notable=True))
    return Pulled(entry, found.digest, fetching.fetched, fetching.present)


def _begin(directory: Path) -> None:
    """A layout without an image, so that an interrupted pull leaves one that can be gone on with."""
    if (directory / LAYOUT).is_file():
        return
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in ((INDEX, index_json([])), (LAYOUT, OCI_LAYOUT)):
        with atomic_write(directory / name) as write:
            write(data)


class _Fetching:
    """The layers of images on their way into a layout; each collects its bytes beside its place."""

    def __init__(self, repository: Repository, directory: Path, reporter: Reporter) -> None:
        self.fetched = self.present = 0
        self._repository = repository
        self._directory = directory
        self._reporter = reporter
        self._lock = threading.Lock()

    def all(self, index: ImageIndex, workers: int) -> None:
        """Fetches what is missing, the largest first; raises the first thing that goes wrong."""
        layers = {layer.descriptor.digest: layer.descriptor for image in index.images for layer in image.layers}
        wanted = []
        for layer in layers.values():
            path = self._directory / blob_path(checked_digest(layer.digest))
            if path.is_file() and path.stat().st_size == layer.size:
                self.present += layer.size
            else:
                wanted.append(layer)
        self._reporter(StageStarted(STAGE, sum(layer.size for layer in wanted), "bytes"))
        with ThreadPoolExecutor(workers, thread_name_prefix="pull") as pool:
            jobs = [pool.submit(self._one, layer) for layer in sorted(wanted, key=lambda layer: -layer.size)]
            try:
                for job in as_completed(jobs):
                    job.result()
            except BaseException:
                self._repository.transport.closed.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def clear(self) -> None:
        """Removes what is left of other pulls that were interrupted."""
        for path in (self._directory / "blobs").glob("*/.*.partial"):
            path.unlink(missing_ok=True)

    def _one(self, layer: Descriptor) -> None:
        path = self._directory / blob_path(layer.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_name(f".{path.name}.partial")
        seen = hashlib.new(layer.digest.partition(":")[0])
        with partial_path.open("a+b", buffering=_BUFFER) as stream:
            start = told = have = _kept(stream, layer, seen)
            for chunk in self._repository.blob(layer, start):
                stream.write(chunk)
                # From its beginning on the repository checks it.
                if start:
                    seen.update(chunk)
                have += len(chunk)
                if have - told >= _BUFFER or have == layer.size:
                    told = have
                    self._reporter(Moved(STAGE, layer.digest, have, layer.size))
        if start and f"{seen.name}:{seen.hexdigest()}" != layer.digest:
            # What was kept of an earlier pull may be wrong: it is not used a second time.
            partial_path.unlink()
            raise IntegrityError(f"{layer.digest}: what was fetched is {seen.name}:{seen.hexdigest()}", hint="Run the command again.")
        partial_path.chmod(0o644)
        partial_path.replace(path)
        with self._lock:
            self.fetched += layer.size - start


def _kept(stream: BinaryIO, layer: Descriptor, seen: "hashlib._Hash") -> int:
    """What an interrupted pull left of a layer, hashed; nothing if it cannot be its beginning."""
    stream.seek(0, 2)
    if stream.tell() >= layer.size:
        stream.truncate(0)
    stream.seek(0)
    while data := stream.read(1 << 20):
        seen.update(data)
    return stream.tell()


def _platform(entry: Descriptor) -> Platform | None:
    return None if entry.platform is None else _plain(entry.platform.platform)


def _plain(platform: Platform) -> Platform:
    """linux/arm64/v8 is what linux/arm64 means: one name for both."""
    return Platform(platform.os, platform.architecture) if (platform.architecture, platform.variant) == ("arm64", "v8") else platform


def _chosen(there: Sequence[Platform], wanted: Sequence[Platform], label: str) -> set[Platform]:
    """The platforms of `there` that serve what is wanted; raises UsageError with all that are missing: none is called what it is not."""
    found = set()
    missing = []
    for platform in wanted:
        fits = [one for one in there if _plain(platform).matches(one)]
        if not fits:
            missing.append(str(platform))
        # Of several variants the one that is named, else the one without.
        found |= set(sorted(fits, key=lambda one: (one != platform, one.variant))[:1])
    if missing:
        known = ", ".join(map(str, sorted(set(there)))) or "none"
        raise UsageError(
            f"{label} has no image for {', '.join(missing)}", hint=f"Platforms that it has: {known}. Name these with --platform."
        )
    return found


def _image(repository: Repository, document: Document, entry: Descriptor | None) -> Image:
    """One platform's image; its platform is what its config says, and must be what the image index says of it."""
    digest = document.descriptor.digest
    label = f"{repository.name}@{digest}"
    if document.is_index:
        raise ImageError(f"{label} is an image index inside another one", hint="Name the inner one by its digest.")
    if entry is not None and (entry.digest, entry.size) != (digest, document.descriptor.size):
        raise ImageError(f"{label}: {document.descriptor.size} bytes, not {entry.size}", hint=_BROKEN)
    manifest = decode(document.data, Manifest, label)
    data = repository.small(manifest.config)
    config = decode(data, ConfigFile, f"{repository.name}@{manifest.config.digest}")
    platform = _plain(Platform(config.os, config.architecture, config.variant))
    said = None if entry is None else _platform(entry)
    if said is not None and (said.os, said.architecture) != (platform.os, platform.architecture):
        raise ImageError(f"{label} is listed as for {said}, and is for {platform}", hint=_BROKEN)
    if said is not None and said.variant and not platform.variant:
        platform = said
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise ImageError(f"{label} has {len(manifest.layers)} layers and {len(config.rootfs.diff_ids)} diff_ids", hint=_BROKEN)
    layers = tuple(_layers(repository, manifest, config))
    return Image(platform, document.data, data, layers, manifest.config.media_type, document.descriptor.media_type)


def _layers(repository: Repository, manifest: Manifest, config: ConfigFile) -> Iterator[RemoteLayer]:
    for layer, diff_id in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
        yield RemoteLayer(layer, diff_id, partial(repository.blob, layer), repository.name, repository.name)


_BROKEN = "The image was made or copied wrongly; name another one."
