"""Ask a container that runs already, elsewhere and by whatever engine: one that cannot be watched from inside."""

import socket
import time
from collections.abc import Sequence

import msgspec

from shipwheel.errors import UsageError
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.runtime.pages import Caller
from shipwheel.trial.findings import find, verdict_of
from shipwheel.trial.observation import LOOPBACK, Answer, Observation, Socket
from shipwheel.trial.observe import Conditions, paths_of
from shipwheel.trial.trial import Trial

__all__ = ["try_running"]

_TIMEOUT_S = 60.0
_CONNECT_TIMEOUT_S = 2.0
_KEPT_S = 0.5
"""Seconds in which an engine that accepts for a program hangs up if that does not listen."""
_POLL_S = 0.2


def try_running(config: ExecutionConfig, image: str, at: str, conditions: Conditions) -> Trial:
    """Return the trial of a container of an image that is reachable as the host `at`, by the ports that the image exposes.

    It shows what callers see: no output, no memory, nothing of what is written. Raise UsageError for an image without a TCP port.
    """
    ports = [port.number for port in config.exposed_ports if port.protocol == "tcp"]
    if not ports:
        hint = "Name the port in the setting `ports`. A program without one can only be started and watched: shipwheel check IMAGE."
        raise UsageError(f"{image} exposes no TCP port, so there is nothing to ask", hint=hint)
    started = time.monotonic()
    seen = _observe(ports, at, config, conditions)
    findings = find(seen, config)
    return Trial(verdict_of(seen, findings), findings, seen, seconds=time.monotonic() - started)


def _observe(ports: Sequence[int], at: str, config: ExecutionConfig, conditions: Conditions) -> Observation:
    """Wait until a port accepts and keeps connections, and then for a good answer."""
    hosts = tuple(dict.fromkeys((conditions.host, at)))
    caller = Caller({"hosts": hosts, "paths": paths_of(conditions, config), "patience": conditions.patience})
    started = time.monotonic()
    open_since: dict[int, float] = {}
    ready = None
    while ready is None:
        elapsed = time.monotonic() - started
        open_since |= {port: elapsed for port in ports if port not in open_since and _is_open(at, port)}
        if any(caller.is_answered(at, port) for port in open_since):
            ready = time.monotonic() - started
        elif elapsed > (min(open_since.values()) + caller.patience() if open_since else conditions.timeout or _TIMEOUT_S):
            break
        else:
            time.sleep(_POLL_S)
    caller.follow()
    # What is asked from outside is reachable, by whatever name it has here.
    address = "localhost" if at.startswith(LOOPBACK) else at
    return Observation(
        seconds=time.monotonic() - started,
        ready=ready,
        sockets=tuple(Socket("tcp", address, port, since) for port, since in sorted(open_since.items())),
        answers=msgspec.convert(list(caller.answers.values()), tuple[Answer, ...]),
        pages=msgspec.convert(caller.pages, tuple[Answer, ...]),
    )


def _is_open(host: str, port: int) -> bool:
    """Return whether a port accepts a connection and keeps it. docker accepts at one that it publishes, and hangs up if nothing listens."""
    try:
        with socket.create_connection((host, port), _CONNECT_TIMEOUT_S) as connection:
            connection.settimeout(_KEPT_S)
            return _is_kept(connection)
    except OSError:
        return False


def _is_kept(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1))
    except TimeoutError:
        return True
