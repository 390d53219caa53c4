"""A build through four mirrors of a real index server: quick, slow, stale and lying ones, each a small proxy before the server."""

import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import cast

import pytest
import uv
from test_mirrored import chosen

from shipwheel.testing.packageindex import PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World

pytestmark = pytest.mark.online

COUNT = 12
SERVER = "pypiserver==2.4.2"


class Proxy(ThreadingHTTPServer):
    """Passes on what the server says, with its files under the paths that all public mirrors share, and does what its kind does wrong."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, behind: str, kind: str) -> None:
        self.behind, self.kind = behind, kind
        self.asked: list[str] = []
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def simple(self) -> str:
        """The address of the index."""
        return f"http://127.0.0.1:{self.server_address[1]}/simple/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    part = ""
    """Which part of the file the server gave, in its words."""

    def do_GET(self) -> None:
        server = cast(Proxy, self.server)
        server.asked.append(self.path)
        filename = self.path.rpartition("/")[2] if self.path.startswith("/packages/") else ""
        number = int("0" + "".join(re.findall(r"small(\d+)-", filename)))
        if server.kind == "stale" and filename and number % 2:
            return self._send(404, b"")
        status, data = self._behind(filename)
        if server.kind == "lying" and filename and status in (200, 206):
            return self._lie(number % 4, status, data)
        return self._send(status, data, 20_000 if server.kind == "slow" and filename else 0)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _behind(self, filename: str) -> tuple[int, bytes]:
        wanted = f"/packages/{filename}" if filename else self.path
        headers = {name: self.headers[name] for name in ("Range",) if name in self.headers}
        try:
            with urllib.request.urlopen(urllib.request.Request(cast(Proxy, self.server).behind + wanted, headers=headers)) as answer:
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
            cast(Proxy, self.server).ended.wait(10)
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
            if rate and cast(Proxy, self.server).ended.wait(step / rate):
                return


def _shared(page: bytes) -> bytes:
    """The page's links to files, each with its hash in the path."""
    return re.sub(
        rb'href="[^"]*/packages/([^"#]+)#sha256=([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{60})"',
        lambda it: b'href="/packages/%s/%s/%s/%s#sha256=%s"' % (it[2], it[3], it[4], it[1], it[2] + it[3] + it[4]),
        page,
    )


@contextmanager
def pypiserver(root: Path) -> Iterator[str]:
    """The server, from the package index, with the wheels of a folder; its address."""
    folder = root / "wheels"
    folder.mkdir()
    for number in range(COUNT):
        name = f"small{number}"
        wheel = SmallWheel(name, files={f"{name}.py": "".join(map(hex, range(30_000 + number)))})
        (folder / wheel.filename).write_bytes(wheel.content())
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [uv.find_uv_bin(), "tool", "run", "--quiet", "--python", sys.executable, "--from", SERVER, "pypi-server", "run"]
    flags = ["-i", "127.0.0.1", "-p", str(port), "--disable-fallback", "--hash-algo", "sha256", "-a", ".", "-P", "."]
    with (root / "said").open("w") as said, subprocess.Popen([*command, *flags, str(folder)], stdout=said, stderr=said) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/simple/", process, root / "said")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(address: str, process: "subprocess.Popen[bytes]", said: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, said.read_text()
        try:
            with urllib.request.urlopen(address):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(said.read_text())


@pytest.fixture
def mirrors(tmp_path: Path) -> Iterator[dict[str, Proxy]]:
    with ExitStack() as stack:
        behind = stack.enter_context(pypiserver(tmp_path))
        made = {kind: stack.enter_context(Proxy(behind, kind)) for kind in ("lying", "slow", "stale", "quick")}
        for proxy in made.values():
            threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        for proxy in made.values():
            proxy.ended.set()
            proxy.shutdown()


def test_it_ends_right_through_all_of_them(world: World, mirrors: dict[str, Proxy]) -> None:
    place = world.app("".join(f"small{number}\n" for number in range(COUNT)))
    four = cast(dict[str, PackageIndex], mirrors)
    ran = world.build(place, env=chosen(world, four, "lying", "slow", "stale", "quick"))
    assert ran.digest, ran.err
    lock = (place / "pylock.toml").read_text()
    for proxy in mirrors.values():
        host = proxy.simple.split("/")[2]
        assert host not in lock, "no mirror's address"
        assert len([line for line in ran.err.splitlines() if line.startswith("warning: ") and host in line]) <= 2, ran.err
    assert any("/packages/" in path for path in mirrors["quick"].asked)
    assert any("/packages/" in path for path in mirrors["lying"].asked), "the first one was asked first"
    other = world.root / "other"
    again = world.build(place, env={**chosen(world, four, "quick", root=other), "SHIPWHEEL_CACHE": str(other)})
    assert again.digest == ran.digest
