"""Ports that users publish and that images expose."""

import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.engine.interface import Port
from shipwheel.engine.run_options import add_image_ports, check_free, check_host_ports, parse_port
from shipwheel.errors import UsageError
from shipwheel.events import Event, Warned
from shipwheel.oci.execution import ExposedPort


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8000", Port(8000, 8000)),
        ("80:8000", Port(8000, 80)),
        ("80:8000/udp", Port(8000, 80, "udp")),
        ("127.0.0.1:80:8000", Port(8000, 80, "tcp", "127.0.0.1")),
        ("[::1]:80:8000/tcp", Port(8000, 80, "tcp", "::1")),
    ],
)
def test_parses_a_port(text: str, port: Port) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["", "0:80", "80:65536", "80:", ":80", "a:80", "80:80:80", "80/sctp", "1.2.3:80:80", "80:80 -v /:/x"])
def test_rejects_a_malformed_port(text: str) -> None:
    with pytest.raises(UsageError, match="not a port"):
        parse_port(text)


@given(st.text(max_size=40))
def test_parses_or_rejects_any_text(text: str) -> None:
    try:
        port = parse_port(text)
    except UsageError:
        return
    assert 0 < port.container < 65536
    assert 0 < port.host < 65536


def test_publishes_tcp_and_udp_only() -> None:
    assert add_image_ports([ExposedPort(7, "sctp")], [], lambda _event: None) == ()


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A socket that listens on the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_picks_another_port_if_one_is_taken_and_warns(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    events: list[Event] = []
    (port,) = add_image_ports([ExposedPort(number, "tcp")], [], events.append)
    assert (port.container, port.address) == (number, "127.0.0.1")
    assert port.host != number
    assert [event for event in events if isinstance(event, Warned) and f"port {number} is taken; using port {port.host}" in event.message]


def test_publishes_a_free_port_under_its_own_number(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    taken.close()
    events: list[Event] = []
    assert add_image_ports([ExposedPort(number, "tcp")], [], events.append) == (Port(number, number, "tcp", "127.0.0.1"),)
    assert events == []


def test_a_requested_port_replaces_the_exposed_one(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    requested = Port(number, 80)
    assert add_image_ports([ExposedPort(number, "tcp")], [requested], lambda _event: None) == (requested,)


def test_a_taken_port_that_the_user_chose_is_an_error_with_another(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    for address in ("", "127.0.0.1"):
        with pytest.raises(UsageError, match=f"port {number} of this machine is taken") as caught:
            check_free(Port(80, number, "tcp", address))
        other = re.search(r"example -p (\S+)\.", caught.value.hint)
        assert other and parse_port(other[1]).container == 80
        assert parse_port(other[1]).host != number
    check_free(Port(80, number, "udp"))
    taken.close()
    check_free(Port(80, number))


def test_cannot_remap_ports_in_the_machine_s_network(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    events: list[Event] = []
    with pytest.raises(UsageError, match="cannot remap port 8000"):
        check_host_ports([], [Port(8000, 80)], "containerd", events.append)
    check_host_ports([ExposedPort(number, "tcp")], [], "containerd", events.append)
    assert [event.message for event in events if isinstance(event, Warned)] == [f"port {number} is taken, and containerd cannot remap it"]
