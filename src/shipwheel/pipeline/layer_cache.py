"""A repository that keeps layers by their keys for all projects (`--cache-repo`).

Each layer has a tag, `layer-<key>`: an artifact with the layer and the metadata of its segments.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from shipwheel.digest import as_digest, digest_of
from shipwheel.errors import ImageError
from shipwheel.events import Reporter, Warned
from shipwheel.oci.image import Blob
from shipwheel.oci.layer import Layer, LayerSpec, layer_chunks, layer_from_descriptor
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Manifest, decode, encode
from shipwheel.oci.reference import Reference
from shipwheel.pipeline.segment_metadata import EMPTY, MEDIA_TYPE_EMPTY, MEDIA_TYPE_RECORD, pack, unpack
from shipwheel.store.store import Store

if TYPE_CHECKING:
    from shipwheel.registry.push import Push

__all__ = ["LayerCache"]

ARTIFACT_TYPE = "application/vnd.shipwheel.layer.v1"
_DIFF_ID = "io.shipwheel.layer.diff-id"
_WORKERS = 8


class LayerCache:
    """The layers in a cache repository. Any thread may use it; close it after use."""

    def __init__(self, reference: Reference, store: Store, reporter: Reporter) -> None:
        from shipwheel.registry.repository import Repository

        self._store = store
        self._reporter = reporter
        self.repository: Repository = Repository(reference, reporter)
        self._records: dict[str, Descriptor] = {}

    def close(self) -> None:
        """Close the connections."""
        self.repository.close()

    def find_layers(self, specs: Sequence[LayerSpec]) -> dict[str, Layer]:
        """Return the layers that the cache has, by key. Raises FetchError."""
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="cache") as pool:
            return {layer.key: layer for layer in pool.map(self._find, specs) if layer is not None}

    def read_metadata(self, specs: Sequence[LayerSpec]) -> None:
        """Bring the metadata of these layers' segments into the store, after `find_layers`. Raises FetchError or ImageError."""
        for spec in specs:
            if (descriptor := self._records.get(spec.key)) is not None:
                unpack(self.repository.small_blob(descriptor), [source.key for source in spec.sources], self._store)

    def bytes_of(self, layer: Layer) -> Blob:
        """Return the layer as a blob that is read from the repository when it is needed."""
        return Blob(layer.descriptor, partial(self.repository.blob, layer.descriptor))

    def add(self, layers: Iterable[Layer]) -> None:
        """Add the layers whose bytes are in the store and that the cache lacks. Raises FetchError or DamagedBlob."""
        from shipwheel.registry.push import Push

        local = [layer for layer in layers if layer.parts]
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="cache") as pool:
            cached = pool.map(lambda layer: self.repository.has_manifest(_tag(layer.key)), local)
            absent = [layer for layer, is_cached in zip(local, cached, strict=True) if not is_cached]
        if not absent:
            return
        with Push(self.repository, _quiet(self._reporter)) as push:
            for layer in absent:
                push.blob(Blob(layer.descriptor, partial(layer_chunks, layer, self._store)))
            push.wait_for_blobs()
            for layer in absent:
                self._put(layer, push)

    def _put(self, layer: Layer, push: "Push") -> None:
        """Tag a layer. A layer without metadata is skipped: a machine that finds it could not prove an image with it."""
        from shipwheel.registry.repository import Document

        data = pack(layer, self._store)
        if data is None:
            return
        record = Descriptor(MEDIA_TYPE_RECORD, digest_of(data), len(data))
        empty = Descriptor(MEDIA_TYPE_EMPTY, digest_of(EMPTY), len(EMPTY))
        push.blob(Blob(record, partial(iter, (data,))))
        push.blob(Blob(empty, partial(iter, (EMPTY,))))
        push.wait_for_blobs()
        manifest = encode(
            Manifest(
                schema_version=2,
                media_type=MEDIA_TYPE_MANIFEST,
                artifact_type=ARTIFACT_TYPE,
                config=empty,
                layers=(layer.descriptor, record),
                annotations={_DIFF_ID: layer.diff_id},
            )
        )
        push.tag(Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(manifest), len(manifest)), manifest), [_tag(layer.key)])

    def _find(self, spec: LayerSpec) -> Layer | None:
        try:
            document = self.repository.find_manifest(_tag(spec.key))
            if document is None:
                return None
            manifest = decode(document.data, Manifest, _tag(spec.key))
        except ImageError as error:
            self._reporter(Warned(f"the cache {self.repository.name} holds no layer under {_tag(spec.key)}: {error.message}"))
            return None
        diff_id = as_digest(manifest.annotations.get(_DIFF_ID, ""))
        if manifest.artifact_type != ARTIFACT_TYPE or len(manifest.layers) != 2 or diff_id is None:
            return None
        self._records[spec.key] = manifest.layers[1]
        return layer_from_descriptor(spec, manifest.layers[0], diff_id)


def _tag(key: str) -> str:
    return f"layer-{key}"


def _quiet(reporter: Reporter) -> Reporter:
    """Return a reporter that passes on warnings only: the progress shown is that of the push."""
    return lambda event: reporter(event) if isinstance(event, Warned) else None
