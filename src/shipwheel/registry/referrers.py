"""What refers to images of a repository: records, attestations and signatures, and what refers to those in turn.

Two ways of it are known: manifests with a subject, listed by the referrers API or under the tag that stands in for it
(distribution-spec 1.1), and cosign's older one, tags that are made of the digest (`sha256-….sig`).
"""

from collections.abc import Iterable, Iterator

import msgspec

from shipwheel.errors import ImageError
from shipwheel.events import Reporter, Warned
from shipwheel.oci.model import Descriptor, Index, Manifest, decode
from shipwheel.registry.repository import Document, Repository, fallback_tag

__all__ = ["Attached", "attached"]

_TAGS = ("sig", "att", "sbom")
_MAX_DEPTH = 4
_MAX_DOCUMENTS = 1000


class Attached(msgspec.Struct, frozen=True):
    """A document that is beside an image; `tag` is its name, if that is how it belongs to it."""

    document: Document
    tag: str = ""


def attached(repository: Repository, documents: Iterable[Document], reporter: Reporter) -> tuple[Attached, ...]:
    """What refers to these documents, each once, after what it refers to; what is of no use is left out, and said. Raises FetchError.

    Raises ImageError for more of them than anybody has, or for such that refer to one another without end.
    """
    found: list[Attached] = []
    seen: set[tuple[str, str]] = set()
    level = list(documents)
    for _ in range(_MAX_DEPTH):
        before = len(found)
        for one in (one for document in level for one in _beside(repository, document, reporter)):
            key = (one.document.descriptor.digest, one.tag)
            if key not in seen and len(seen) <= _MAX_DOCUMENTS:
                seen.add(key)
                found.append(one)
        level = [one.document for one in found[before:]]
        if not level:
            return tuple(found)
        if len(seen) > _MAX_DOCUMENTS:
            break
    raise ImageError(f"{repository.name}: what refers to the image has no end", hint="Copy it without --referrers.")


def _beside(repository: Repository, document: Document, reporter: Reporter) -> Iterator[Attached]:
    digest = document.descriptor.digest
    for entry in repository.referrers(digest):
        if (found := _referrer(repository, entry, digest, reporter)) is not None:
            yield Attached(found)
    for suffix in _TAGS:
        tag = f"{fallback_tag(digest)}.{suffix}"
        if (named := repository.find_manifest(tag)) is not None:
            yield Attached(named, tag)


def _referrer(repository: Repository, entry: Descriptor, digest: str, reporter: Reporter) -> Document | None:
    try:
        found = repository.find_manifest(entry.digest)
        why = "it is listed, and not there" if found is None else None if _subject(found) == digest else "it refers to something else"
    except ImageError as error:
        found, why = None, error.message
    if why is not None:
        reporter(Warned(f"{entry.digest}, which is said to refer to {digest}, is not taken along: {why}"))
        return None
    return found


def _subject(document: Document) -> str:
    kind: type[Manifest | Index] = Index if document.is_index else Manifest
    subject = decode(document.data, kind, document.descriptor.digest).subject
    return subject.digest if subject is not None else ""
