"""Copy images into a repository, from another one or from a layout. Every byte and every digest stays; no blob touches the disk.

Everything that an image index lists is copied, attestations included. Referrers are copied only on request, as in other tools: anyone who
may push can have added them, they may be larger than the image, and each manifest takes a request to find them.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

import msgspec

from shipwheel.digest import Digest, as_digest
from shipwheel.errors import ImageError
from shipwheel.events import Reporter, Warned
from shipwheel.oci.image import Blob
from shipwheel.oci.layout import LayoutReader
from shipwheel.oci.model import FOREIGN_LAYERS, Descriptor, Index, Manifest, decode
from shipwheel.registry.push import Push, Traffic
from shipwheel.registry.referrers import fallback_tag, list_referrers
from shipwheel.registry.repository import Document, Repository, checked_document

__all__ = ["CopyResult", "ImageSource", "LayoutSource", "Referrer", "copy", "find_referrers"]

_MAX_DEPTH = 4
_MAX_DOCUMENTS = 1000


class ImageSource(Protocol):
    """The place that images are copied from: a `Repository`, or a `LayoutSource`."""

    def manifest(self, reference: str, media_type: str = "") -> Document:
        """Return the manifest or image index of a digest, or of a name in the source, verified. `media_type` is its descriptor's."""

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes. Raises an error at the end if they are not the descriptor's."""

    def close(self) -> None:
        """End all waiting."""


class LayoutSource:
    """A layout or archive as the source of a copy. References are digests; `reader.entry` finds a name's digest."""

    def __init__(self, reader: LayoutReader) -> None:
        self._reader = reader

    def manifest(self, reference: str, media_type: str = "") -> Document:
        """Return the document of a digest. Raises ImageError if it is missing or invalid."""
        digest = as_digest(reference)
        assert digest is not None, reference  # noqa: S101
        return checked_document(self._reader.document(digest), media_type, reference, f"{self._reader.path}: {reference}")

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes. Raises DamagedBlob if they are not the descriptor's."""
        return self._reader.blob(descriptor)

    def close(self) -> None:
        """Do nothing: reading a layout does not wait."""


class CopyResult(msgspec.Struct, frozen=True):
    """The descriptor of what was copied, and the traffic that it took."""

    descriptor: Descriptor
    traffic: Traffic


def copy(
    source: ImageSource,
    reference: str,
    target: Repository,
    tags: Sequence[str],
    *,
    reporter: Reporter,
    media_type: str = "",
    origins: Sequence[str] = (),
    referrers: bool = False,
    workers: int = 4,
) -> CopyResult:
    """Copy a tag or digest for all platforms, and point the tags at the copy.

    Blobs are mounted where both repositories are in one registry. Foreign layers, which registries do not store, are left out.

    Args:
        media_type: the type in the descriptor that led to `reference`, if one did.
        origins: further repositories to mount blobs from, as `registry/repository`.
        referrers: whether to copy the images' referrers from a repository as well.

    Raises FetchError, IntegrityError, ImageError, DamagedBlob.
    """
    root = source.manifest(reference, media_type)
    seen: dict[str, Document] = {}
    documents = _documents(source, root, 0, seen)
    found = find_referrers(source, documents, reporter) if referrers and isinstance(source, Repository) else ()
    for referrer in found:
        known = {document.descriptor.digest for document in documents}
        below = _documents(source, referrer.document, 0, seen)
        documents += [document for document in below if document.descriptor.digest not in known]
    mountable = (source.name, *origins) if isinstance(source, Repository) else tuple(origins)
    with Push(target, reporter, workers) as push:
        try:
            for document in documents:
                if not document.is_index:
                    manifest = decode(document.data, Manifest, document.descriptor.digest)
                    for blob in (*manifest.layers, manifest.config):
                        if blob.media_type not in FOREIGN_LAYERS:
                            push.blob(Blob(blob, partial(source.blob, blob)), mountable)
            push.wait_for_blobs()
        except BaseException:
            # A thread that waits for the source would delay the end.
            source.close()
            raise
        for document in documents:
            push.document(document)
        for referrer in found:
            push.tag(referrer.document, (referrer.tag,) if referrer.tag else ())
        # Whoever sees the tag may ask for the signatures at once.
        push.tag(root, tags)
        push.report_finished()
        return CopyResult(root.descriptor, push.traffic)


