"""A repository of a registry: reads its manifests, blobs, tags and referrers (distribution-spec 1.1).

Every document and blob is hashed and compared with what was requested: nothing is taken on trust.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote, urljoin

import msgspec

from shipwheel.digest import Digest, as_digest, digest_of, hash_digest
from shipwheel.download.http import TransientError, range_start, redacted
from shipwheel.errors import FetchError, ImageError, IntegrityError
from shipwheel.events import Reporter, silent
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.model import INDEX_TYPES, MANIFEST_ACCEPT, MANIFEST_TYPES, Descriptor, decode
from shipwheel.oci.reference import Reference
from shipwheel.registry.transport import MAX_BODY, Authorization, RegistryRequest, RegistryResponse, Transport

__all__ = ["Document", "Repository", "checked_document"]

_SCHEMA1 = ("application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws")
_NEXT = lazy_pattern(r"""<([^<>]*)>\s*;[^<]*?\brel\s*=\s*"?next"?(?=[\s;,"]|$)""", re.IGNORECASE)
_PAGE_SIZE = 1000
_MAX_PAGES = 1000
_MIN_PROGRESS = 1 << 20
"""Bytes that an attempt at a blob must bring for the attempts to be counted anew."""

_ABSENT = (403, 404)
"""Statuses for what does not exist. Artifactory's virtual repositories answer 403 then."""

_WRONG_BYTES = "The registry, or something in front of it, sends wrong data; contact its operator."
_UNTRUSTED_IMAGE = "The image is broken or malicious; do not use it."
_UNTRUSTED_REGISTRY = "The registry is broken or malicious."


class Document(msgspec.Struct, frozen=True):
    """A manifest or image index, byte for byte, with its verified descriptor.

    `etag` is what the registry calls this version of a tag (RFC 9110, 8.8.3), if it does.
    """

    descriptor: Descriptor
    data: bytes
    etag: str = ""

    @property
    def is_index(self) -> bool:
        """True if it is an image index."""
        return self.descriptor.media_type in INDEX_TYPES


class Repository:
    """A repository, usable from any thread. Close it, or use it as a context manager.

    Every method raises FetchError with the HTTP status for what the registry does not provide, and IntegrityError for wrong data.
    """

    def __init__(self, reference: Reference, reporter: Reporter = silent, authorization: Authorization | None = None) -> None:
        from shipwheel.registry import hosts

        host = hosts.host_of(reference.registry)
        self.reference = reference
        self.reporter = reporter
        self.path = host.repository(reference.repository)
        self.transport = Transport(host, authorization or _users_authorization(host, self.path))
        self._pull_scope = (f"repository:{self.path}:pull",)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all waiting and close the connections."""
        self.transport.close()

    @property
    def name(self) -> str:
        """`registry/repository`, as the user wrote it."""
        return self.reference.name

    def label(self, reference: str) -> str:
        """Return `registry/repository` with a tag or digest, for messages."""
        return f"{self.name}{'@' if ':' in reference else ':'}{reference}"

    def url(self, *parts: str) -> str:
        """Return the API's path of something in this repository."""
        return "/".join((f"/v2/{self.path}", *parts))

    def manifest(self, reference: str, media_type: str = "") -> Document:
        """Return the manifest or image index of a tag or digest. It may have 4 MiB at most.

        `media_type` is the type in the descriptor that led here: the document must have it. Raises ImageError for schema 1 and for
        anything that is no manifest.
        """
        response = self.transport.request(self._manifest_request("GET", reference))
        label = self.label(reference)
        _check_digest(response.body, response.headers.get("Docker-Content-Digest", ""), label)
        if media_type:
            checked_document(response.body, media_type, reference, label)
        document = checked_document(response.body, response.headers.get("Content-Type", ""), reference, label)
        return msgspec.structs.replace(document, etag=response.headers.get("ETag", ""))

    def find_manifest(self, reference: str) -> Document | None:
        """Return the manifest or image index of a tag or digest, None if it does not exist or may not be read."""
        try:
            return self.manifest(reference)
        except FetchError as error:
            if error.status in _ABSENT:
                return None
            raise

    def has_manifest(self, reference: str) -> bool:
        """Return whether a tag or digest exists."""
        return self.transport.request(self._manifest_request("HEAD", reference, (200, *_ABSENT))).status == 200

    def digest_of_tag(self, tag: str) -> Digest | None:
        """Return the digest of a tag, None if the tag does not exist. Costs a HEAD request, and a GET where the registry needs one."""
        response = self.transport.request(self._manifest_request("HEAD", tag, (200, *_ABSENT)))
        if response.status != 200:
            return None
        digest = as_digest(response.headers.get("Docker-Content-Digest", ""))
        if digest is not None:
            return digest
        document = self.find_manifest(tag)
        return None if document is None else document.descriptor.digest

    def digest_at_once(self, tag: str) -> Digest | None:
        """Return the digest of a tag as one HEAD request tells, which is not repeated; None if it does not.

        Raises TransientError if another attempt may succeed.
        """
        with self.transport.stream(self._manifest_request("HEAD", tag, (200, *_ABSENT))) as response:
            return as_digest(response.headers.get("Docker-Content-Digest", "")) if response.status_code == 200 else None

    def has_blob(self, digest: Digest) -> int | None:
        """Return a blob's size in bytes (HEAD), -1 if the registry does not say, None if the blob does not exist."""
        url, label = self.url("blobs", digest), self.label(digest)
        response = self.transport.request(RegistryRequest("HEAD", url, label, self._pull_scope, expected=(200, *_ABSENT)))
        if response.status in _ABSENT:
            return None
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() else -1

    def blob(self, descriptor: Descriptor, start: int = 0) -> Iterator[bytes]:
        """Yield a blob's bytes from the offset `start` on. Resumes where a connection broke.

        Raises IntegrityError at the end if the blob has another size than its descriptor or, with `start` 0, another digest.
        """
        label = self.label(descriptor.digest)
        hasher = hashlib.new(descriptor.digest.partition(":")[0])
        offset, attempt, last_offset = start, 0, start
        while not start or offset < descriptor.size:
            self.transport.check_open()
            try:
                for chunk in self._blob_from(descriptor, offset, label):
                    offset += len(chunk)
                    if offset > descriptor.size:
                        raise IntegrityError(f"{label}: got more than its {descriptor.size} bytes", hint=_WRONG_BYTES)
                    if not start:
                        hasher.update(chunk)
                    yield chunk
                if offset < descriptor.size:
                    raise TransientError(f"got only {offset} of {descriptor.size} bytes")
                break
            except TransientError as error:
                # Only attempts in a row without progress count.
                attempt = 0 if offset - last_offset >= _MIN_PROGRESS else attempt
                last_offset = offset
                self.transport.wait(error, attempt, label)
                attempt += 1
        if not start and hasher.hexdigest() != descriptor.digest.partition(":")[2]:
            raise IntegrityError(f"{label}: got {hasher.name}:{hasher.hexdigest()}", hint=_WRONG_BYTES)

    def small_blob(self, descriptor: Descriptor, limit: int = MAX_BODY) -> bytes:
        """Return a whole blob, verified. Raises ImageError if its descriptor says more than `limit` bytes."""
        if descriptor.size > limit:
            what = f"{self.label(descriptor.digest)} has {descriptor.size} bytes, more than the limit of {limit}"
            raise ImageError(what, hint=_UNTRUSTED_IMAGE)
        return b"".join(self.blob(descriptor))

    def tags(self) -> Iterator[str]:
        """Yield the tags in the registry's order, page by page. Raises FetchError for pages elsewhere and for too many pages."""
        url, last = f"{self.url('tags', 'list')}?n={_PAGE_SIZE}", ""
        for _ in range(_MAX_PAGES):
            response = self.transport.request(RegistryRequest("GET", url, f"the tags of {self.name}", self._pull_scope))
            page = decode(response.body, _TagList, f"the list of tags of {self.name}").tags
            yield from page
            next_url = self._next_page(response)
            if next_url is None and len(page) >= _PAGE_SIZE and page[-1] != last:
                # Some registries support n and last, but not the Link header of RFC 8288.
                next_url = f"{self.url('tags', 'list')}?n={_PAGE_SIZE}&last={quote(page[-1], safe='')}"
            if next_url is None or not page:
                return
            url, last = next_url, page[-1]
        raise FetchError(f"the tags of {self.name} fill more than {_MAX_PAGES} pages", hint=_UNTRUSTED_REGISTRY)

    def pages(self, url: str, label: str) -> Iterator[RegistryResponse]:
        """Yield a list's pages, which link to one another (RFC 8288). Raises FetchError for pages elsewhere and for too many pages."""
        next_url: str | None = url
        for _ in range(_MAX_PAGES):
            response = self.transport.request(RegistryRequest("GET", str(next_url), label, self._pull_scope))
            yield response
            if (next_url := self._next_page(response)) is None:
                return
        raise FetchError(f"{label} fill more than {_MAX_PAGES} pages", hint=_UNTRUSTED_REGISTRY)

    def put_manifest(self, document: Document, reference: str, condition: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Put a document under a tag or its digest, and return the headers of the response. `condition` is a header of RFC 9110, 13.1.

        Raises IntegrityError if the registry stores other bytes.
        """
        label = self.label(reference)
        headers = {"Content-Type": document.descriptor.media_type, **(condition or {})}
        scopes = (f"repository:{self.path}:pull,push",)
        url, expected = self.url("manifests", reference), (201, 200, 202)
        response = self.transport.request(RegistryRequest("PUT", url, label, scopes, headers, document.data, expected=expected))
        stored, pushed = as_digest(response.headers.get("Docker-Content-Digest", "")), document.descriptor.digest
        if stored is not None and stored.partition(":")[0] == pushed.partition(":")[0] and stored != pushed:
            hint = "The registry alters what is pushed; contact its operator."
            raise IntegrityError(f"{label}: pushed {pushed}, the registry has {stored}", hint=hint)
        return response.headers

    def _manifest_request(self, method: str, reference: str, expected: tuple[int, ...] = (200,)) -> RegistryRequest:
        url = self.url("manifests", reference)
        return RegistryRequest(method, url, self.label(reference), self._pull_scope, {"Accept": MANIFEST_ACCEPT}, expected=expected)

    def _blob_from(self, descriptor: Descriptor, offset: int, label: str) -> Iterator[bytes]:
        """Request a blob's bytes from an offset on, once. Raises TransientError when the connection breaks."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        request = RegistryRequest("GET", self.url("blobs", descriptor.digest), label, self._pull_scope, headers, expected=(200, 206))
        with self.transport.stream(request) as response:
            if response.status_code == 206 and range_start(response) != offset:
                raise IntegrityError(f"{label}: {redacted(str(response.url))} sent another range than requested", hint=_WRONG_BYTES)
            # RFC 9110, 14.2: a server may ignore the Range header field.
            skip = offset if response.status_code == 200 else 0
            for chunk in response.iter_raw():
                if skip >= len(chunk):
                    skip -= len(chunk)
                else:
                    yield chunk[skip:] if skip else chunk
                    skip = 0

    def _next_page(self, response: RegistryResponse) -> str | None:
        """Return the URL of the next page (RFC 8288). Raises FetchError if it is not on the registry."""
        match = _NEXT.search(response.headers.get("Link", ""))
        if match is None:
            return None
        url: str = urljoin(response.url, match[1])
        if not self.transport.is_own(url):
            raise FetchError(f"{self.name}: the registry places the next page at {redacted(url)}", hint=_UNTRUSTED_REGISTRY)
        return url


class _TagList(msgspec.Struct):
    tags: list[str] = []
    name: str = ""


def _users_authorization(host: Any, path: str) -> Authorization:
    from shipwheel.registry.auth import Authorizer
    from shipwheel.registry.credentials import credential_for

    authorizer: Authorization = Authorizer(host, lambda: credential_for(host, path))
    return authorizer


class _DocumentShape(msgspec.Struct, rename="camel"):
    """The fields by which documents differ."""

    schema_version: int = 0
    media_type: str = ""
    manifests: Any = None
    config: Any = None
    layers: Any = None


def checked_document(data: bytes, media_type: str, reference: str, label: str) -> Document:
    """Return the document of these bytes, served or listed as `media_type` and requested as `reference`.

    Raises IntegrityError if `reference` is a digest and not theirs; ImageError for schema 1, for anything but a manifest or an image
    index, and for a document that is both.
    """
    _check_digest(data, reference, label)
    served = media_type.partition(";")[0].strip().lower()
    shape = decode(data, _DocumentShape, label)
    if served in _SCHEMA1 or shape.schema_version == 1:
        hint = "Push it again with a current tool, or name the digest of its newer form."
        raise ImageError(f"{label} is a manifest of docker's schema 1, which is no longer supported", hint=hint)
    known = (*INDEX_TYPES, *MANIFEST_TYPES)
    own = shape.media_type or served
    # image-spec: one reader would take a document that is both for an image, another for an index (CVE-2021-41190).
    both = shape.manifests is not None and (shape.config is not None or shape.layers is not None)
    consistent = (shape.manifests is not None) == (own in INDEX_TYPES)
    if own not in known or both or not consistent or (served in known and served != own):
        raise ImageError(f"{label} is not an image or image index: {own[:100]!r}, served as {served[:100]!r}", hint="Name an image.")
    return Document(Descriptor(own, as_digest(reference) or digest_of(data), len(data)), data)


def _check_digest(data: bytes, reference: str, label: str) -> None:
    """Raise IntegrityError if `reference` is a digest and not that of the data."""
    expected = as_digest(reference)
    if expected is None:
        return
    actual = hash_digest(hashlib.new(expected.partition(":")[0], data))
    if actual != expected:
        raise IntegrityError(f"{label}: expected {expected}, got {actual}", hint=_WRONG_BYTES)
