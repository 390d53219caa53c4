"""Ports: what users write, and what an image exposes."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.engine.interface import Port
from shipwheel.engine.ports import direct, exposed, parse_port, published
from shipwheel.errors import UsageError
from shipwheel.events import Event, Warned


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
def test_forms(text: str, port: Port) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["", "0:80", "80:65536", "80:", ":80", "a:80", "80:80:80", "80/sctp", "1.2.3:80:80", "80:80 -v /:/x"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a port"):
        parse_port(text)


@given(st.text(max_size=40))
def test_any_text_is_a_port_or_refused(text: str) -> None:
    try:
        port = parse_port(text)
    except UsageError:
        return
    assert 0 < port.container < 65536
    assert 0 < port.host < 65536


def test_exposed_ports_of_an_image() -> None:
    assert exposed(["8000/tcp", "53/udp", "9", "x/tcp", "99999/tcp", "-1/tcp", "²/tcp", "7/sctp"]) == (
        (9, "tcp"),
        (53, "udp"),
        (8000, "tcp"),
    )


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A socket that listens on a port of the loopback address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_a_port_that_is_taken_gets_another_number_and_that_is_said(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    said: list[Event] = []
    (port,) = published([f"{number}/tcp"], [], said.append)
    assert (port.container, port.address) == (number, "127.0.0.1")
    assert port.host != number
    assert [event for event in said if isinstance(event, Warned) and f"port {number} is taken: port {port.host}" in event.message]


def test_a_free_port_keeps_its_number(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    taken.close()
    said: list[Event] = []
    assert published([f"{number}/tcp"], [], said.append) == (Port(number, number, "tcp", "127.0.0.1"),)
    assert said == []


def test_what_was_asked_for_replaces_the_exposed_one(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    asked = Port(number, 80)
    assert published([f"{number}/tcp"], [asked], lambda _event: None) == (asked,)


def test_without_a_network_of_its_own_ports_cannot_move(taken: socket.socket) -> None:
    number: int = taken.getsockname()[1]
    said: list[Event] = []
    with pytest.raises(UsageError, match="cannot move port 8000"):
        direct([], [Port(8000, 80)], "containerd", said.append)
    direct([f"{number}/tcp"], [], "containerd", said.append)
    assert [event.message for event in said if isinstance(event, Warned)] == [f"port {number} is taken, and containerd cannot move it"]