def _documents(source: ImageSource, document: Document, depth: int, seen: dict[str, Document]) -> list[Document]:
    """Return the documents below one and the document itself, each once and after those that it lists."""
    found: list[Document] = []
    if document.is_index:
        if depth >= _MAX_DEPTH or len(seen) > _MAX_DOCUMENTS:
            raise ImageError(f"{document.descriptor.digest} nests image indexes too deeply", hint="Do not use this image.")
        for entry in decode(document.data, Index, document.descriptor.digest).manifests:
            if entry.digest not in seen:
                seen[entry.digest] = source.manifest(entry.digest, entry.media_type)
                found += _documents(source, seen[entry.digest], depth + 1, seen)
    return [*found, document]


_COSIGN_SUFFIXES = ("sig", "att", "sbom")
"""cosign names its older artifacts by tags made of the image's digest: `sha256-….sig`."""


class Referrer(msgspec.Struct, frozen=True):
    """A document that refers to an image: by its subject, or by its `tag`."""

    document: Document
    tag: str = ""


def find_referrers(repository: Repository, documents: Iterable[Document], reporter: Reporter) -> tuple[Referrer, ...]:
    """Return the documents that refer to these, and those that refer to them in turn; each once and after what it refers to.

    Finds manifests with a subject (distribution-spec 1.1) and cosign's tags. Warns of referrers that are missing or invalid. Raises
    FetchError, and ImageError if there are more than 1000 or they refer to one another in a circle.
    """
    found: list[Referrer] = []
    seen: set[tuple[str, str]] = set()
    level = list(documents)
    for _ in range(_MAX_DEPTH):
        before = len(found)
        for referrer in (referrer for document in level for referrer in _direct_referrers(repository, document, reporter)):
            key = (referrer.document.descriptor.digest, referrer.tag)
            if key not in seen and len(seen) <= _MAX_DOCUMENTS:
                seen.add(key)
                found.append(referrer)
        level = [referrer.document for referrer in found[before:]]
        if not level:
            return tuple(found)
        if len(seen) > _MAX_DOCUMENTS:
            break
    raise ImageError(f"{repository.name}: the image has too many referrers", hint="Copy it without --referrers.")


def _direct_referrers(repository: Repository, document: Document, reporter: Reporter) -> Iterator[Referrer]:
    digest = document.descriptor.digest
    for entry in list_referrers(repository, digest):
        if (referrer := _listed_referrer(repository, entry, digest, reporter)) is not None:
            yield Referrer(referrer)
    for suffix in _COSIGN_SUFFIXES:
        tag = f"{fallback_tag(digest)}.{suffix}"
        if (tagged := repository.find_manifest(tag)) is not None:
            yield Referrer(tagged, tag)


def _listed_referrer(repository: Repository, entry: Descriptor, digest: Digest, reporter: Reporter) -> Document | None:
    """Return the document of a list's entry; warn and return None if it is missing, invalid or has another subject."""
    try:
        document = repository.find_manifest(entry.digest)
        if document is None:
            problem = "it does not exist"
        elif _subject(document) != digest:
            problem = "it refers to something else"
        else:
            return document
    except ImageError as error:
        problem = error.message
    reporter(Warned(f"skipped {entry.digest}, which is listed as a referrer of {digest}: {problem}"))
    return None


def _subject(document: Document) -> str:
    kind: type[Manifest | Index] = Index if document.is_index else Manifest
    subject = decode(document.data, kind, document.descriptor.digest).subject
    return subject.digest if subject is not None else ""
