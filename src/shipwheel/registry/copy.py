"""Images from one repository into another: every byte as it is, so every digest too; blobs are mounted or streamed, none touches a disk.

All that an image index lists goes along, attestations too.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from shipwheel.errors import ImageError
from shipwheel.events import Reporter
from shipwheel.oci.image import Blob
from shipwheel.oci.model import FOREIGN_LAYERS, Descriptor, Index, Manifest, decode
from shipwheel.registry.push import Push, Traffic
from shipwheel.registry.repository import Document, Repository

__all__ = ["Copied", "copy"]

_MAX_DEPTH = 4
_MAX_DOCUMENTS = 1000


class Copied(msgspec.Struct, frozen=True):
    """What was copied, and what had to move for it."""

    descriptor: Descriptor
    traffic: Traffic


def copy(source: Repository, reference: str, target: Repository, tags: Sequence[str], *, reporter: Reporter, workers: int = 4) -> Copied:
    """Copies what a tag or digest stands for, for all platforms, and points the tags at it.

    Blobs are mounted where both repositories are in one registry. Layers that registries do not hold stay where they are.
    Raises FetchError, IntegrityError, ImageError.
    """
    root = source.manifest(reference)
    documents = _documents(source, root, 0, {})
    with Push(target, reporter, workers) as push:
        try:
            for document in documents:
                if not document.is_index:
                    manifest = decode(document.data, Manifest, document.descriptor.digest)
                    for blob in (*manifest.layers, manifest.config):
                        if blob.media_type not in FOREIGN_LAYERS:
                            push.blob(Blob(blob, partial(source.blob, blob)), (source.name,))
            push.settle()
        except BaseException:
            # A thread that waits for the source must not hold up the end.
            source.transport.closed.set()
            raise
        for document in documents:
            push.document(document)
        push.tag(root, tags)
        push.done()
        return Copied(root.descriptor, push.traffic)


def _documents(source: Repository, document: Document, depth: int, seen: dict[str, Document]) -> list[Document]:
    """The documents below one, each once, in an order in which nothing comes before what it refers to; the document itself is the last."""
    found: list[Document] = []
    if document.is_index:
        if depth >= _MAX_DEPTH or len(seen) > _MAX_DOCUMENTS:
            raise ImageError(f"{document.descriptor.digest} has image indexes within image indexes without end", hint="Do not use it.")
        for entry in decode(document.data, Index, document.descriptor.digest).manifests:
            if entry.digest not in seen:
                seen[entry.digest] = source.manifest(entry.digest)
                found += _documents(source, seen[entry.digest], depth + 1, seen)
    return [*found, document]
