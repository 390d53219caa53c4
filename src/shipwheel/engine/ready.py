"""Find out when a container answers on its published ports, from this machine and without asking it anything."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from shipwheel.engine.interface import Engine, Port, RunSpec

__all__ = ["answering_ports", "is_answered", "reachable_ports", "wait_until_started"]

_CONNECT_TIMEOUT_S = 2.0
_SILENCE_S = 0.3
"""Seconds in which a proxy closes a connection that it cannot pass on. A server waits longer for a request."""

_POLL_S = 0.2
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def reachable_ports(spec: RunSpec, engine: Engine) -> tuple[Port, ...]:
    """Return the TCP ports of this machine behind which the container should answer."""
    if spec.network == "none" or engine.is_remote:
        return ()
    if engine.publishes and spec.network != "host":
        return tuple(port for port in spec.ports if port.protocol == "tcp")
    return tuple(Port(port.number, port.number) for port in spec.config.exposed_ports if port.protocol == "tcp")


def wait_until_started(engine: Engine, spec: RunSpec, timeout: float, ended: Callable[[], bool]) -> None:
    """Wait until the container of a run runs, has ended, or `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    while not ended() and time.monotonic() < deadline and not engine.has_started(spec):
        time.sleep(_POLL_S)


def is_answered(port: Port) -> bool:
    """Return whether a server listens behind a port of this machine.

    The proxies of engines accept connections for containers that do not listen, and close them at once. Before a container runs, they
    hold them, as a server would.
    """
    with suppress(OSError), socket.create_connection((_ANY.get(port.address, port.address), port.host), _CONNECT_TIMEOUT_S) as connection:
        connection.settimeout(_SILENCE_S)
        try:
            return connection.recv(1) != b""
        except TimeoutError:
            return True
    return False


def answering_ports(ports: Sequence[Port], timeout: float, ended: Callable[[], bool]) -> Iterator[Port]:
    """Yield each port when it answers. Stop after `timeout` seconds, and when the container has ended."""
    silent = list(ports)
    deadline = time.monotonic() + timeout
    while silent and not ended():
        for port in [port for port in silent if is_answered(port)]:
            silent.remove(port)
            yield port
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_S)
