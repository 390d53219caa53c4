"""The trial of a container that runs already: it is asked from outside, and nothing is started."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest

from shipwheel.errors import UsageError
from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.trial.finding import FindingKind, Verdict
from shipwheel.trial.observe import Conditions
from shipwheel.trial.report import to_lines
from shipwheel.trial.running import try_running
from shipwheel.trial.trial import Trial

LABELS = {"io.shipwheel.health": "/ready"}


@contextmanager
def published(silent: int) -> Iterator[int]:
    """Accept connections at a port as docker does, hang up on some while the program is not there yet, and answer the others."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            for number in count():
                connection, _ = listener.accept()
                with connection:
                    if number >= silent and connection.recv(1 << 16):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def serving(statuses: dict[str, list[int]]) -> Iterator[int]:
    """Serve paths with one status after the other, the last one for ever, and give the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            left = statuses.get(self.path, [404])
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def trial(*ports: int, protocol: str = "tcp", timeout: float = 0.01, patience: float = 15.0) -> Trial:
    config = ExecutionConfig(exposed_ports=tuple(ExposedPort(port, protocol) for port in ports), labels=LABELS)
    return try_running(config, "shop", "127.0.0.1", Conditions(timeout=timeout, patience=patience))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_waits_until_the_path_that_the_image_names_answers() -> None:
    with serving({"/": [404], "/ready": [503, 503, 200]}) as port:
        found = trial(port)
    assert (found.verdict, found.findings) == (Verdict.SERVES, ())
    assert [(answer.path, answer.status) for answer in found.seen.answers] == [("/", 404), ("/ready", 200)]
    assert found.headline.startswith(f"serves: /ready on port {port} answers 200 after ")


def test_a_server_whose_page_fails_does_not_serve() -> None:
    with serving({"/": [500]}) as port:
        found = trial(port, patience=0.5)
    assert (found.verdict, [it.kind for it in found.findings]) == (Verdict.FAILS, [FindingKind.ERROR_ANSWER])
    assert not any(line.startswith("  output") for line in to_lines(found)), "its output is where it runs"


def test_waits_for_a_program_behind_a_port_that_accepts_for_it() -> None:
    with published(silent=3) as port:
        assert trial(port, timeout=60).seen.answer is not None
    with published(silent=1 << 30) as port:
        found = trial(port)
    assert (found.verdict, [it.kind for it in found.findings]) == (Verdict.FAILS, [FindingKind.NO_LISTENER])


def test_a_port_that_nothing_listens_on_does_not_serve() -> None:
    found = trial(free_port())
    assert (found.verdict, [it.kind for it in found.findings]) == (Verdict.FAILS, [FindingKind.NO_LISTENER])


def test_one_of_several_ports_is_enough() -> None:
    with serving({"/": [200]}) as port:
        assert trial(free_port(), port).verdict is Verdict.SERVES


def test_refuses_an_image_without_a_port_to_ask() -> None:
    with pytest.raises(UsageError, match="exposes no TCP port"):
        trial(53, protocol="udp")
