"""Images into a repository from another one, or from a layout: every byte as it is, so every digest too; no blob touches a disk.

All that an image index lists goes along, attestations too. What refers to it does only if that is asked for, as with other tools: anybody
who may push has put it there, it may be larger than the image, and each manifest has to be asked about.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import msgspec

from shipwheel.errors import ImageError
from shipwheel.events import Reporter
from shipwheel.oci.image import Blob
from shipwheel.oci.layout import LayoutReader
from shipwheel.oci.model import FOREIGN_LAYERS, Descriptor, Index, Manifest, decode
from shipwheel.registry.push import Push, Traffic
from shipwheel.registry.referrers import attached
from shipwheel.registry.repository import Document, Repository, document_of

__all__ = ["Copied", "LayoutSource", "Source", "copy"]

_MAX_DEPTH = 4
_MAX_DOCUMENTS = 1000


class Source(Protocol):
    """Where images are copied from: a `Repository`, or a `LayoutSource`."""

    def manifest(self, reference: str, media_type: str = "") -> Document:
        """The manifest or image index of a digest, or of a name that the source knows; verified. `media_type` is what its entry says."""

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob's bytes; raises an error at the end if they are not the descriptor's."""

    def close(self) -> None:
        """Ends what waits."""


class LayoutSource:
    """A layout or archive to copy from. References are digests; `reader.entry` says which one a name has."""

    def __init__(self, reader: LayoutReader) -> None:
        self._reader = reader

    def manifest(self, reference: str, media_type: str = "") -> Document:
        """The document of a digest; raises ImageError if it is not there or not sound."""
        return document_of(self._reader.document(reference), media_type, reference, f"{self._reader.path}: {reference}")

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The blob's bytes; raises DamagedBlob if they are not what they should be."""
        return self._reader.blob(descriptor)

    def close(self) -> None:
        """Nothing waits."""


class Copied(msgspec.Struct, frozen=True):
    """What was copied, and what had to move for it."""

    descriptor: Descriptor
    traffic: Traffic


def copy(
    source: Source,
    reference: str,
    target: Repository,
    tags: Sequence[str],
    *,
    reporter: Reporter,
    media_type: str = "",
    origins: Sequence[str] = (),
    referrers: bool = False,
    workers: int = 4,
) -> Copied:
    """Copies what a tag or digest stands for, for all platforms, and points the tags at it.

    Blobs are mounted where both repositories are in one registry, or from `origins`, `registry/repository` names. Layers that registries do
    not hold stay where they are. With `referrers`, what refers to the images of a repository goes along.
    Raises FetchError, IntegrityError, ImageError, DamagedBlob.
    """
    root = source.manifest(reference, media_type)
    seen: dict[str, Document] = {}
    documents = _documents(source, root, 0, seen)
    beside = attached(source, documents, reporter) if referrers and isinstance(source, Repository) else ()
    for one in beside:
        known = {document.descriptor.digest for document in documents}
        documents += [more for more in _documents(source, one.document, 0, seen) if more.descriptor.digest not in known]
    mountable = (source.name, *origins) if isinstance(source, Repository) else tuple(origins)
    with Push(target, reporter, workers) as push:
        try:
            for document in documents:
                if not document.is_index:
                    manifest = decode(document.data, Manifest, document.descriptor.digest)
                    for blob in (*manifest.layers, manifest.config):
                        if blob.media_type not in FOREIGN_LAYERS:
                            push.blob(Blob(blob, partial(source.blob, blob)), mountable)
            push.settle()
        except BaseException:
            # A thread that waits for the source must not hold up the end.
            source.close()
            raise
        for document in documents:
            push.document(document)
        for one in beside:
            push.tag(one.document, (one.tag,) if one.tag else ())
        push.tag(root, tags)
        push.done()
        return Copied(root.descriptor, push.traffic)


def _documents(source: Source, document: Document, depth: int, seen: dict[str, Document]) -> list[Document]:
    """The documents below one, each once, in an order in which nothing comes before what it refers to; the document itself is the last."""
    found: list[Document] = []
    if document.is_index:
        if depth >= _MAX_DEPTH or len(seen) > _MAX_DOCUMENTS:
            raise ImageError(f"{document.descriptor.digest} has image indexes within image indexes without end", hint="Do not use it.")
        for entry in decode(document.data, Index, document.descriptor.digest).manifests:
            if entry.digest not in seen:
                seen[entry.digest] = source.manifest(entry.digest, entry.media_type)
                found += _documents(source, seen[entry.digest], depth + 1, seen)
    return [*found, document]
