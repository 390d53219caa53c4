"""A repository of a registry: its manifests, blobs, tags and referrers are read here (distribution-spec 1.1).

Nothing is believed: every document and blob is hashed, and held against what was asked for.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urljoin

import msgspec

from shipwheel.download.http import TransientError, range_start, redacted
from shipwheel.errors import FetchError, ImageError, IntegrityError
from shipwheel.events import Reporter, silent
from shipwheel.oci.model import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Index, decode
from shipwheel.oci.reference import Reference
from shipwheel.registry.transport import MAX_ANSWER, Answer, Authorizes, Request, Transport

__all__ = ["ACCEPT", "Document", "Repository", "document_of", "fallback_tag"]

ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))

_SCHEMA1 = ("application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_NEXT = re.compile(r"""<([^<>]*)>\s*;[^<]*?\brel\s*=\s*"?next"?(?=[\s;,"]|$)""", re.IGNORECASE)
_PAGE = 1000
_MAX_PAGES = 1000
_PROGRESS = 1 << 20


class Document(msgspec.Struct, frozen=True):
    """A manifest or image index, byte for byte, with the descriptor that it was found to have."""

    descriptor: Descriptor
    data: bytes

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests."""
        return self.descriptor.media_type in INDEX_TYPES


class Repository:
    """`reference` names it; any thread may use it. To be closed, or used as a context manager.

    Every method raises FetchError, with the HTTP status, for what the registry does not give, IntegrityError for what is not what was
    asked for.
    """

    def __init__(self, reference: Reference, reporter: Reporter = silent, authorizer: Authorizes | None = None) -> None:
        from shipwheel.registry import hosts

        host = hosts.host_of(reference.registry)
        self.reference = reference
        self.reporter = reporter
        self.path = host.repository(reference.repository)
        self.transport = Transport(host, authorizer or _authorizer(host, self.path))
        self._pull = (f"repository:{self.path}:pull",)

    def __enter__(self) -> "Repository":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what waits and closes the connections."""
        self.transport.close()

    @property
    def name(self) -> str:
        """`registry/repository`, as the user wrote it."""
        return self.reference.name

    def url(self, *parts: str) -> str:
        """The path of something below this repository."""
        return "/".join((f"/v2/{self.path}", *parts))

    def manifest(self, reference: str, media_type: str = "") -> Document:
        """The manifest or image index of a tag or digest, of at most 4 MiB; `media_type` is what is said of it elsewhere, and must be so.

        Raises ImageError for schema 1 and for what is no manifest.
        """
        answer = self.transport.ask(self._manifest_request("GET", reference), MAX_ANSWER)
        label = f"{self.name}{'@' if ':' in reference else ':'}{reference}"
        _compare(answer.body, answer.headers.get("Docker-Content-Digest", ""), label)
        if media_type:
            document_of(answer.body, media_type, reference, label)
        return document_of(answer.body, answer.headers.get("Content-Type", ""), reference, label)

    def find_manifest(self, reference: str) -> Document | None:
        """Like `manifest`; None when there is none of that tag or digest."""
        try:
            return self.manifest(reference)
        except FetchError as error:
            if error.status == 404:
                return None
            raise

    def has_manifest(self, reference: str) -> bool:
        """Whether there is a manifest of that tag or digest."""
        return self.transport.ask(self._manifest_request("HEAD", reference, (200, 404))).status == 200

    def digest_of_tag(self, tag: str) -> str:
        """The digest that a tag stands for (HEAD); empty when there is no such tag, or the registry does not tell."""
        answer = self.transport.ask(self._manifest_request("HEAD", tag, (200, 404)))
        return answer.headers.get("Docker-Content-Digest", "") if answer.status == 200 else ""

    def has_blob(self, digest: str) -> int | None:
        """The blob's size in bytes, -1 if the registry does not tell it, None if the blob is not there (HEAD)."""
        request = Request("HEAD", self.url("blobs", _checked(digest)), f"{self.name}@{digest}", self._pull, expected=(200, 404))
        answer = self.transport.ask(request)
        if answer.status == 404:
            return None
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() else -1

    def blob(self, descriptor: Descriptor, start: int = 0) -> Iterator[bytes]:
        """The blob's bytes from `start` on; a broken connection is taken up again where it broke.

        Raises IntegrityError at the end if they are not the descriptor's: size always, digest if `start` is 0.
        """
        label = f"{self.name}@{descriptor.digest}"
        seen = hashlib.new(_checked(descriptor.digest).partition(":")[0])
        have, attempt, mark = start, 0, start
        while not start or have < descriptor.size:
            self.transport.check_open()
            try:
                for chunk in self._from(descriptor, have, label):
                    have += len(chunk)
                    if have > descriptor.size:
                        raise IntegrityError(f"{label}: more than the {descriptor.size} bytes that it has", hint=_LIED)
                    if not start:
                        seen.update(chunk)
                    yield chunk
                if have < descriptor.size:
                    raise TransientError(f"only {have} of {descriptor.size} bytes came")
                break
            except TransientError as error:
                # What brings bytes may go on; what brings none comes to an end.
                attempt = 0 if have - mark >= _PROGRESS else attempt
                mark = have
                self.transport.wait(error, attempt, label)
                attempt += 1
        if not start and seen.hexdigest() != descriptor.digest.partition(":")[2]:
            raise IntegrityError(f"{label}: got {seen.name}:{seen.hexdigest()}", hint=_LIED)

    def small(self, descriptor: Descriptor, limit: int = MAX_ANSWER) -> bytes:
        """A small blob whole, verified; raises ImageError if its descriptor says more than `limit` bytes."""
        if descriptor.size > limit:
            hint = "The image is broken or hostile; do not use it."
            raise ImageError(f"{self.name}@{descriptor.digest} has {descriptor.size} bytes, more than the {limit} it may have", hint=hint)
        return b"".join(self.blob(descriptor))

    def tags(self) -> Iterator[str]:
        """The tags, in the registry's order, page by page. Raises FetchError for pages that lead elsewhere or without end."""
        url, last = f"{self.url('tags', 'list')}?n={_PAGE}", ""
        for _ in range(_MAX_PAGES):
            answer = self.transport.ask(Request("GET", url, f"the tags of {self.name}", self._pull))
            page = decode(answer.body, _Tags, f"the list of tags of {self.name}").tags
            yield from page
            following = self._next(answer)
            if following is None and len(page) >= _PAGE and page[-1] != last:
                # Some registries know n and last, but not the Link of RFC 8288.
                following = f"{self.url('tags', 'list')}?n={_PAGE}&last={quote(page[-1], safe='')}"
            if following is None or not page:
                return
            url, last = following, page[-1]
        raise FetchError(f"the tags of {self.name} have no end", hint="The registry is broken or hostile.")

    def referrers(self, digest: str, artifact_type: str | None = None) -> tuple[Descriptor, ...]:
        """What refers to a manifest (distribution-spec, "Listing Referrers"), of that artifact type if one is named.

        A registry without the API is asked for the tag that stands in for it.
        """
        _checked(digest)
        query = f"?artifactType={quote(artifact_type, safe='')}" if artifact_type else ""
        found: list[Descriptor] = []
        url: str | None = self.url("referrers", digest) + query
        label = f"the referrers of {self.name}@{digest}"
        for _ in range(_MAX_PAGES):
            answer = self.transport.ask(Request("GET", str(url), label, self._pull, expected=(200, 404, 405, 501)))
            if answer.status != 200:
                # "A client querying the referrers API and receiving a 404 Not Found MUST fallback to using an image index pushed to a tag".
                fallback = self.find_manifest(fallback_tag(digest))
                found = [] if fallback is None else list(_entries(fallback.data, label))
                break
            found += _entries(answer.body, label)
            url = self._next(answer)
            if url is None:
                break
        else:
            raise FetchError(f"{label} have no end", hint="The registry is broken or hostile.")
        # "If the registry does not support filtering, the client must": which it says in OCI-Filters-Applied.
        return tuple({one.digest: one for one in found if artifact_type in (None, one.artifact_type)}.values())

    def _manifest_request(self, method: str, reference: str, expected: tuple[int, ...] = (200,)) -> Request:
        label = f"{self.name}{'@' if ':' in reference else ':'}{reference}"
        return Request(method, self.url("manifests", reference), label, self._pull, {"Accept": ACCEPT}, expected=expected)

    def _from(self, descriptor: Descriptor, have: int, label: str) -> Iterator[bytes]:
        """One request for what is missing of a blob; raises TransientError when it breaks off."""
        headers = {"Range": f"bytes={have}-"} if have else {}
        request = Request("GET", self.url("blobs", descriptor.digest), label, self._pull, headers, expected=(200, 206))
        with self.transport.stream(request) as response:
            if response.status_code == 206 and range_start(response) != have:
                raise IntegrityError(f"{label}: {redacted(str(response.url))} gave another part than was asked for", hint=_LIED)
            # RFC 9110, 14.2: a server may ignore the Range header field.
            skip = have if response.status_code == 200 else 0
            for chunk in response.iter_raw():
                if skip >= len(chunk):
                    skip -= len(chunk)
                else:
                    yield chunk[skip:] if skip else chunk
                    skip = 0

    def _next(self, answer: Answer) -> str | None:
        """The address of the next page (RFC 8288); raises FetchError if it is not the registry's."""
        match = _NEXT.search(answer.headers.get("Link", ""))
        if match is None:
            return None
        url: str = urljoin(answer.url, match[1])
        if not self.transport.is_own(url):
            raise FetchError(f"{self.name}: the next page is said to be at {redacted(url)}", hint="The registry is broken or hostile.")
        return url


_LIED = "The registry, or something before it, gives other bytes than it should; ask whoever runs it."


class _Tags(msgspec.Struct):
    tags: list[str] = []
    name: str = ""


def fallback_tag(digest: str) -> str:
    """The tag that lists the referrers of a manifest where there is no API for it (distribution-spec, "Referrers Tag Schema")."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm[:32]}-{value[:64]}"


def _authorizer(host: Any, path: str) -> Authorizes:
    from shipwheel.registry.auth import Authorizer
    from shipwheel.registry.credentials import credentials_for

    found: Authorizes = Authorizer(host, lambda: credentials_for(host, path))
    return found


def _checked(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ImageError(f"{digest[:200]!r} is not a digest", hint="The image is broken or hostile; do not use it.")
    return digest


def _entries(data: bytes, label: str) -> tuple[Descriptor, ...]:
    return decode(data, Index, label).manifests


class _Shape(msgspec.Struct, rename="camel"):
    """The fields by which documents are told apart."""

    schema_version: int = 0
    media_type: str = ""
    manifests: Any = None
    config: Any = None
    layers: Any = None


def document_of(data: bytes, media_type: str, reference: str, label: str) -> Document:
    """The document of these bytes, served or listed as `media_type`, and asked for as `reference`.

    Raises IntegrityError if that is a digest and not theirs, ImageError for schema 1 and what is no manifest or image index, or both.
    """
    _compare(data, reference, label)
    said = media_type.partition(";")[0].strip().lower()
    shape = decode(data, _Shape, label)
    if said in _SCHEMA1 or shape.schema_version == 1:
        hint = "Push it again with a program of this decade, or name its digest in the newer form."
        raise ImageError(f"{label} is a manifest of docker's schema 1, which is no longer read", hint=hint)
    known = (*INDEX_TYPES, *MANIFEST_TYPES)
    found = shape.media_type or said
    # image-spec: a document that is both at once would be one thing to one reader and another to the next (CVE-2021-41190).
    both = shape.manifests is not None and (shape.config is not None or shape.layers is not None)
    fits = (shape.manifests is not None) == (found in INDEX_TYPES)
    if found not in known or both or not fits or (said in known and said != found):
        raise ImageError(f"{label} is no image or image index: {found[:100]!r}, served as {said[:100]!r}", hint="Name an image.")
    digest = reference if _DIGEST.fullmatch(reference) else f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Document(Descriptor(found, digest, len(data)), data)


def _compare(data: bytes, digest: str, label: str) -> None:
    """Raises IntegrityError if this is a digest and not that of the data."""
    algorithm, _, value = digest.partition(":")
    with suppress(ValueError):
        found = hashlib.new(algorithm, data).hexdigest() if _DIGEST.fullmatch(digest) else value
        if found != value:
            raise IntegrityError(f"{label}: expected {digest}, got {algorithm}:{found}", hint=_LIED)
