"""The referrers of a manifest: listed by the registry, or where it does not list them, by an index under a tag (distribution-spec 1.1)."""

from itertools import count
from typing import Any
from urllib.parse import quote

import msgspec

from shipwheel.digest import Digest, digest_of
from shipwheel.download.http import TransientError
from shipwheel.errors import FetchError
from shipwheel.oci.model import INDEX_TYPES, MEDIA_TYPE_INDEX, Descriptor, Index, Manifest, decode
from shipwheel.registry.repository import Document, Repository

__all__ = ["add_referrer", "fallback_tag", "list_referrers"]

_LIST_TYPES = (*INDEX_TYPES, "application/json")


def fallback_tag(digest: Digest) -> str:
    """Return the tag that lists a manifest's referrers where there is no API for it (distribution-spec, "Referrers Tag Schema")."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm[:32]}-{value[:64]}"


def list_referrers(repository: Repository, digest: Digest, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
    """Return the descriptors of a manifest's referrers, of one artifact type or all (distribution-spec, "Listing Referrers").

    The caller has read the manifest, so whatever the registry refuses now, it does not list referrers. Raises FetchError if it does not
    answer, ImageError for a malformed list.
    """
    label = f"the referrers of {repository.label(digest)}"
    found = _from_api(repository, digest, artifact_type, label)
    if found is None:
        fallback = _tagged(repository, digest)
        found = [] if fallback is None else list(decode(fallback.data, Index, label).manifests)
    # "If the registry does not support filtering, the client must": OCI-Filters-Applied would say that it does.
    return tuple({entry.digest: entry for entry in found if artifact_type in (None, entry.artifact_type)}.values())


def _from_api(repository: Repository, digest: Digest, artifact_type: str | None, label: str) -> list[Descriptor] | None:
    """Return the registry's own list, None if it has none."""
    query = f"?artifactType={quote(artifact_type, safe='')}" if artifact_type else ""
    entries: list[Descriptor] = []
    try:
        for page in repository.pages(repository.url("referrers", digest) + query, label):
            # Some registries answer unknown paths with a page for humans.
            if page.headers.get("Content-Type", "").partition(";")[0].strip().lower() not in _LIST_TYPES:
                return None
            entries += decode(page.body, Index, label).manifests
    except FetchError as error:
        # "A client querying the referrers API and receiving a 404 Not Found MUST fallback to using an image index pushed to a tag". Others
        # answer 400, 401 without a challenge, 405, 406, 501.
        if error.status is None:
            raise
        return None
    return entries


def _tagged(repository: Repository, digest: Digest) -> Document | None:
    """Return the index under the referrers tag, None if there is none."""
    document = repository.find_manifest(fallback_tag(digest))
    # GitLab resolves the tag to the manifest itself.
    return document if document is not None and document.is_index and document.descriptor.digest != digest else None


def add_referrer(repository: Repository, document: Document) -> None:
    """Add a document to its subject's list of referrers, if it has a subject.

    distribution-spec, "Pushing Manifests with Subject": a registry that does not answer with OCI-Subject leaves that to the client. Several
    clients may do so at once: where the registry supports conditional requests (RFC 9110, 13), no entry is lost; elsewhere an entry that
    another client has overwritten is added again.

    Raises FetchError if the registry has no place for such a list, or if others keep overwriting it.
    """
    kind: type[Manifest | Index] = Index if document.is_index else Manifest
    manifest: Manifest | Index = decode(document.data, kind, document.descriptor.digest)
    if manifest.subject is None:
        return
    tag, entry = fallback_tag(manifest.subject.digest), _entry(document, manifest)
    label = repository.label(tag)
    for attempt in count():
        before = repository.find_manifest(tag)
        if before is not None and before.descriptor.digest == manifest.subject.digest:
            raise FetchError(
                f"{label} stands for the image itself, so the registry cannot list what refers to it",
                hint="The registry needs the referrers API (distribution-spec 1.1).",
            )
        entries: list[dict[str, Any]] = [] if before is None else msgspec.json.decode(before.data).get("manifests") or []
        if any(listed.get("digest") == entry.digest for listed in entries):
            return
        if attempt:
            repository.transport.wait(TransientError("the list of referrers was overwritten"), attempt - 1, label)
        index = {"schemaVersion": 2, "mediaType": MEDIA_TYPE_INDEX, "manifests": [*entries, msgspec.to_builtins(entry)]}
        data = msgspec.json.encode(index, order="sorted")
        try:
            repository.put_manifest(Document(Descriptor(MEDIA_TYPE_INDEX, digest_of(data), len(data)), data), tag, _unchanged(before))
        except FetchError as error:
            if error.status != 412:
                raise


def _entry(document: Document, manifest: Manifest | Index) -> Descriptor:
    artifact_type = manifest.artifact_type or (manifest.config.media_type if isinstance(manifest, Manifest) else "")
    return msgspec.structs.replace(document.descriptor, annotations=manifest.annotations, artifact_type=artifact_type)


def _unchanged(before: Document | None) -> dict[str, str]:
    """Return the header for a request that must fail if the tag no longer stands for this document."""
    if before is None:
        return {"If-None-Match": "*"}
    return {"If-Match": before.etag} if before.etag.startswith('"') else {}
