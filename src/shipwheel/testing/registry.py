"""A registry in memory (OCI distribution specification 1.1), with the faults and the habits of real ones."""

import base64
import json
import re
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from shipwheel.digest import Digest, digest_of
from shipwheel.testing.loopback import Handler, Loopback, RecordedRequest

__all__ = ["FakeRegistry", "Habits", "RegistryFault"]

_NAME = r"(?P<name>[a-z0-9._/-]+?)"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_IMAGE_CONFIGS = ("", "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
"""The artifact types of images; an image index has none."""


class RegistryFault(msgspec.Struct, frozen=True):
    """A fault of `times` requests whose method and path match these patterns, `after` others did. `kind` is one of:

    * "status": respond with `status` and `headers`.
    * "drop": close the connection after half of the request's body.
    * "no-answer": do the work and close the connection without a response.
    * "truncate": send half of the response's body.
    * "stall": wait `seconds` first.
    * "corrupt": change the last byte of the response's body.
    """

    kind: str
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    status: int = 500
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    seconds: float = 0.0
    after: int = 0


class Habits(msgspec.Struct, frozen=True):
    """How a registry behaves. `real_registries` has the habits of real ones.

    Attributes:
        mounts: whether blobs are mounted. `mount_refusal` is the status of the answer to a mount instead; 0 starts an upload.
        puts: whether a PUT may carry a blob.
        chunks: whether a PATCH may have a Content-Range. `least_chunk` is the smallest one in bytes that it asks for; larger ones than
            `most_chunk` are answered with 416. With `range_stands_still`, Range is always that of the first chunk.
        most_body: bytes of a larger body are not read, but answered with 413.
        upload_path: where uploads are, instead of beside the blobs.
        creates: whether a push creates a repository.
        referrers: whether there is an API for them. `no_referrers` is its status if not; 200 comes with a page for humans.
        filters: whether referrers are filtered. `subject_header`: whether OCI-Subject says that they are listed.
        artifacts: whether manifests may have an artifact type or a config that is none of an image.
        digest_tags: whether the tag `sha256-…` stands for the manifest with that digest.
        conditions: whether If-Match and If-None-Match are heeded.
        digest_header: whether responses have Docker-Content-Digest.
        absent: the status for a manifest that does not exist.
        keeps_tags: the status and code of the answer to a PUT that would move a tag.
        page: the largest page of tags and referrers. `links`: whether a page links to the next.
        login: the "user:password" that is required.
        storage: the URL without a path to which downloads of blobs are redirected.
    """

    mounts: bool = True
    mount_refusal: int = 0
    puts: bool = True
    chunks: bool = True
    least_chunk: int = 0
    most_chunk: int = sys.maxsize
    range_stands_still: bool = False
    most_body: int = sys.maxsize
    upload_path: str = ""
    creates: bool = True
    referrers: bool = True
    no_referrers: int = 404
    filters: bool = True
    subject_header: bool = True
    artifacts: bool = True
    digest_tags: bool = False
    conditions: bool = False
    digest_header: bool = True
    absent: int = 404
    keeps_tags: tuple[int, str] | None = None
    page: int = 1000
    links: bool = True
    login: str = ""
    storage: str = ""


class FakeRegistry(Loopback):
    """A registry. `host` is its part of an image's name. Tests may read and change `blobs`, `manifests`, `tags` and `uploads`."""

    def __init__(self, habits: Habits | None = None) -> None:
        super().__init__(_Handler)
        self.habits = habits or Habits()
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.first_chunks: dict[str, int] = {}
        self.requests: list[RecordedRequest] = []
        self.lock = threading.RLock()
        self._faults: list[list[Any]] = []

    def fault(self, fault: RegistryFault) -> None:
        """Add a fault. A request meets the first one that matches and is not used up."""
        with self.lock:
            self._faults.append([fault, fault.times, fault.after])

    def take_fault(self, method: str, path: str) -> RegistryFault | None:
        """Return the fault of a request, and use it up. Only the handler calls this."""
        with self.lock:
            for entry in self._faults:
                fault: RegistryFault = entry[0]
                if entry[1] <= 0 or not re.fullmatch(fault.method, method) or not re.search(fault.path, path):
                    continue
                if entry[2] > 0:
                    entry[2] -= 1
                else:
                    entry[1] -= 1
                    return fault
        return None

    def put(self, name: str, data: bytes, media_type: str, tag: str = "") -> Digest:
        """Add a manifest without checks. Return its digest."""
        digest = digest_of(data)
        with self.lock:
            self.manifests.setdefault(name, {})[digest] = (media_type, data)
            if tag:
                self.tags.setdefault(name, {})[tag] = digest
        return digest

    def add(self, name: str, data: bytes) -> Digest:
        """Add a blob. Return its digest."""
        self.blobs.setdefault(name, {})[digest_of(data)] = data
        return digest_of(data)

    def missing_blobs(self, name: str, digest: str) -> list[str]:
        """Return the digests that a manifest or image index refers to and that the repository does not have."""
        found = self.manifests.get(name, {}).get(digest)
        if found is None:
            return [digest]
        document = json.loads(found[1])
        if "manifests" in document:
            return [missing for entry in document["manifests"] for missing in self.missing_blobs(name, entry["digest"])]
        wanted = [document["config"], *document["layers"]]
        have = self.blobs.get(name, {})
        return [one["digest"] for one in wanted if len(have.get(one["digest"], b"")) != one["size"]]

    def received(self, method: str, pattern: str = ".*") -> list[RecordedRequest]:
        """Return the requests with this method whose path contains the pattern."""
        with self.lock:
            return [request for request in self.requests if request.method == method and re.search(pattern, request.path)]


def _artifact_type(document: dict[str, Any]) -> str:
    return str(document.get("artifactType") or document.get("config", {}).get("mediaType", ""))


class _Handler(Handler[FakeRegistry]):
    def respond(self) -> None:
        """Record the request and send a response, or the fault."""
        self.registry = self.owner
        self.habits = self.registry.habits
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.fault = self.registry.take_fault(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        kind = self.fault.kind if self.fault else ""
        too_large = length > self.habits.most_body
        self.body = b"" if too_large else self.rfile.read(length // 2 if kind == "drop" else length)
        request = RecordedRequest(self.command, parts.path, self.lower_headers, parts.query, received=len(self.body))
        with self.registry.lock:
            self.registry.requests.append(request)
        if kind == "drop":
            # Like real registries, keep the part of a chunk that has arrived.
            if self.command == "PATCH" and (match := re.search(r"/uploads/([^/?]+)$", parts.path)) and match[1] in self.registry.uploads:
                self.registry.uploads[match[1]] += self.body
            self.hang_up()
        elif too_large:
            self._error(413, "SIZE_INVALID", "too large", {"Connection": "close"})
            # Like nginx: a connection that is closed at once may take the response with it.
            while length > 0 and (ignored := self.rfile.read(min(length, 1 << 16))):
                length -= len(ignored)
        elif self.fault is not None and kind == "status":
            self._error(self.fault.status, "FAULT", "it went wrong", dict(self.fault.headers))
        elif self.habits.login and self.headers.get("Authorization") != "Basic " + base64.b64encode(self.habits.login.encode()).decode():
            self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="it"'})
        else:
            if self.fault is not None and kind == "stall":
                self.registry.closing.wait(self.fault.seconds)
            self._route(parts.path)

    def _route(self, path: str) -> None:
        routes: tuple[tuple[str, Callable[..., None]], ...] = (
            (rf"(?:{re.escape(self.habits.upload_path or '/v2')}|/v2)/{_NAME}/blobs/uploads/(?P<upload>[^/]*)", self._upload),
            (rf"/v2/{_NAME}/blobs/(?P<digest>[^/]+)", self._blob),
            (rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)", self._manifest),
            (rf"/v2/{_NAME}/tags/list", self._tag_list),
            (rf"/v2/{_NAME}/referrers/(?P<digest>[^/]+)", self._referrers),
        )
        with self.registry.lock:
            for pattern, handler in routes:
                if match := re.fullmatch(pattern, path):
                    return handler(**match.groupdict())
        return self._send(200, {}, b"{}") if path == "/v2/" else self._error(404, "UNSUPPORTED", "not supported")

    def _blob(self, name: str, digest: str) -> None:
        data = self.registry.blobs.get(name, {}).get(digest)
        if data is None:
            return self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if self.habits.storage and self.command == "GET":
            return self._send(307, {"Location": f"{self.habits.storage}{self.path}"}, b"")
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        if match:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self._send(206 if match else 200, headers, data[start:])

    def _upload(self, name: str, upload: str) -> None:
        if self.command == "POST":
            return self._begin(name)
        data = self.registry.uploads.get(upload)
        if data is None:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.command == "DELETE":
            del self.registry.uploads[upload]
            return self._send(204, {}, b"")
        if self.command == "PUT":
            return self._commit(name, upload, bytes(data) + self.body)
        if self.command == "PATCH" and (refusal := self._refusal(len(data))):
            return self._error(refusal, "BLOB_UPLOAD_INVALID", "not like this")
        data += self.body if self.command == "PATCH" else b""
        return self._progress(name, upload, 202 if self.command == "PATCH" else 204)

    def _refusal(self, position: int) -> int:
        """Return the status with which a PATCH is refused, 0 if it is not."""
        content_range = self.headers.get("Content-Range", "")
        if content_range and not self.habits.chunks:
            return 405
        wrong = content_range and content_range.partition("-")[0] != str(position)
        return 416 if wrong or (content_range and len(self.body) > self.habits.most_chunk) else 0

    def _begin(self, name: str) -> None:
        origin, digest = self.query.get("from", ""), self.query.get("mount", "")
        if not self.habits.creates and name not in self.registry.blobs:
            return self._error(404, "NAME_UNKNOWN", "the repository does not exist")
        if digest and self.habits.mount_refusal:
            return self._error(self.habits.mount_refusal, "DENIED", "insufficient scope")
        if self.habits.mounts and digest in self.registry.blobs.get(origin, {}):
            self.registry.blobs.setdefault(name, {})[digest] = self.registry.blobs[origin][digest]
            return self._send(201, {"Location": f"/v2/{name}/blobs/{digest}"}, b"")
        upload = str(uuid.uuid4())
        self.registry.uploads[upload] = bytearray()
        return self._progress(name, upload, 202)

    def _progress(self, name: str, upload: str, status: int) -> None:
        size = len(self.registry.uploads[upload])
        if self.habits.range_stands_still:
            size = self.registry.first_chunks.setdefault(upload, size) if size else 0
        headers = {
            "Location": f"http://{self.headers['Host']}{self.habits.upload_path or '/v2'}/{name}/blobs/uploads/{upload}?_state=a%2Fb",
            "Range": f"0-{max(0, size - 1)}",
        }
        if self.habits.least_chunk:
            headers["OCI-Chunk-Min-Length"] = str(self.habits.least_chunk)
        self._send(status, headers, b"")

    def _commit(self, name: str, upload: str, data: bytes) -> None:
        if self.body and not self.habits.puts:
            return self._error(400, "BLOB_UPLOAD_INVALID", "monolithic uploads are not supported")
        if digest_of(data) != self.query.get("digest"):
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        del self.registry.uploads[upload]
        digest = self.registry.add(name, data)
        return self._send(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}, b"")

    def _manifest(self, name: str, reference: str) -> None:
        if self.command == "PUT":
            return self._put_manifest(name, reference)
        digest = self._resolve(name, reference)
        media_type, data = self.registry.manifests.get(name, {}).get(digest, ("", b""))
        if not data:
            return self._error(self.habits.absent, "MANIFEST_UNKNOWN", "manifest unknown")
        headers = {"Docker-Content-Digest": digest} if self.habits.digest_header else {}
        return self._send(200, {"Content-Type": media_type, "ETag": f'"{digest}"', **headers}, data)

    def _resolve(self, name: str, reference: str) -> str:
        """Return the digest that a tag or digest stands for; the reference itself for a tag that does not exist."""
        digest = reference.replace("sha256-", "sha256:")
        if self.habits.digest_tags and digest in self.registry.manifests.get(name, {}):
            return digest
        return self.registry.tags.get(name, {}).get(reference, reference)

    def _put_manifest(self, name: str, reference: str) -> None:
        digest, document = digest_of(self.body), json.loads(self.body)
        if ":" in reference and reference != digest:
            return self._error(400, "DIGEST_INVALID", "digest did not match")
        if not self.habits.artifacts and _artifact_type(document) not in _IMAGE_CONFIGS:
            return self._error(400, "MANIFEST_INVALID", f"unknown media type: {_artifact_type(document)}")
        if self.habits.conditions and not self._unchanged(self._resolve(name, reference), reference):
            return self._error(412, "PRECONDITION_FAILED", "the tag has moved")
        if self.habits.keeps_tags is not None and self._resolve(name, reference) not in (reference, digest):
            return self._error(*self.habits.keeps_tags, f"{reference} cannot be overwritten")
        known = self.registry.manifests.setdefault(name, {})
        known[digest] = (self.headers.get("Content-Type", ""), self.body)
        if missing := self.registry.missing_blobs(name, digest):
            del known[digest]
            return self._error(400, "MANIFEST_BLOB_UNKNOWN", f"not found: {missing[0]}")
        if ":" not in reference:
            self.registry.tags.setdefault(name, {})[reference] = digest
        subject = document.get("subject")
        listed = subject and self.habits.referrers and self.habits.subject_header
        headers = {"OCI-Subject": subject["digest"]} if listed else {}
        headers |= {"Docker-Content-Digest": digest} if self.habits.digest_header else {}
        return self._send(201, {"Location": f"/v2/{name}/manifests/{digest}", **headers}, b"")

    def _unchanged(self, digest: str, reference: str) -> bool:
        """Return whether a tag's present digest meets the request's conditions (RFC 9110, 13.1)."""
        exists = digest != reference
        wanted, unwanted = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        return (wanted is None or wanted == f'"{digest}"') and not (unwanted == "*" and exists)

    def _tag_list(self, name: str) -> None:
        every = sorted(tag for tag in self.registry.tags.get(name, {}) if tag > self.query.get("last", ""))
        page = every[: min(self.habits.page, int(self.query.get("n", "1000")))]
        more = {"Link": f'</v2/{name}/tags/list?n={len(page)}&last={page[-1]}>; rel="next"'} if len(page) < len(every) else {}
        self._send(200, more if self.habits.links else {}, json.dumps({"name": name, "tags": page}).encode())

    def _referrers(self, name: str, digest: str) -> None:
        if not self.habits.referrers:
            if self.habits.no_referrers == 200:
                return self._send(200, {"Content-Type": "text/html"}, b"<!doctype html><title>Sign in</title>")
            return self._error(self.habits.no_referrers, "UNSUPPORTED", "not supported")
        wanted = self.query.get("artifactType") if self.habits.filters else None
        entries = []
        for own, (media_type, data) in sorted(self.registry.manifests.get(name, {}).items()):
            document = json.loads(data)
            kind = _artifact_type(document)
            if document.get("subject", {}).get("digest") == digest and wanted in (None, kind):
                entries.append({"mediaType": media_type, "digest": own, "size": len(data), "artifactType": kind})
        start = int(self.query.get("start", "0"))
        stop = start + self.habits.page
        headers = {"Content-Type": _INDEX_TYPE, **({"OCI-Filters-Applied": "artifactType"} if wanted else {})}
        if stop < len(entries):
            headers["Link"] = f'</v2/{name}/referrers/{digest}?start={stop}>; rel="next"'
        body = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": entries[start:stop]}
        return self._send(200, headers, json.dumps(body).encode())

    def _error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, headers or {}, json.dumps({"errors": [{"code": code, "message": message}]}).encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        kind = self.fault.kind if self.fault else ""
        if kind == "no-answer":
            return self.hang_up()
        if kind == "corrupt" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.answer(status, headers, body, len(body) // 2 if kind == "truncate" else None)
        if kind == "truncate":
            self.hang_up()
        return None
