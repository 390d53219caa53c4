"""Images into a registry while they are made: what is there already is asked for first, and is neither fetched, made nor sent.

Layers are found by their keys, which stand in the manifests that were pushed. Who may write to the repository is trusted with that, as
with the images themselves.
"""

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec

from shipwheel.base.base_requirements import Needs
from shipwheel.errors import ImageError
from shipwheel.events import Reporter, Warned
from shipwheel.oci.image import Blob, ImageIndex, digest_of
from shipwheel.oci.layer import Layer, LayerSpec, layer_chunks, layer_elsewhere
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor
from shipwheel.oci.reference import Reference
from shipwheel.pipeline.layer_cache import LayerCache
from shipwheel.pipeline.previous_image import Beside, There, there
from shipwheel.pipeline.segment_metadata import EMPTY, MEDIA_TYPE_RECORD, artifact, pack, pack_builds, unpack, unpack_builds
from shipwheel.store import Store

if TYPE_CHECKING:
    from shipwheel.registry.push import Traffic
    from shipwheel.wheels.source_builds import BuiltWheel

__all__ = ["Destination", "Published", "Publisher"]


class Destination(Protocol):
    """Where a build's layers go, as the pipeline sees it. Any thread may call."""

    def found(self, specs: Sequence[LayerSpec]) -> dict[str, Layer]:
        """The layers of these that are there already, by key: what follows needs none of their bytes."""

    def records(self, specs: Sequence[LayerSpec]) -> None:
        """Brings what is known of these layers' segments into the store, as far as it is there."""

    def builds(self) -> bool:
        """Brings what came out of builds of sources into the store, as far as it is there; whether it is."""

    def is_proved(self, key: str) -> bool:
        """Whether an image that is there was proved under that key."""

    def needs(self, key: str) -> Needs | None:
        """What the image that was proved under that key needs of the one below it; None if that is not known there."""

    def ready(self, layer: Layer) -> None:
        """A layer is finished, or was found in the store while others are made."""


class Published(msgspec.Struct, frozen=True):
    """What was pushed: `name` is registry/repository; `traffic` counts what went up, `read` the bytes that were read of registries."""

    name: str
    tags: tuple[str, ...]
    digest: str
    traffic: "Traffic"
    read: int


