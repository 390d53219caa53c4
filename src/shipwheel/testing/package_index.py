"""A package index whose files support ranges, with the faults that real servers have.

Implements the simple repository API: PEP 503 (HTML) and PEP 691 (JSON).
"""

import base64
import gzip
import hashlib
import html
import io
import json
import re
import socket
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from email.parser import HeaderParser
from typing import cast
from urllib.parse import quote, unquote, urlsplit

import msgspec

from shipwheel.testing.loopback import Handler, Loopback, RecordedRequest

__all__ = ["Fault", "PackageIndex"]

_JSON = "application/vnd.pypi.simple.v1+json"


class Fault(msgspec.Struct, frozen=True):
    """A fault of a path, for the next `times` requests (None: for all), after which it has the fault `then`, or none.

    * `status`: respond with this status and without the file.
    * `cut`: close the connection after this many bytes of the body.
    * `data`: send these bytes instead of the file.
    * `stall`: wait this many seconds in the middle of the body, or until the server closes.
    * `late`: wait this many seconds before the response.
    * `rate`: send this many bytes per second.
    * `login`: require this "user:password"; respond with 401 without it.
    * `no_range`: ignore Range headers. `shifted_range`: respond to them with the file from its start.
    * `gzip`: compress the response. `redirect`: redirect to this URL. `headers`: send these as well.
    """

    times: int | None = None
    status: int = 0
    cut: int | None = None
    data: bytes | None = None
    stall: float = 0.0
    late: float = 0.0
    rate: int = 0
    login: str = ""
    no_range: bool = False
    shifted_range: bool = False
    gzip: bool = False
    redirect: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    then: "Fault | None" = None


