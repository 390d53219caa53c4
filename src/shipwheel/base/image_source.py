"""Opening base images by name, from a registry or a layout, and fetching their layers.

The store remembers the documents of a registry's images by digest, so a pinned image needs no request. Layers are fetched when their files
must be read.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shipwheel.digest import Digest
from shipwheel.errors import LockError, UsageError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.oci.convert import to_oci_media_types
from shipwheel.oci.image import Image, ImageIndex, RemoteLayer, make_index
from shipwheel.oci.layout import read_layout
from shipwheel.oci.model import Descriptor
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.store import Store

if TYPE_CHECKING:
    from shipwheel.registry.repository import Repository

__all__ = ["IMAGE_RECORD", "fetch_layers", "image_for_platform", "image_record_key", "open_images"]

_LAYOUT_PREFIX = "oci:"
"""The prefix of a layout's name: `oci:DIR` or `oci:DIR:NAME`."""

IMAGE_RECORD = "base-image"
"""The kind of the store's records of images from registries: everything but the bytes of their layers."""

_STAGE = "base layers"
_WORKERS = 4


def open_images(
    name: str, digest: Digest | None, platforms: Sequence[Platform], store: Store, reporter: Reporter, *, root: Path
) -> tuple[ImageIndex, Digest]:
    """Return the images that a name refers to, and the digest of their index or manifest. No layer is read.

    With `digest`, return the images of that digest, whatever the name refers to now. `root` is the directory that the path of a layout is
    relative to. Raise FetchError, ImageError, UsageError, or LockError if a layout no longer has the digest.
    """
    if not name.startswith(_LAYOUT_PREFIX):
        return _open_remote(name, digest, platforms, store, reporter)
    path, tag = _layout_path(name, root)
    reader = read_layout(path)
    try:
        entry = reader.entry(digest or tag)
    except UsageError:
        if not digest:
            raise
        raise LockError(
            f"the base that the lock names, {digest[:19]}…, is no longer in {path}", hint="Use the layout's image with --upgrade-base."
        ) from None
    return make_index([to_oci_media_types(image) for image in reader.images(entry.digest).images]), entry.digest


def _layout_path(name: str, root: Path) -> tuple[Path, str | None]:
    text = name.removeprefix(_LAYOUT_PREFIX)
    path, colon, tag = text.rpartition(":")
    if not colon or "/" in tag or (root / text).exists():
        path, tag = text, ""
    return root / path, tag or None


def image_for_platform(index: ImageIndex, platform: Platform, name: str) -> Image:
    """Return the image for a platform. Raise UsageError that lists the available platforms if there is none."""
    image = next((image for image in index.images if platform.matches(image.platform)), None)
    if image is None:
        available = ", ".join(str(image.platform) for image in index.images) or "none"
        raise UsageError(
            f"the base {name} has no image for {platform}", hint=f"Platforms that it has: {available}. Select these with --platform."
        )
    return image


class _ImageRecord(msgspec.Struct, frozen=True):
    """The store's record of an image: everything but the bytes of its layers."""

    platform: tuple[str, str, str]
    manifest: bytes
    config: bytes
    layers: tuple[tuple[Descriptor, Digest], ...]
    origin: str


def _open_remote(
    name: str, digest: Digest | None, platforms: Sequence[Platform], store: Store, reporter: Reporter
) -> tuple[ImageIndex, Digest]:
    reference = Reference.parse(name)
    source = _LayerSource(reference, store, reporter)
    pinned = digest or reference.digest
    if pinned and (recorded := [_recorded_image(pinned, platform, store, source) for platform in platforms]) and all(recorded):
        return make_index([image for image in recorded if image is not None]), pinned
    from shipwheel.registry.pull import remote_images

    with source.repository() as repository:
        remote = remote_images(repository, pinned or reference.tag_or_latest, platforms)
    images = [to_oci_media_types(image) for image in remote.images]
    for platform in platforms:
        image = next((image for image in images if platform.matches(image.platform)), None)
        if image is None:
            continue
        layers = tuple((layer.descriptor, layer.diff_id) for layer in image.layers)
        described = (image.platform.os, image.platform.architecture, image.platform.variant)
        record = _ImageRecord(described, image.manifest, image.config, layers, reference.name)
        store.put(IMAGE_RECORD, image_record_key(remote.digest, platform), msgspec.json.encode(record))
    return make_index([_with_remote_layers(image, source) for image in images]), remote.digest


class _LayerSource:
    """The source of layers of a registry's images: the store, else their repository.

    The repository is opened by the first reader, shared by all, and closed by the last: images outlive the build and any thread may read
    their layers at any time, so there is no later moment at which to close it.
    """

    def __init__(self, reference: Reference, store: Store, reporter: Reporter) -> None:
        self._reference = reference
        self._store = store
        self._reporter = reporter
        self._lock = threading.Lock()
        self._repository: Repository | None = None
        self._readers = 0

    @contextmanager
    def repository(self) -> "Iterator[Repository]":
        with self._lock:
            if self._repository is None:
                from shipwheel.registry.repository import Repository

                self._repository = Repository(self._reference, self._reporter)
            self._readers += 1
            repository = self._repository
        try:
            yield repository
        finally:
            with self._lock:
                self._readers -= 1
                if not self._readers:
                    repository.close()
                    self._repository = None

    def layer(self, descriptor: Descriptor, diff_id: Digest) -> RemoteLayer:
        name = self._reference.name
        return RemoteLayer(descriptor, diff_id, partial(self._chunks, descriptor), name, name)

    def _chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Return the bytes of a layer, which is fetched into the store first if it is not there."""
        if not self._store.has(descriptor.digest):
            done = 0
            with self.repository() as repository, self._store.writer(descriptor.digest) as blob:
                for chunk in repository.blob(descriptor):
                    blob.write(chunk)
                    done += len(chunk)
                    self._reporter(Moved(_STAGE, descriptor.digest, done, descriptor.size))
        return self._store.chunks(descriptor.digest)


def image_record_key(digest: Digest, platform: Platform) -> str:
    """Return the key of the store's record of an image for a platform."""
    return f"{digest.partition(':')[2]}-{str(platform).replace('/', '-')}"


def _recorded_image(digest: Digest, platform: Platform, store: Store, source: _LayerSource) -> Image | None:
    record = store.get_as(IMAGE_RECORD, image_record_key(digest, platform), _ImageRecord)
    if record is None:
        return None
    layers = tuple(source.layer(descriptor, diff_id) for descriptor, diff_id in record.layers)
    return Image(Platform(*record.platform), record.manifest, record.config, layers)


def _with_remote_layers(image: Image, source: _LayerSource) -> Image:
    return msgspec.structs.replace(image, layers=tuple(source.layer(layer.descriptor, layer.diff_id) for layer in image.layers))


def fetch_layers(images: Sequence[Image], store: Store, reporter: Reporter) -> None:
    """Fetch all layers that are in a registry into the store, in parallel. Raise FetchError or IntegrityError."""
    layers = {layer.descriptor.digest: layer for image in images for layer in image.layers if isinstance(layer, RemoteLayer)}
    missing = [layer for digest, layer in layers.items() if not store.has(digest)]
    if not missing:
        return
    total = sum(layer.descriptor.size for layer in missing)
    reporter(StageStarted(_STAGE, total, "bytes", detail=True))
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="base") as pool:
        jobs = [pool.submit(layer.open) for layer in missing]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    reporter(StageFinished(_STAGE, f"{total / 1e6:.1f} MB"))
