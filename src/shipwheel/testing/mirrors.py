"""A real index server, pypiserver, and four mirrors of it: a fast, a slow, a stale and a corrupt one.

Each mirror is a small proxy for the server. It serves the files under the paths that all public mirrors share.
"""

import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import cast

import uv

__all__ = ["KINDS", "SERVER", "MirrorProxy", "index_server", "run_mirrors"]

SERVER = "pypiserver==2.4.2"

KINDS = ("corrupt", "slow", "stale", "fast")
"""The slow mirror sends 20 kB per second. The stale one lacks every other file. The corrupt one sends wrong bytes, half of the bytes, the
status 500, or nothing for ten seconds, depending on the number in the file's name. The pages of all of them are correct."""


class MirrorProxy(ThreadingHTTPServer):
    """A mirror of the server at the URL `upstream`. `paths` are the paths of all requests."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, upstream: str, kind: str, limit: threading.Semaphore) -> None:
        self.upstream, self.kind, self.limit = upstream, kind, limit
        self.paths: list[str] = []
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def simple(self) -> str:
        """The URL of the index."""
        return f"{self.url}/simple/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    content_range = ""
    """The Content-Range header of the server's response."""

    def do_GET(self) -> None:
        """Respond as this kind of mirror does."""
        server = self._proxy
        server.paths.append(self.path)
        filename = self.path.rpartition("/")[2] if self.path.startswith("/packages/") else ""
        number = int("0" + "".join(re.findall(r"^[a-z]+(\d+)-", filename)))
        if server.kind == "stale" and filename and number % 2:
            return self._send(404, b"")
        status, data = self._fetch(filename)
        if server.kind == "corrupt" and filename and status in (200, 206):
            return self._corrupt(number % 4, status, data)
        return self._send(status, data, 20_000 if server.kind == "slow" and filename else 0)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    @property
    def _proxy(self) -> MirrorProxy:
        return cast(MirrorProxy, self.server)

    def _fetch(self, filename: str) -> tuple[int, bytes]:
        path = f"/packages/{filename}" if filename else self.path
        headers = {name: self.headers[name] for name in ("Range",) if name in self.headers}
        request = urllib.request.Request(self._proxy.upstream + path, headers=headers)  # noqa: S310 - our own
        try:
            with self._proxy.limit, urllib.request.urlopen(request) as answer:  # noqa: S310
                data = answer.read()
                self.content_range = answer.headers.get("Content-Range", "")
                return answer.status, data if filename else _shared(data)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, b""

    def _corrupt(self, how: int, status: int, data: bytes) -> None:
        if how == 0:
            self._send(status, data[::-1])
        elif how == 1:
            self._send(status, data[: len(data) // 2], length=len(data))
            self.close_connection = True
        elif how == 2:
            self._send(500, b"")
        else:
            self._proxy.ended.wait(10)
            self._send(status, data)

    def _send(self, status: int, data: bytes, rate: int = 0, length: int = -1) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if self.path.startswith("/packages") else "text/html")
        self.send_header("Content-Length", str(len(data) if length < 0 else length))
        if status == 206 and self.content_range:
            self.send_header("Content-Range", self.content_range)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return
        step = rate // 20 or len(data) or 1
        for start in range(0, len(data), step):
            self.wfile.write(data[start : start + step])
            if rate and self._proxy.ended.wait(step / rate):
                return


def _shared(page: bytes) -> bytes:
    """Return the page with links to the paths of public mirrors, which contain the hash."""
    return re.sub(
        rb'href="[^"]*/packages/([^"#]+)#sha256=([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{60})"',
        lambda it: b'href="/packages/%s/%s/%s/%s#sha256=%s"' % (it[2], it[3], it[4], it[1], it[2] + it[3] + it[4]),
        page,
    )


@contextmanager
def index_server(wheels: Path, log: Path) -> Iterator[str]:
    """Run pypiserver with the wheels of a directory. Yield its URL; its output goes to the file `log`."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [uv.find_uv_bin(), "tool", "run", "--quiet", "--python", sys.executable, "--from", SERVER, "pypi-server", "run"]
    flags = ["-i", "127.0.0.1", "-p", str(port), "--disable-fallback", "--hash-algo", "sha256", "-a", ".", "-P", "."]
    with log.open("w") as out, subprocess.Popen([*command, *flags, str(wheels)], stdout=out, stderr=out) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/simple/", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{SERVER} does not answer: {log.read_text()}")


@contextmanager
def run_mirrors(wheels: Path, log: Path) -> Iterator[Mapping[str, MirrorProxy]]:
    """Run a mirror of each kind, and the server that they all mirror."""
    with ExitStack() as stack:
        upstream = stack.enter_context(index_server(wheels, log))
        # The server handles one request at a time and drops connections meanwhile, which would cost a second each.
        limit = threading.Semaphore(2)
        proxies = {kind: stack.enter_context(MirrorProxy(upstream, kind, limit)) for kind in KINDS}
        for proxy in proxies.values():
            threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield proxies
        for proxy in proxies.values():
            proxy.ended.set()
            proxy.shutdown()