class PackageIndex(Loopback):
    """A package index. Tests may add files and faults before and while it runs, from any thread."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self._files: dict[str, bytes] = {}
        self._upload_times: dict[str, str] = {}
        self._entries: dict[str, dict[str, object]] = {}
        self._faults: dict[str, tuple[Fault, int]] = {}
        self._requests: list[RecordedRequest] = []
        self.throttled: Counter[str] = Counter()
        """Path -> the bytes that responses with a `rate` have sent."""
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT, without a slash at the end."""
        return f"http://{self.host}"

    @property
    def simple(self) -> str:
        """The URL of the index for uv and pip."""
        return f"{self.url}/simple/"

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """All requests so far, in the order of their responses."""
        with self._lock:
            return tuple(self._requests)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all files."""
        with self._lock:
            return tuple(self._files)

    def data(self, path: str) -> bytes:
        """Return the file of a path."""
        with self._lock:
            return self._files[path]

    def sent(self, path: str) -> int:
        """Return how many bytes of bodies were sent for a path in total."""
        return sum(request.sent for request in self.requests if request.path == path)

    def count(self, path: str) -> int:
        """Return how often a path was requested."""
        return sum(request.path == path for request in self.requests)

    def add(self, filename: str, data: bytes, *, uploaded: str = "2024-01-01T00:00:00Z", shared: bool = False) -> str:
        """Serve a file, list it if it is a wheel or an sdist, and return its path, for example /files/small-1.0-py3-none-any.whl.

        With `shared`, the path is that of public mirrors: /packages/ab/cd/…/file.
        """
        digest = hashlib.blake2b(data, digest_size=32).hexdigest()
        folder = f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}" if shared else "/files"
        path = f"{folder}/{quote(filename, safe='/+')}"
        metadata = _metadata(data) if filename.endswith(".whl") else None
        with self._lock:
            self._files[path] = data
            self._upload_times[path] = uploaded
            self._entries.pop(path, None)
            if metadata:
                self._files[f"{path}.metadata"] = metadata
        return path

    def fault(self, path: str, fault: Fault) -> None:
        """Give a path a fault. A path that ends with `*` stands for all paths with this prefix that have no fault of their own."""
        with self._lock:
            self._faults[path] = (fault, 0)

    def take_fault(self, path: str) -> Fault:
        """Return the fault of the next request for a path. Only the handler calls this."""
        with self._lock:
            if path not in self._faults:
                path = next((known for known in self._faults if known.endswith("*") and path.startswith(known[:-1])), path)
            fault, seen = self._faults.get(path, (Fault(), 0))
            if fault.times is not None and seen >= fault.times:
                fault, seen = fault.then or Fault(), 0
            self._faults[path] = (fault, seen + 1)
            return fault

    def record(self, request: RecordedRequest) -> None:
        """Record a request. Only the handler calls this."""
        with self._lock:
            self._requests.append(request)

    def body(self, path: str, accept: str) -> tuple[str, bytes] | None:
        """Return the media type and the bytes of a path, or None. Only the handler calls this."""
        if path in self._files:
            return "application/octet-stream", self._files[path]
        if path == "/simple/":
            names = sorted({_project(item) for item in self._distributions()})
            return _listing([{"name": name, "url": f"/simple/{name}/"} for name in names], "", accept)
        if path.startswith("/whl/"):
            # Vendors have an index for each kind of build below /whl, in HTML.
            path, accept = re.sub(r"^/whl/[^/]+/", "/simple/", path), ""
        if match := re.fullmatch(r"/simple/([^/]+)/", path):
            files = [self._entry(item) for item in self._distributions() if _project(item) == match[1]]
            return _listing(files, match[1], accept) if files else None
        return None

    def _distributions(self) -> list[str]:
        with self._lock:
            return sorted(path for path in self._files if path.endswith((".whl", ".tar.gz", ".zip")))

    def _entry(self, path: str) -> dict[str, object]:
        """Return a file's entry in its project's page. It is kept: to hash large files for each request takes longer than to lock them."""
        with self._lock:
            if path not in self._entries:
                self._entries[path] = self._file(path)
            return self._entries[path]

    def _file(self, path: str) -> dict[str, object]:
        metadata = self._files.get(f"{path}.metadata")
        found: dict[str, object] = {
            "filename": unquote(path.removeprefix("/files/") if path.startswith("/files/") else path.rpartition("/")[2]),
            "url": self.url + path,
            "hashes": {"sha256": hashlib.sha256(self._files[path]).hexdigest()},
            "size": len(self._files[path]),
            "upload-time": self._upload_times[path],
        }
        if metadata is not None:
            found["core-metadata"] = {"sha256": hashlib.sha256(metadata).hexdigest()}
            if wanted := HeaderParser().parsestr(metadata.decode())["Requires-Python"]:
                found["requires-python"] = wanted
        return found


def _project(path: str) -> str:
    name = unquote(path.rsplit("/", 1)[1])
    name = name.split("-")[0] if name.endswith(".whl") else name.rsplit("-", 1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _metadata(wheel: bytes) -> bytes | None:
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            return next((archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA")), None)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, OSError, zlib.error):
        return None


def _listing(items: list[dict[str, object]], name: str, accept: str) -> tuple[str, bytes]:
    if _JSON in accept:
        meta = {"api-version": "1.1"}
        text = {"meta": meta, "name": name, "files": items, "versions": []} if name else {"meta": meta, "projects": items}
        return _JSON, json.dumps(text).encode()
    links = "".join(_link(item) for item in items)
    return "text/html", f"<!DOCTYPE html><html><body>\n{links}</body></html>\n".encode()


def _link(item: Mapping[str, object]) -> str:
    hashes = cast(Mapping[str, str], item.get("hashes", {}))
    fragment = f"#sha256={hashes['sha256']}" if hashes else ""
    wanted = html.escape(str(item.get("requires-python", "")))
    attribute = f' data-requires-python="{wanted}"' if wanted else ""
    return f'<a href="{item["url"]}{fragment}"{attribute}>{item.get("filename", item.get("name"))}</a><br/>\n'


class _Handler(Handler[PackageIndex]):
    def respond(self) -> None:
        """Send the response, or the fault."""
        # A client that uses us as its proxy sends the whole URL.
        path = urlsplit(self.path).path.replace("%2B", "+")
        fault = self.owner.take_fault(path)
        self.owner.closing.wait(fault.late)
        self._answer(path, fault)

    def _answer(self, path: str, fault: Fault) -> None:
        found = self.owner.body(path, self.headers.get("Accept", ""))
        if fault.login and self.headers.get("Authorization") != "Basic " + base64.b64encode(fault.login.encode()).decode():
            self._send(401, {"WWW-Authenticate": 'Basic realm="it"'}, b"login required\n", Fault())
        elif fault.redirect:
            self._send(302, {"Location": fault.redirect, **fault.headers}, b"", fault)
        elif fault.status or found is None:
            self._send(fault.status or 404, fault.headers, b"it went wrong\n", Fault(cut=fault.cut))
        else:
            kind, data = found
            self._file(data if fault.data is None else fault.data, {"Content-Type": kind, **fault.headers}, fault)

    def _file(self, data: bytes, headers: Mapping[str, str], fault: Fault) -> None:
        start = self._start()
        if fault.gzip:
            self._send(200, {**headers, "Content-Encoding": "gzip"}, gzip.compress(data), fault)
        elif start is None or fault.no_range:
            self._send(200, headers, data, fault)
        elif start >= len(data):
            self._send(416, {**headers, "Content-Range": f"bytes */{len(data)}"}, b"", fault)
        else:
            start = 0 if fault.shifted_range else start
            self._send(206, {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:], fault)

    def _start(self) -> int | None:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match[1]) if match else None

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault) -> None:
        part = b"" if self.command == "HEAD" else body if fault.cut is None else body[: fault.cut]
        # Recorded before anything is sent: a client that has the response finds its request recorded.
        self.owner.record(RecordedRequest(self.command, urlsplit(self.path).path, self.lower_headers, sent=len(part)))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(part) // 2 if fault.stall else 0
        if fault.stall:
            self.wfile.write(part[:half])
            self.owner.closing.wait(fault.stall)
        self._slowly(part[half:], fault.rate) if fault.rate else self.wfile.write(part[half:])
        if fault.cut is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)

    def _slowly(self, data: bytes, rate: int) -> None:
        step = max(1, rate // 20)
        for start in range(0, len(data), step):
            self.wfile.write(data[start : start + step])
            self.owner.throttled[urlsplit(self.path).path] += step
            if self.owner.closing.wait(step / rate):
                return