class Publisher:
    """A Destination that is a repository of a registry; a context manager, which gives up what is under way after an error.

    With `complete`, the build has to end with all layers here: what is there is not asked for. `cache` keeps layers of all projects.
    """

    def __init__(
        self, reference: Reference, store: Store, reporter: Reporter, *, complete: bool = False, cache: LayerCache | None = None
    ) -> None:
        from shipwheel.registry.push import Push
        from shipwheel.registry.repository import Repository

        self.reference = reference
        self._store = store
        self._reporter = reporter
        self._complete = complete
        self._cache = cache
        self._cached: dict[str, Layer] = {}
        self.repository: Repository = Repository(reference, reporter)
        self._push: Push = Push(self.repository, reporter)
        self._lock = threading.Lock()
        self._there: There | None = None
        self._known_beside: Beside | None = None

    def __enter__(self) -> "Publisher":
        self._push.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self._push.__exit__(kind, *rest)
        finally:
            self.repository.close()
            if self._cache is not None:
                self._cache.close()

    def found(self, specs: Sequence[LayerSpec]) -> dict[str, Layer]:
        """See Destination: the layers of the image that has the tag now, then the cache's."""
        if self._complete:
            return {}
        there = self._current()
        known = ((spec, there.layers[spec.key]) for spec in specs if spec.key in there.layers)
        found = {layer.key: layer for layer in (layer_elsewhere(spec, *of) for spec, of in known) if layer is not None}
        if self._cache is not None:
            cached = self._cache.found([spec for spec in specs if spec.key not in found])
            self._cached |= cached
            found |= cached
        return found

    def records(self, specs: Sequence[LayerSpec]) -> None:
        """See Destination. What is damaged there is as if it were not there, and said."""
        records = self._beside().records
        for spec in specs:
            try:
                if (descriptor := records.get(spec.key)) is not None:
                    unpack(self.repository.small(descriptor), [source.key for source in spec.sources], self._store)
                if self._cache is not None:
                    self._cache.records([spec])
            except ImageError as error:
                self._reporter(Warned(error.message, error.hint))

    def builds(self) -> bool:
        """See Destination."""
        if self._complete:
            return False
        try:
            known = [unpack_builds(self.repository.small(one), self._store) for one in self._beside().builds]
            return any(known)
        except ImageError as error:
            self._reporter(Warned(error.message, error.hint))
            return False

    def is_proved(self, key: str) -> bool:
        """See Destination."""
        return not self._complete and key in self._current().proofs

    def needs(self, key: str) -> Needs | None:
        """See Destination."""
        return None if self._complete else self._current().proofs.get(key)

    def ready(self, layer: Layer) -> None:
        """See Destination: it goes up while others are made."""
        if layer.parts:
            self._push.blob(Blob(layer.descriptor, partial(layer_chunks, layer, self._store)), self._origins(layer.digest))
        elif layer.key in self._cached and self._cache is not None:
            self._push.blob(self._cache.bytes_of(layer), (self._cache.repository.name,))

    def finish(self, index: ImageIndex, wheels: "Sequence[BuiltWheel]" = ()) -> Published:
        """Brings the rest, the manifests, and the tag at last; nothing if it stands for them. Raises FetchError, DamagedBlob."""
        tag = self.reference.tag_or_latest
        ours = {layer.key: layer for image in index.images for layer in image.layers if isinstance(layer, Layer)}
        if self.repository.digest_of_tag(tag) == index.digest:
            self._push.nothing(index)
        else:
            for layer in ours.values():
                self.ready(layer)
            self._push.images(index, self._store)
            self._push.bring(index)
            self._keep_records(index, ours, wheels)
            self._push.name(index, (tag,))
            for digest in {layer.descriptor.digest for image in index.images for layer in image.layers}:
                self._remember(digest)
        self._push.done()
        if self._cache is not None:
            self._cache.keep(ours.values())
        read = self.repository.transport.received + (self._cache.repository.transport.received if self._cache is not None else 0)
        return Published(self.reference.name, (tag,), index.digest, self._push.traffic, read)

    def _keep_records(self, index: ImageIndex, ours: dict[str, Layer], wheels: "Sequence[BuiltWheel]") -> None:
        """What is known of the layers, beside the images: for machines that change a part of them."""
        from shipwheel.registry.repository import Document

        packed = {key: data for key, layer in ours.items() if (data := pack(layer, self._store)) is not None}
        there = self._beside().records if self._there is not None else {}
        known = {key: descriptor for key, descriptor in there.items() if key in ours and key not in packed}
        if not packed and not known:
            return
        builds = pack_builds(wheels) if wheels else None
        data = artifact(index.descriptor, packed, known, builds)
        for blob in (*packed.values(), EMPTY, *((builds,) if builds is not None else ())):
            self._push.blob(Blob(Descriptor(MEDIA_TYPE_RECORD, digest_of(blob), len(blob)), partial(iter, (blob,))))
        self._push.settle()
        self._push.document(Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(data), len(data)), data))

    def _beside(self) -> Beside:
        current = self._current()
        with self._lock:
            if self._known_beside is None:
                self._known_beside = current.beside(self._reporter)
            return self._known_beside

    def _current(self) -> "There":
        with self._lock:
            if self._there is None:
                self._there = there(self.repository, self.reference.tag_or_latest, self._reporter)
            return self._there

    def _origins(self, digest: str) -> tuple[str, ...]:
        """Repositories that this machine has seen the blob in, the last one first."""
        record = self._store.get("pushed", digest.partition(":")[2])
        names: list[str] = msgspec.json.decode(record, type=list[str]) if record is not None else []
        return tuple(name for name in names if name != self.reference.name)

    def _remember(self, digest: str) -> None:
        names = dict.fromkeys((self.reference.name, *self._origins(digest)))
        self._store.put("pushed", digest.partition(":")[2], msgspec.json.encode(list(names)[:_ORIGINS]))


_ORIGINS = 4
