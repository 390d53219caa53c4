"""Whether a server answers behind a port of this machine."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from shipwheel.container.path import ContainerPath
from shipwheel.engine.bwrap import Bwrap
from shipwheel.engine.docker import Docker
from shipwheel.engine.interface import Engine, Port, RunSpec
from shipwheel.engine.ready import answering_ports, is_answered, reachable_ports
from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.platform import Platform

AMD64 = Platform("linux", "amd64")

Serve = Callable[[Callable[[socket.socket], None]], Port]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server on the loopback interface that treats each connection with a function, and holds it if that leaves it open."""

    def start(treat: Callable[[socket.socket], None]) -> Port:
        listener = running.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                treat(connection)

        threading.Thread(target=accept, daemon=True).start()
        running.callback(listener.shutdown, socket.SHUT_RDWR)
        number: int = listener.getsockname()[1]
        return Port(80, number, "tcp", "127.0.0.1")

    held: list[socket.socket] = []
    with ExitStack() as running:
        yield start
    for connection in held:
        connection.close()


def hold(_connection: socket.socket) -> None:
    pass


def greet(connection: socket.socket) -> None:
    connection.sendall(b"220 ready")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def test_a_server_that_waits_for_a_request_answers(serve: Serve) -> None:
    assert is_answered(serve(hold))


def test_a_server_that_speaks_first_answers(serve: Serve) -> None:
    assert is_answered(serve(greet))


@pytest.mark.parametrize("treat", [socket.socket.close, reset])
def test_a_proxy_without_a_server_behind_it_does_not_answer(serve: Serve, treat: Callable[[socket.socket], None]) -> None:
    assert not is_answered(serve(treat))


def test_a_free_port_does_not_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert not is_answered(Port(80, probe.getsockname()[1], "tcp", "127.0.0.1"))


def test_every_address_is_reached_on_loopback(serve: Serve) -> None:
    port = serve(hold)
    assert is_answered(Port(80, port.host, "tcp", "0.0.0.0"))
    assert is_answered(Port(80, port.host))


def test_yields_ports_until_all_answer(serve: Serve) -> None:
    ports = [serve(hold), serve(greet)]
    assert sorted(port.host for port in answering_ports(ports, 60, lambda: False)) == sorted(port.host for port in ports)


def test_stops_when_the_container_has_ended(serve: Serve) -> None:
    answers = iter([False, False, True])
    assert list(answering_ports([serve(socket.socket.close)], 60, lambda: next(answers))) == []


def spec(network: str = "") -> RunSpec:
    config = ExecutionConfig(exposed_ports=(ExposedPort(53, "udp"), ExposedPort(8000, "tcp")), volumes=(ContainerPath("/data"),))
    return RunSpec("app:1", config, AMD64, "app-1", ports=(Port(8000, 8001, "tcp", "127.0.0.1"), Port(53, 53, "udp")), network=network)


def docker(*, remote: bool = False) -> Engine:
    engine = Docker("26", AMD64, (AMD64,))
    engine.is_remote = remote
    return engine


@pytest.mark.parametrize(
    ("engine", "network", "numbers"),
    [
        (docker(), "", [8001]),
        (docker(), "backend", [8001]),
        (docker(), "host", [8000]),
        (docker(), "none", []),
        (docker(remote=True), "", []),
        (Bwrap("0.11.0"), "", [8000]),
        (Bwrap("0.11.0"), "none", []),
    ],
)
def test_knows_the_ports_to_watch(engine: Engine, network: str, numbers: list[int]) -> None:
    assert [port.host for port in reachable_ports(spec(network), engine)] == numbers
