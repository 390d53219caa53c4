"""Push images while they are built: the registry is asked first what it has, and that is neither fetched, made nor sent.

Layers are found by the keys in the manifests that were pushed before. Whoever may write to the repository is trusted with those, as with
the images themselves.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.base_requirements import BaseRequirements
from shipwheel.digest import Digest
from shipwheel.errors import FetchError, ImageError, IntegrityError, ShipwheelError
from shipwheel.events import Reporter, Warned
from shipwheel.oci.image import Blob, ImageIndex
from shipwheel.oci.layer import Layer, LayerSpec, layer_chunks, layer_from_descriptor
from shipwheel.oci.model import Descriptor
from shipwheel.oci.reference import Reference
from shipwheel.pipeline.attached_records import AttachedRecords
from shipwheel.pipeline.layer_cache import LayerCache
from shipwheel.pipeline.previous_image import PreviousImage, read_previous_image
from shipwheel.pipeline.published import Published
from shipwheel.pipeline.segment_metadata import unpack, unpack_builds
from shipwheel.store.store import Store

if TYPE_CHECKING:
    from shipwheel.wheels.built_wheels import BuiltWheel

__all__ = ["Publisher"]

_MAX_ORIGINS = 4
"""Repositories that are remembered for one blob."""


class Publisher:
    """The Destination that is a repository of a registry. A context manager: an error cancels the uploads in progress.

    With `complete`, every layer must end up in the store as well, so the registry is not asked. `cache` keeps the layers of all projects.
    With `records`, the metadata of the layers is attached to the image.
    """

    def __init__(
        self,
        reference: Reference,
        store: Store,
        reporter: Reporter,
        *,
        complete: bool = False,
        cache: LayerCache | None = None,
        records: bool = True,
    ) -> None:
        from shipwheel.registry.push import Push
        from shipwheel.registry.repository import Repository

        self.reference = reference
        self._store = store
        self._reporter = reporter
        self._complete = complete
        self._cache = cache
        self._attaches = records
        self._cached: dict[str, Layer] = {}
        self.repository: Repository = Repository(reference, reporter)
        self._push: Push = Push(self.repository, reporter, listed=self._listed)
        self._records = AttachedRecords(reference.name, self._push, store, reporter)
        self._lock = threading.Lock()
        self._asking = ThreadPoolExecutor(2, thread_name_prefix="ask")
        self._permission: Future[None] | None = None
        self._previous: Future[PreviousImage] | None = None
        self._warned = False
        self._layers: dict[str, tuple[Descriptor, Digest]] | None = None

    def __enter__(self) -> "Publisher":
        """Begin to ask for permission and for the image that is there now, which takes until the project is read."""
        self._push.__enter__()
        self._permission = self._asking.submit(self._push.check_permission)
        if not self._complete:
            self._previous = self._asking.submit(read_previous_image, self.repository, self.reference.tag_or_latest)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self._asking.shutdown(wait=kind is None, cancel_futures=True)
            self._push.__exit__(kind, *rest)
        finally:
            self.repository.close()
            self._asking.shutdown()
            if self._cache is not None:
                self._cache.close()

    def check_permission(self) -> None:
        """See Destination. Raises FetchError if the registry does not answer, too."""
        if self._permission is not None:
            self._permission.result()

    def find_layers(self, specs: Sequence[LayerSpec]) -> dict[str, Layer]:
        """See Destination: the layers of the previous image, then those of the cache."""
        if self._complete:
            return {}
        previous = self._read_layers()
        known = (layer_from_descriptor(spec, *previous[spec.key]) for spec in specs if spec.key in previous)
        found = {layer.key: layer for layer in known if layer is not None}
        if self._cache is not None:
            cached = self._cache.find_layers([spec for spec in specs if spec.key not in found])
            self._cached |= cached
            found |= cached
        return found

    def read_metadata(self, specs: Sequence[LayerSpec]) -> None:
        """See Destination. Metadata that is damaged or gone counts as absent, with a warning, and is attached anew."""
        segments = self._records.read(self._read_previous()).segments
        for spec in specs:
            try:
                if (descriptor := segments.get(spec.key)) is not None:
                    unpack(self.repository.small_blob(descriptor), [source.key for source in spec.sources], self._store)
                if self._cache is not None:
                    self._cache.read_metadata([spec])
            except IntegrityError:
                raise
            except (FetchError, ImageError) as error:
                self._records.forget(spec.key)
                self._reporter(Warned(error.message, "The layer is made here, and the registry gets its record again."))

    def read_builds(self) -> bool:
        """See Destination."""
        if self._complete:
            return False
        try:
            # All of them are read, not only up to the first that has any.
            found = [
                unpack_builds(self.repository.small_blob(builds), self._store)
                for builds in self._records.read(self._read_previous()).builds
            ]
            return any(found)
        except IntegrityError:
            raise
        except (FetchError, ImageError) as error:
            self._reporter(Warned(error.message, error.hint))
            return False

    def is_proved(self, key: str) -> bool:
        """See Destination."""
        return not self._complete and key in self._read_previous().proofs

    def base_requirements(self, key: str) -> BaseRequirements | None:
        """See Destination."""
        return None if self._complete else self._read_previous().proofs.get(key)

    def layer_ready(self, layer: Layer) -> None:
        """See Destination: the layer is uploaded while others are made."""
        if layer.parts:
            self._push.blob(Blob(layer.descriptor, partial(layer_chunks, layer, self._store)), partial(self._origins, layer.digest))
        elif layer.key in self._cached and self._cache is not None:
            self._push.blob(self._cache.bytes_of(layer), (self._cache.repository.name,))

    def begin(self, index: ImageIndex, wheels: "Sequence[BuiltWheel]" = ()) -> Callable[[], Published]:
        """Begin to upload what is left, without a manifest. Return the function that waits for it, and publishes the images.

        That uploads the manifests and moves the tag last; nothing is uploaded if the tag stands for the images already. Both raise
        FetchError or DamagedBlob.
        """
        ours = {layer.key: layer for image in index.images for layer in image.layers if isinstance(layer, Layer)}
        if self._stands_for(index.digest):
            self._push.count_as_present(index)
            return partial(self._finish, index, ours)
        for layer in ours.values():
            self.layer_ready(layer)
        self._push.images(index, self._store)
        self._push.configs(index, fresh=True)
        attach: Callable[[], None] | None = None
        if self._attaches:
            with self._push.optional():
                attach = self._records.begin(self._read_previous(), index.descriptor, ours, wheels)
        return partial(self._publish, index, ours, attach)

    def _publish(self, index: ImageIndex, ours: Mapping[str, Layer], attach: Callable[[], None] | None) -> Published:
        self._push.publish(index, self.reference.tag_or_latest)
        # Beside the requests that follow.
        digests = {layer.descriptor.digest for image in index.images for layer in image.layers}
        remembered = self._asking.submit(self._remember_origins, digests)
        if attach is not None:
            with self._push.optional():
                attach()
        remembered.result()
        return self._finish(index, ours)

    def _finish(self, index: ImageIndex, ours: Mapping[str, Layer]) -> Published:
        self._push.report_finished()
        if self._cache is not None:
            self._fill_cache(self._cache, ours.values())
        read = self.repository.transport.received + (self._cache.repository.transport.received if self._cache is not None else 0)
        return Published(self.reference.name, (self.reference.tag_or_latest,), index.digest, self._push.traffic, read)

    def _fill_cache(self, cache: LayerCache, layers: Iterable[Layer]) -> None:
        try:
            cache.add(layers)
        except FetchError as error:
            hint = "The image was pushed; other projects will make these layers themselves."
            self._reporter(Warned(f"the cache got no layers: {error.message}", hint))

    def _read_layers(self) -> dict[str, tuple[Descriptor, Digest]]:
        previous = self._read_previous()
        with self._lock:
            if self._layers is None:
                self._layers = previous.read_layers(self._reporter)
            return self._layers

    def _read_previous(self) -> PreviousImage:
        if self._previous is None:
            return PreviousImage()
        previous = self._previous.result()
        with self._lock:
            warnings, self._warned = () if self._warned else previous.warnings, True
        for warning in warnings:
            self._reporter(warning)
        return previous

    def _listed(self) -> frozenset[str]:
        """Return the blobs that the repository has, because the previous image consists of them."""
        try:
            return frozenset() if self._previous is None else self._previous.result().blobs
        except ShipwheelError:
            return frozenset()

    def _stands_for(self, digest: Digest) -> bool:
        """Return whether the tag stands for a digest. Also if it did when the build began: others may have moved it since."""
        with suppress(FetchError):
            if self._previous is not None and self._previous.result().tagged not in (None, digest):
                return False
        return self.repository.digest_of_tag(self.reference.tag_or_latest) == digest

    def _origins(self, digest: Digest) -> tuple[str, ...]:
        """Return the repositories in which this machine has seen the blob, the latest first: the blob may be mounted from them."""
        names = self._store.get_as("pushed", digest.partition(":")[2], list[str]) or []
        return tuple(name for name in names if name != self.reference.name)

    def _remember_origins(self, digests: Iterable[Digest]) -> None:
        for digest in digests:
            known = self._store.get_as("pushed", digest.partition(":")[2], list[str]) or []
            names = list(dict.fromkeys((self.reference.name, *known)))[:_MAX_ORIGINS]
            if names != known:
                self._store.put("pushed", digest.partition(":")[2], msgspec.json.encode(names))
