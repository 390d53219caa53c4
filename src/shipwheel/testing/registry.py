"""A registry in memory (OCI distribution specification 1.1), with the faults and the habits of real ones."""

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shipwheel.digest import Digest, digest_of
from shipwheel.testing.loopback import Handler, Loopback, RecordedRequest

__all__ = ["FakeRegistry", "Habits", "RegistryFault"]

_NAME = r"(?P<name>[a-z0-9._/-]+?)"


@dataclass(frozen=True, slots=True)
class RegistryFault:
    """A fault of the next `times` requests whose method and path match these patterns. `kind` is one of:

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
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How a registry behaves: whether it mounts blobs, accepts chunks, has the referrers API, filters referrers, links to the next page.

    `page` is the largest page of tags and referrers, `least_chunk` the smallest chunk in bytes that it asks for. `login` is the
    "user:password" that it requires. Downloads of blobs are redirected to `storage`, a URL without a path.
    """

    mounts: bool = True
    chunks: bool = True
    referrers: bool = True
    filters: bool = True
    links: bool = True
    page: int = 1000
    least_chunk: int = 0
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
        self.requests: list[RecordedRequest] = []
        self.lock = threading.RLock()
        self._faults: list[list[Any]] = []

    def fault(self, fault: RegistryFault) -> None:
        """Add a fault. A request meets the first one that matches and is not used up."""
        with self.lock:
            self._faults.append([fault, fault.times])

    def take_fault(self, method: str, path: str) -> RegistryFault | None:
        """Return the fault of a request, and use it up. Only the handler calls this."""
        with self.lock:
            for entry in self._faults:
                fault: RegistryFault = entry[0]
                if entry[1] > 0 and re.fullmatch(fault.method, method) and re.search(fault.path, path):
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
        self.body = self.rfile.read(length // 2 if kind == "drop" else length)
        request = RecordedRequest(self.command, parts.path, self.lower_headers, parts.query, received=len(self.body))
        with self.registry.lock:
            self.registry.requests.append(request)
        if kind == "drop":
            # Like real registries, keep the part of a chunk that has arrived.
            if self.command == "PATCH" and (match := re.search(r"/uploads/([^/?]+)$", parts.path)) and match[1] in self.registry.uploads:
                self.registry.uploads[match[1]] += self.body
            self.hang_up()
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
            (rf"/v2/{_NAME}/blobs/uploads/(?P<upload>[^/]*)", self._upload),
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
        if self.command == "PATCH":
            expected = self.headers.get("Content-Range", f"{len(data)}-").partition("-")[0]
            if not self.habits.chunks:
                return self._error(405, "UNSUPPORTED", "chunks are not supported")
            if expected != str(len(data)):
                return self._error(416, "BLOB_UPLOAD_INVALID", "not the next chunk")
            data += self.body
        if self.command == "PUT":
            return self._commit(name, upload, bytes(data) + self.body)
        return self._progress(name, upload, 202 if self.command == "PATCH" else 204)

    def _begin(self, name: str) -> None:
        origin, digest = self.query.get("from", ""), self.query.get("mount", "")
        if self.habits.mounts and digest in self.registry.blobs.get(origin, {}):
            self.registry.blobs.setdefault(name, {})[digest] = self.registry.blobs[origin][digest]
            return self._send(201, {"Location": f"/v2/{name}/blobs/{digest}"}, b"")
        upload = str(uuid.uuid4())
        self.registry.uploads[upload] = bytearray()
        return self._progress(name, upload, 202)

    def _progress(self, name: str, upload: str, status: int) -> None:
        headers = {
            "Location": f"http://{self.headers['Host']}/v2/{name}/blobs/uploads/{upload}?_state=a%2Fb",
            "Range": f"0-{max(0, len(self.registry.uploads[upload]) - 1)}",
        }
        if self.habits.least_chunk:
            headers["OCI-Chunk-Min-Length"] = str(self.habits.least_chunk)
        self._send(status, headers, b"")

    def _commit(self, name: str, upload: str, data: bytes) -> None:
        if digest_of(data) != self.query.get("digest"):
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        del self.registry.uploads[upload]
        digest = self.registry.add(name, data)
        return self._send(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}, b"")

    def _manifest(self, name: str, reference: str) -> None:
        if self.command == "PUT":
            return self._put_manifest(name, reference)
        digest = self.registry.tags.get(name, {}).get(reference, reference)
        media_type, data = self.registry.manifests.get(name, {}).get(digest, ("", b""))
        if not data:
            return self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return self._send(200, {"Content-Type": media_type, "Docker-Content-Digest": digest}, data)

    def _put_manifest(self, name: str, reference: str) -> None:
        digest = digest_of(self.body)
        if ":" in reference and reference != digest:
            return self._error(400, "DIGEST_INVALID", "digest did not match")
        known = self.registry.manifests.setdefault(name, {})
        known[digest] = (self.headers.get("Content-Type", ""), self.body)
        if missing := self.registry.missing_blobs(name, digest):
            del known[digest]
            return self._error(400, "MANIFEST_BLOB_UNKNOWN", f"not found: {missing[0]}")
        if ":" not in reference:
            self.registry.tags.setdefault(name, {})[reference] = digest
        subject = json.loads(self.body).get("subject")
        headers = {"OCI-Subject": subject["digest"]} if subject and self.habits.referrers else {}
        return self._send(201, {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest, **headers}, b"")

    def _tag_list(self, name: str) -> None:
        every = sorted(tag for tag in self.registry.tags.get(name, {}) if tag > self.query.get("last", ""))
        page = every[: min(self.habits.page, int(self.query.get("n", "1000")))]
        more = {"Link": f'</v2/{name}/tags/list?n={len(page)}&last={page[-1]}>; rel="next"'} if len(page) < len(every) else {}
        self._send(200, more if self.habits.links else {}, json.dumps({"name": name, "tags": page}).encode())

    def _referrers(self, name: str, digest: str) -> None:
        if not self.habits.referrers:
            return self._error(404, "UNSUPPORTED", "not supported")
        wanted = self.query.get("artifactType") if self.habits.filters else None
        entries = []
        for own, (media_type, data) in sorted(self.registry.manifests.get(name, {}).items()):
            document = json.loads(data)
            kind = document.get("artifactType") or document.get("config", {}).get("mediaType", "")
            if document.get("subject", {}).get("digest") == digest and wanted in (None, kind):
                entries.append({"mediaType": media_type, "digest": own, "size": len(data), "artifactType": kind})
        start = int(self.query.get("start", "0"))
        stop = start + self.habits.page
        link = {"Link": f'</v2/{name}/referrers/{digest}?start={stop}>; rel="next"'} if stop < len(entries) else {}
        body = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries[start:stop]}
        return self._send(200, {**link, **({"OCI-Filters-Applied": "artifactType"} if wanted else {})}, json.dumps(body).encode())

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
