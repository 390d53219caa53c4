"""Images into a registry while they are made: what is there already is asked for first, and is neither fetched, made nor sent.

Layers are found by their keys, which stand in the manifests that were pushed. Who may write to the repository is trusted with that, as
with the images themselves.
"""

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec

from shipwheel.build.compose import ANNOTATION_PROOF
from shipwheel.errors import FetchError, ImageError
from shipwheel.events import Reporter, Warned
from shipwheel.oci.image import Blob, ImageIndex
from shipwheel.oci.layer import ANNOTATION_KEY, Layer, LayerSpec, layer_chunks, layer_elsewhere
from shipwheel.oci.model import Descriptor, Manifest, decode
from shipwheel.oci.reference import Reference
from shipwheel.store import Store

if TYPE_CHECKING:
    from shipwheel.registry.push import Traffic
    from shipwheel.registry.repository import Repository

__all__ = ["Destination", "Published", "Publisher"]


class Destination(Protocol):
    """Where a build's layers go, as the pipeline sees it. Any thread may call."""

    def found(self, specs: Sequence[LayerSpec]) -> dict[str, Layer]:
        """The layers of these that are there already, by key: what follows needs none of their bytes."""

    def is_proved(self, key: str) -> bool:
        """Whether an image that is there was proved under that key."""

    def ready(self, layer: Layer) -> None:
        """A layer is finished, or was found in the store."""


class Published(msgspec.Struct, frozen=True):
    """What was pushed: `name` is registry/repository; `traffic` counts what went up, `read` the bytes that were read of the registry."""

    name: str
    tags: tuple[str, ...]
    digest: str
    traffic: "Traffic"


class Publisher:
    """A Destination that is a repository of a registry; a context manager, which gives up what is under way after an error.

    With `complete`, the build has to end with all layers here: what is there is not asked for.
    """

    def __init__(self, reference: Reference, store: Store, reporter: Reporter, *, complete: bool = False) -> None:
        from shipwheel.registry.push import Push
        from shipwheel.registry.repository import Repository

        self.reference = reference
        self._store = store
        self._reporter = reporter
        self.repository: Repository = Repository(reference, reporter)
        self._push: Push = Push(self.repository, reporter)
        self._lock = threading.Lock()
        self._there: _There | None = _There({}, frozenset()) if complete else None

    def __enter__(self) -> "Publisher":
        self._push.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self._push.__exit__(kind, *rest)
        finally:
            self.repository.close()

    def found(self, specs: Sequence[LayerSpec]) -> dict[str, Layer]:
        """See Destination: the layers of the image that has the tag now."""
        there = self._current()
        known = ((spec, there.layers[spec.key]) for spec in specs if spec.key in there.layers)
        layers = (layer_elsewhere(spec, *of) for spec, of in known)
        return {layer.key: layer for layer in layers if layer is not None}

    def is_proved(self, key: str) -> bool:
        """See Destination."""
        return key in self._current().proofs

    def ready(self, layer: Layer) -> None:
        """See Destination: it goes up while others are made."""
        if layer.parts:
            self._push.blob(Blob(layer.descriptor, partial(layer_chunks, layer, self._store)), self._origins(layer.digest))

    def finish(self, index: ImageIndex) -> Published:
        """Brings the rest, the manifests, and the tag at last. Raises FetchError, DamagedBlob."""
        self._push.images(index, self._store)
        tags = (self.reference.tag_or_latest,)
        self._push.finish(index, tags)
        for digest in {layer.descriptor.digest for image in index.images for layer in image.layers}:
            self._remember(digest)
        return Published(self.reference.name, tags, index.digest, self._push.traffic)

    def _current(self) -> "_There":
        with self._lock:
            if self._there is None:
                self._there = _there(self.repository, self.reference.tag_or_latest, self._reporter)
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


class _There(msgspec.Struct, frozen=True):
    """What the image that has the tag brings: layers by key, each with its diff_id, and the keys of its proofs."""

    layers: dict[str, tuple[Descriptor, str]]
    proofs: frozenset[str]


def _there(repository: "Repository", tag: str, reporter: Reporter) -> _There:
    from shipwheel.registry.pull import remote_images

    try:
        found = remote_images(repository, tag)
    except FetchError as error:
        if error.status == 404:
            return _There({}, frozenset())
        raise
    except ImageError as error:
        reporter(Warned(f"what {repository.name}:{tag} is now is of no use: {error.message}"))
        return _There({}, frozenset())
    layers: dict[str, tuple[Descriptor, str]] = {}
    proofs: set[str] = set()
    for image in found.images:
        manifest = decode(image.manifest, Manifest, image.digest)
        proofs.add(manifest.annotations.get(ANNOTATION_PROOF, ""))
        layers |= {
            layer.descriptor.annotations[ANNOTATION_KEY]: (layer.descriptor, layer.diff_id)
            for layer in image.layers
            if ANNOTATION_KEY in layer.descriptor.annotations
        }
    return _There(layers, frozenset(proofs - {""}))
