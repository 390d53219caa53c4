"""Base images from registries: their documents are remembered by digest, their layers are brought into the store if anybody reads them."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.oci.convert import in_oci_types
from shipwheel.oci.image import Image, ImageIndex, RemoteLayer, make_index
from shipwheel.oci.model import Descriptor
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store import Store

if TYPE_CHECKING:
    from shipwheel.registry.repository import Repository

__all__ = ["bring", "remote_base"]

_STAGE = "base layers"


class _Known(msgspec.Struct, frozen=True):
    """An image as it is remembered: everything but its layers' bytes."""

    platform: tuple[str, str, str]
    manifest: bytes
    config: bytes
    layers: tuple[tuple[Descriptor, str], ...]
    origin: str


def remote_base(name: str, digest: str, platforms: Sequence[Platform], store: Store, reporter: Reporter) -> tuple[ImageIndex, str]:
    """The images of a reference, or of the digest that is pinned for it, and the digest of what they are listed in.

    The registry is asked for documents that are not known by their digest, and for no layer. Raises FetchError, ImageError, UsageError.
    """
    reference = Reference.parse(name)
    opened = _Opened(reference, reporter)
    pinned = digest or reference.digest or ""
    if pinned and (known := [_remembered(pinned, platform, store, opened, reporter) for platform in platforms]) and all(known):
        return make_index([image for image in known if image is not None]), pinned
    from shipwheel.registry.pull import remote_images

    with opened.repository() as repository:
        found = remote_images(repository, pinned or reference.tag_or_latest, platforms)
    images = [in_oci_types(image) for image in found.images]
    for platform in platforms:
        image = next((image for image in images if platform.matches(image.platform)), None)
        if image is None:
            continue
        layers = tuple((layer.descriptor, layer.diff_id) for layer in image.layers)
        of = image.platform
        known_image = _Known((of.os, of.architecture, of.variant), image.manifest, image.config, layers, reference.name)
        store.put("base-image", _key(found.digest, platform), msgspec.json.encode(known_image))
    return make_index([_with_layers(image, store, opened, reporter) for image in images]), found.digest


class _Opened:
    """The repository while somebody reads of it: opened by the first, shared by all, closed by the last.

    The images outlive the build, and their layers may be read at any time by any thread, so there is no later moment to close it at.
    """

    def __init__(self, reference: Reference, reporter: Reporter) -> None:
        self._reference = reference
        self._reporter = reporter
        self._lock = threading.Lock()
        self._repository: Repository | None = None
        self._readers = 0

    @property
    def origin(self) -> str:
        return self._reference.name

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


def _key(digest: str, platform: Platform) -> str:
    return f"{digest.partition(':')[2]}-{str(platform).replace('/', '-')}"


def _remembered(digest: str, platform: Platform, store: Store, opened: _Opened, reporter: Reporter) -> Image | None:
    record = store.get("base-image", _key(digest, platform))
    if record is None:
        return None
    with suppress(msgspec.MsgspecError):
        known = msgspec.json.decode(record, type=_Known)
        layers = tuple(_layer(descriptor, diff_id, store, opened, reporter) for descriptor, diff_id in known.layers)
        return Image(Platform(*known.platform), known.manifest, known.config, layers)
    return None


def _with_layers(image: Image, store: Store, opened: _Opened, reporter: Reporter) -> Image:
    layers = tuple(_layer(layer.descriptor, layer.diff_id, store, opened, reporter) for layer in image.layers)
    return msgspec.structs.replace(image, layers=layers)


def _layer(descriptor: Descriptor, diff_id: str, store: Store, opened: _Opened, reporter: Reporter) -> RemoteLayer:
    return RemoteLayer(descriptor, diff_id, partial(_stored, descriptor, store, opened, reporter), opened.origin, opened.origin)


def _stored(descriptor: Descriptor, store: Store, opened: _Opened, reporter: Reporter) -> Iterator[bytes]:
    """The layer's bytes from the store, which gets them first if it does not have them."""
    if not store.has(descriptor.digest):
        have = 0
        with opened.repository() as repository, store.writer(descriptor.digest) as blob:
            for chunk in repository.blob(descriptor):
                blob.write(chunk)
                have += len(chunk)
                reporter(Moved(_STAGE, descriptor.digest, have, descriptor.size))
    return store.chunks(descriptor.digest)


def bring(images: Sequence[Image], store: Store, reporter: Reporter) -> None:
    """Brings all layers that are in a registry into the store, side by side. Raises FetchError, IntegrityError."""
    layers = {layer.descriptor.digest: layer for image in images for layer in image.layers if isinstance(layer, RemoteLayer)}
    wanted = [layer for digest, layer in layers.items() if not store.has(digest)]
    if not wanted:
        return
    total = sum(layer.descriptor.size for layer in wanted)
    reporter(StageStarted(_STAGE, total, "bytes"))
    with ThreadPoolExecutor(4, thread_name_prefix="base") as pool:
        jobs = [pool.submit(layer.open) for layer in wanted]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            # What has not begun is not begun for nothing.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    reporter(StageFinished(_STAGE, f"{total / 1e6:.1f} MB"))
