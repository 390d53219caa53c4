"""A registry that speaks real HTTP on 127.0.0.1 and does what a test wants, faults included (distribution-spec 1.1). All in memory."""

import base64
import hashlib
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shipwheel.testing.loopback import Handler, Loopback

__all__ = ["FakeRegistry", "Habits", "RegistryFault", "Seen"]

_NAME = r"(?P<name>[a-z0-9._/-]+?)"


@dataclass(frozen=True, slots=True)
class RegistryFault:
    """What goes wrong with requests of a method and a path that match these patterns, so many `times`.

    `kind`: "status" answers `status` with `headers`; "drop" closes the connection after half of the request's body; "deaf" does the work
    and closes without an answer; "truncate" sends half of the answer's body; "stall" waits `seconds` first; "lie" changes the answer's
    last byte.
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
    """What kind of registry it is. `login` is user:password; `storage` is where blobs are redirected to, an address without its path."""

    mounts: bool = True
    chunks: bool = True
    referrers: bool = True
    filters: bool = True
    links: bool = True
    page: int = 1000
    least_chunk: int = 0
    login: str = ""
    storage: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came; header names in lower case. `received` is how many bytes of its body were read."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    received: int


class FakeRegistry(Loopback):
    """`host` is its part of an image name. Content may be looked at and changed by the test."""

    def __init__(self, habits: Habits | None = None) -> None:
        super().__init__(_Handler)
        self.habits = habits or Habits()
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.seen: list[Seen] = []
        self.lock = threading.RLock()
        self._faults: list[list[Any]] = []

    def fault(self, fault: RegistryFault) -> None:
        """From now on this goes wrong; the first fault that matches a request is used up first."""
        with self.lock:
            self._faults.append([fault, fault.times])

    def take_fault(self, method: str, path: str) -> RegistryFault | None:
        """For the handler: the fault that this request meets."""
        with self.lock:
            for entry in self._faults:
                fault: RegistryFault = entry[0]
                if entry[1] > 0 and re.fullmatch(fault.method, method) and re.search(fault.path, path):
                    entry[1] -= 1
                    return fault
        return None

    def put(self, name: str, data: bytes, media_type: str, tag: str = "") -> str:
        """Adds a manifest, unchecked; returns its digest."""
        digest = _digest(data)
        with self.lock:
            self.manifests.setdefault(name, {})[digest] = (media_type, data)
            if tag:
                self.tags.setdefault(name, {})[tag] = digest
        return digest

    def add(self, name: str, data: bytes) -> str:
        """Adds a blob; returns its digest."""
        self.blobs.setdefault(name, {})[_digest(data)] = data
        return _digest(data)

    def lacking(self, name: str, digest: str) -> list[str]:
        """What is missing below a manifest or image index; nothing if whoever pulls it gets all."""
        found = self.manifests.get(name, {}).get(digest)
        if found is None:
            return [digest]
        document = json.loads(found[1])
        if "manifests" in document:
            return [lack for entry in document["manifests"] for lack in self.lacking(name, entry["digest"])]
        wanted = [document["config"], *document["layers"]]
        have = self.blobs.get(name, {})
        return [one["digest"] for one in wanted if len(have.get(one["digest"], b"")) != one["size"]]

    def asked(self, method: str, pattern: str = ".*") -> list[Seen]:
        """The requests of a method whose path has the pattern."""
        with self.lock:
            return [seen for seen in self.seen if seen.method == method and re.search(pattern, seen.path)]


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class _Handler(Handler[FakeRegistry]):
    def respond(self) -> None:
        """Does what a registry does, or what it was told to get wrong."""
        self.registry = self.owner
        self.habits = self.registry.habits
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.fault = self.registry.take_fault(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        kind = self.fault.kind if self.fault else ""
        self.body = self.rfile.read(length // 2 if kind == "drop" else length)
        headers = {key.lower(): value for key, value in self.headers.items()}
        with self.registry.lock:
            self.registry.seen.append(Seen(self.command, parts.path, parts.query, headers, len(self.body)))
        if kind == "drop":
            # What came of a chunk is kept, as registries do.
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
        return self._send(200, {}, b"{}") if path == "/v2/" else self._error(404, "UNSUPPORTED", "no such thing")

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
                return self._error(405, "UNSUPPORTED", "no chunks here")
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
        if _digest(data) != self.query.get("digest"):
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
        digest = _digest(self.body)
        if ":" in reference and reference != digest:
            return self._error(400, "DIGEST_INVALID", "digest did not match")
        known = self.registry.manifests.setdefault(name, {})
        known[digest] = (self.headers.get("Content-Type", ""), self.body)
        if lacking := self.registry.lacking(name, digest):
            del known[digest]
            return self._error(400, "MANIFEST_BLOB_UNKNOWN", f"not there: {lacking[0]}")
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
            return self._error(404, "UNSUPPORTED", "no such thing")
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
        if kind == "deaf":
            return self.hang_up()
        if kind == "lie" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.answer(status, headers, body, len(body) // 2 if kind == "truncate" else None)
        if kind == "truncate":
            self.hang_up()
        return None
