"""A real index server from the package index, and mirrors of it on the loopback interface: quick, slow, stale and lying ones.

Each mirror is a small proxy before the server, with the files under the paths that all public mirrors share.
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

__all__ = ["KINDS", "SERVER", "MirrorProxy", "index_server", "mirrored"]

SERVER = "pypiserver==2.4.2"

KINDS = ("lying", "slow", "stale", "quick")
"""The slow one sends 20 kB a second; the stale one lacks every other file; the lying one sends, by the number in the name, other bytes,
half of them, the status 500, or nothing for ten seconds. All of them have the right pages."""


class MirrorProxy(ThreadingHTTPServer):
    """Passes on what the server says, and does what its kind does wrong. `asked` are the paths of all requests."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, behind: str, kind: str, turn: threading.Semaphore) -> None:
        self.behind, self.kind, self.turn = behind, kind, turn
        self.asked: list[str] = []
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def simple(self) -> str:
        """The address of the index."""
        return f"{self.url}/simple/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    part = ""
    """Which part of the file the server gave, in its words."""

    def do_GET(self) -> None:
        """Answers as its kind does."""
        server = self._proxy
        server.asked.append(self.path)
        filename = self.path.rpartition("/")[2] if self.path.startswith("/packages/") else ""
        number = int("0" + "".join(re.findall(r"^[a-z]+(\d+)-", filename)))
        if server.kind == "stale" and filename and number % 2:
            return self._send(404, b"")
        status, data = self._behind(filename)
        if server.kind == "lying" and filename and status in (200, 206):
            return self._lie(number % 4, status, data)
        return self._send(status, data, 20_000 if server.kind == "slow" and filename else 0)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    @property
    def _proxy(self) -> MirrorProxy:
        return cast(MirrorProxy, self.server)

    def _behind(self, filename: str) -> tuple[int, bytes]:
        wanted = f"/packages/{filename}" if filename else self.path
        headers = {name: self.headers[name] for name in ("Range",) if name in self.headers}
        request = urllib.request.Request(self._proxy.behind + wanted, headers=headers)  # noqa: S310 - our own
        try:
            with self._proxy.turn, urllib.request.urlopen(request) as answer:  # noqa: S310
                data = answer.read()
                self.part = answer.headers.get("Content-Range", "")
                return answer.status, data if filename else _shared(data)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, b""

    def _lie(self, how: int, status: int, data: bytes) -> None:
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
        if status == 206 and self.part:
            self.send_header("Content-Range", self.part)
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
    """The page's links to files, each with its hash in the path."""
    return re.sub(
        rb'href="[^"]*/packages/([^"#]+)#sha256=([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{60})"',
        lambda it: b'href="/packages/%s/%s/%s/%s#sha256=%s"' % (it[2], it[3], it[4], it[1], it[2] + it[3] + it[4]),
        page,
    )


@contextmanager
def index_server(wheels: Path, said: Path) -> Iterator[str]:
    """The server, from the package index, with the wheels of a folder; its address. What it says goes into the file `said`."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [uv.find_uv_bin(), "tool", "run", "--quiet", "--python", sys.executable, "--from", SERVER, "pypi-server", "run"]
    flags = ["-i", "127.0.0.1", "-p", str(port), "--disable-fallback", "--hash-algo", "sha256", "-a", ".", "-P", "."]
    with said.open("w") as out, subprocess.Popen([*command, *flags, str(wheels)], stdout=out, stderr=out) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/simple/", process, said)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(address: str, process: "subprocess.Popen[bytes]", said: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{SERVER} does not answer: {said.read_text()}")


@contextmanager
def mirrored(wheels: Path, said: Path) -> Iterator[Mapping[str, MirrorProxy]]:
    """A running mirror of each kind, before one server."""
    with ExitStack() as stack:
        behind = stack.enter_context(index_server(wheels, said))
        # The server answers one request at a time, and forgets connections that come meanwhile: they would cost a second each.
        turn = threading.Semaphore(2)
        made = {kind: stack.enter_context(MirrorProxy(behind, kind, turn)) for kind in KINDS}
        for proxy in made.values():
            threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        for proxy in made.values():
            proxy.ended.set()
            proxy.shutdown()
