"""Push images while they are built: the registry is asked first what it has, and that is neither fetched, made nor sent.

Layers are found by the keys in the manifests that were pushed before. Whoever may write to the repository is trusted with those, as with
the images themselves.
"""

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.base_requirements import BaseRequirements
from shipwheel.digest import Digest, digest_of
from shipwheel.errors import FetchError, ImageError, IntegrityError
from shipwheel.events import Reporter, Warned
from shipwheel.oci.image import Blob, ImageIndex
from shipwheel.oci.layer import Layer, LayerSpec, layer_chunks, layer_from_descriptor
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor
from shipwheel.oci.reference import Reference
from shipwheel.pipeline.layer_cache import LayerCache
from shipwheel.pipeline.previous_image import ImageMetadata, PreviousImage, read_previous_image
from shipwheel.pipeline.published import Published
from shipwheel.pipeline.segment_metadata import EMPTY, MEDIA_TYPE_RECORD, artifact, pack, pack_builds, unpack, unpack_builds
from shipwheel.store import Store

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
        self._records = records
        self._cached: dict[str, Layer] = {}
        self.repository: Repository = Repository(reference, reporter)
        self._push: Push = Push(self.repository, reporter)
        self._lock = threading.Lock()
        self._previous: PreviousImage | None = None
        self._metadata: ImageMetadata | None = None

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

    def check_permission(self) -> None:
        """Raise FetchError if the registry would refuse the push or does not answer."""
        self._push.check_permission()

    def find_layers(self, specs: Sequence[LayerSpec]) -> dict[str, Layer]:
        """See Destination: the layers of the previous image, then those of the cache."""
        if self._complete:
            return {}
        previous = self._read_previous().layers
        known = (layer_from_descriptor(spec, *previous[spec.key]) for spec in specs if spec.key in previous)
        found = {layer.key: layer for layer in known if layer is not None}
        if self._cache is not None:
            cached = self._cache.find_layers([spec for spec in specs if spec.key not in found])
            self._cached |= cached
            found |= cached
        return found

    def read_metadata(self, specs: Sequence[LayerSpec]) -> None:
        """See Destination. Metadata that is damaged or gone counts as absent, with a warning, and is attached anew."""
        segments = self._read_metadata().segments
        for spec in specs:
            try:
                if (descriptor := segments.get(spec.key)) is not None:
                    unpack(self.repository.small_blob(descriptor), [source.key for source in spec.sources], self._store)
                if self._cache is not None:
                    self._cache.read_metadata([spec])
            except IntegrityError:
                raise
            except (FetchError, ImageError) as error:
                self._forget_record(spec.key)
                self._reporter(Warned(error.message, "The layer is made here, and the registry gets its record again."))

    def read_builds(self) -> bool:
        """See Destination."""
        if self._complete:
            return False
        try:
            # All of them are read, not only up to the first that has any.
            found = [unpack_builds(self.repository.small_blob(builds), self._store) for builds in self._read_metadata().builds]
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
            self._push.blob(Blob(layer.descriptor, partial(layer_chunks, layer, self._store)), self._origins(layer.digest))
        elif layer.key in self._cached and self._cache is not None:
            self._push.blob(self._cache.bytes_of(layer), (self._cache.repository.name,))

    def finish(self, index: ImageIndex, wheels: "Sequence[BuiltWheel]" = ()) -> Published:
        """Upload the rest, then the manifests, and move the tag last; nothing if it stands for them already.

        Raises FetchError or DamagedBlob.
        """
        tag = self.reference.tag_or_latest
        ours = {layer.key: layer for image in index.images for layer in image.layers if isinstance(layer, Layer)}
        if self.repository.digest_of_tag(tag) == index.digest:
            self._push.count_as_present(index)
        else:
            for layer in ours.values():
                self.layer_ready(layer)
            self._push.images(index, self._store)
            self._push.put_images(index)
            self._push.tag_images(index, (tag,))
            if self._records:
                with self._push.optional():
                    self._attach_metadata(index, ours, wheels)
            for digest in {layer.descriptor.digest for image in index.images for layer in image.layers}:
                self._remember_origin(digest)
        self._push.report_finished()
        if self._cache is not None:
            self._fill_cache(self._cache, ours.values())
        read = self.repository.transport.received + (self._cache.repository.transport.received if self._cache is not None else 0)
        return Published(self.reference.name, (tag,), index.digest, self._push.traffic, read)

    def _fill_cache(self, cache: LayerCache, layers: Iterable[Layer]) -> None:
        try:
            cache.add(layers)
        except FetchError as error:
            hint = "The image was pushed; other projects will make these layers themselves."
            self._reporter(Warned(f"the cache got no layers: {error.message}", hint))

    def _attach_metadata(self, index: ImageIndex, ours: dict[str, Layer], wheels: "Sequence[BuiltWheel]") -> None:
        """Attach the metadata of our layers to the image index, for machines that will change some of them."""
        from shipwheel.registry.repository import Document

        previous = self._read_metadata().segments if self._previous is not None else {}
        known = {key: descriptor for key, descriptor in previous.items() if key in ours}
        packed = {key: data for key, layer in ours.items() if key not in known and (data := pack(layer, self._store)) is not None}
        if not packed and not known:
            return
        builds = pack_builds(wheels) if wheels else None
        data = artifact(index.descriptor, packed, known, builds)
        contents = (*packed.values(), EMPTY, *((builds,) if builds is not None else ()))
        for content in contents:
            self._push.blob(Blob(Descriptor(MEDIA_TYPE_RECORD, digest_of(content), len(content)), partial(iter, (content,))))
        self._push.wait_for_blobs()
        self._push.document(Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(data), len(data)), data))

    def _read_metadata(self) -> ImageMetadata:
        previous = self._read_previous()
        with self._lock:
            if self._metadata is None:
                self._metadata = previous.read_metadata(self._reporter)
            return self._metadata

    def _forget_record(self, key: str) -> None:
        with self._lock:
            if self._metadata is not None:
                known = {each: descriptor for each, descriptor in self._metadata.segments.items() if each != key}
                self._metadata = msgspec.structs.replace(self._metadata, segments=known)

    def _read_previous(self) -> PreviousImage:
        with self._lock:
            if self._previous is None:
                self._previous = read_previous_image(self.repository, self.reference.tag_or_latest, self._reporter)
            return self._previous

    def _origins(self, digest: Digest) -> tuple[str, ...]:
        """Return the repositories in which this machine has seen the blob, the latest first: the blob may be mounted from them."""
        names = self._store.get_as("pushed", digest.partition(":")[2], list[str]) or []
        return tuple(name for name in names if name != self.reference.name)

    def _remember_origin(self, digest: Digest) -> None:
        names = dict.fromkeys((self.reference.name, *self._origins(digest)))
        self._store.put("pushed", digest.partition(":")[2], msgspec.json.encode(list(names)[:_MAX_ORIGINS]))
