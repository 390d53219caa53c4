"""The metadata of layers that is attached to images of one repository: read from the previous image, and attached to the next.

What this machine has attached to an image is noted in the store, so that the next push need not read it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from shipwheel.digest import Digest, digest_of
from shipwheel.errors import FetchError
from shipwheel.events import Reporter
from shipwheel.files.segment import key_of
from shipwheel.oci.image import Blob
from shipwheel.oci.layer import Layer
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Manifest, decode
from shipwheel.pipeline.previous_image import ImageMetadata, PreviousImage
from shipwheel.pipeline.segment_metadata import EMPTY, MEDIA_TYPE_RECORD, artifact, pack, pack_builds
from shipwheel.registry.repository import Document
from shipwheel.store.store import Store

if TYPE_CHECKING:
    from shipwheel.registry.push import Push
    from shipwheel.wheels.built_wheels import BuiltWheel

__all__ = ["AttachedRecords"]

_KIND = "attached"
_REFUSALS = (400, 404)
"""Statuses of a manifest that names a blob which the registry has lost."""


class _Artifact(msgspec.Struct, frozen=True):
    """An artifact's manifest, the blobs that the repository lacks for it, and whether it names others that it should have."""

    document: Document
    blobs: tuple[Blob, ...]
    trusts: bool


class AttachedRecords:
    """Reads and attaches the records of images of one repository. `name` is the repository's. Any thread may use it."""

    def __init__(self, name: str, push: "Push", store: Store, reporter: Reporter) -> None:
        self._name = name
        self._push = push
        self._store = store
        self._reporter = reporter
        self._lock = threading.Lock()
        self._read: ImageMetadata | None = None

    def read(self, previous: PreviousImage) -> ImageMetadata:
        """Return what is attached to the previous image, read once. Raises IntegrityError."""
        with self._lock:
            if self._read is None:
                self._read = previous.read_metadata(self._reporter)
            return self._read

    def forget(self, key: str) -> None:
        """Count the record of a layer as lost."""
        with self._lock:
            if self._read is not None:
                known = {each: descriptor for each, descriptor in self._read.segments.items() if each != key}
                self._read = msgspec.structs.replace(self._read, segments=known)

    def begin(
        self, previous: PreviousImage, subject: Descriptor, layers: Mapping[str, Layer], wheels: "Sequence[BuiltWheel]"
    ) -> Callable[[], None]:
        """Begin to send the records of an image's layers. Return the function that attaches them when the image is there.

        Both raise FetchError.
        """
        known = self._known(previous)
        found = self._artifact(subject, layers, wheels, {key: each for key, each in known.items() if key in layers})
        if found is None:
            return _nothing
        return partial(self._attach, found, self._push.optional_blobs(found.blobs), partial(self._artifact, subject, layers, wheels, {}))

    def _attach(self, found: _Artifact, wait: Callable[[], None], remake: Callable[[], _Artifact | None]) -> None:
        wait()
        try:
            self._push.document(found.document)
        except FetchError as error:
            if error.status not in _REFUSALS or not found.trusts or (again := remake()) is None:
                raise
            self._push.optional_blobs(again.blobs)()
            self._push.document(again.document)
            found = again
        manifest = decode(found.document.data, Manifest, found.document.descriptor.digest)
        if manifest.subject is not None:
            self._store.put(_KIND, self._note(manifest.subject.digest), msgspec.json.encode(ImageMetadata.of([manifest])))

    def _known(self, previous: PreviousImage) -> Mapping[str, Descriptor]:
        """Return the records in the repository by their layers' keys."""
        if previous.digest is None:
            return {}
        with self._lock:
            noted = self._read or self._store.get_as(_KIND, self._note(previous.digest), ImageMetadata)
        return (noted or self.read(previous)).segments

    def _note(self, digest: Digest) -> str:
        return key_of(_KIND, self._name, digest)

    def _artifact(
        self, subject: Descriptor, layers: Mapping[str, Layer], wheels: "Sequence[BuiltWheel]", known: Mapping[str, Descriptor]
    ) -> _Artifact | None:
        packed = {key: data for key, layer in layers.items() if key not in known and (data := pack(layer, self._store)) is not None}
        if not packed and not known:
            return None
        builds = pack_builds(wheels) if wheels else None
        data = artifact(subject, packed, known, builds)
        contents = (*packed.values(), *(() if known else (EMPTY,)), *(() if builds is None else (builds,)))
        document = Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(data), len(data)), data)
        return _Artifact(document, tuple(map(_blob, contents)), bool(known))


def _blob(content: bytes) -> Blob:
    return Blob(Descriptor(MEDIA_TYPE_RECORD, digest_of(content), len(content)), partial(iter, (content,)))


def _nothing() -> None:
    pass
