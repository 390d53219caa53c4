"""Which ports of this machine are a container's."""

import errno
import re
import socket
from collections.abc import Iterable, Sequence

from shipwheel.engine.interface import Port
from shipwheel.errors import UsageError
from shipwheel.events import Reporter, Warned

__all__ = ["direct", "exposed", "parse_port", "published"]

LOOPBACK = "127.0.0.1"

_FORM = re.compile(
    r"(?:(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<four>\d{1,3}(?:\.\d{1,3}){3})):)?(?:(?P<host>\d{1,5}):)?(?P<inside>\d{1,5})(?:/(?P<kind>tcp|udp))?"
)


def parse_port(text: str) -> Port:
    """Reads `8080:8000`, `8000`, `127.0.0.1:8080:8000/tcp`, `[::1]:53:53/udp`; raises UsageError for anything else."""
    found = _FORM.fullmatch(text.strip())
    numbers = [int(found[part]) for part in ("host", "inside") if found[part]] if found else []
    if found is None or not all(0 < number < 65536 for number in numbers):
        raise UsageError(
            f"-p {text}: not a port to publish", hint="Write HOST:CONTAINER, for example 8080:8000, or ADDRESS:HOST:CONTAINER."
        )
    return Port(numbers[-1], numbers[0], found["kind"] or "tcp", found["six"] or found["four"] or "")


def exposed(config_ports: Iterable[str]) -> tuple[tuple[int, str], ...]:
    """(number, protocol) of the ports that an image exposes (config.md: `port/tcp`, `port/udp`, `port`); others are not."""
    ports = []
    for text in config_ports:
        number, _, kind = text.partition("/")
        if number.isdecimal() and 0 < int(number) < 65536 and kind in ("", "tcp", "udp"):
            ports.append((int(number), kind or "tcp"))
    return tuple(sorted(set(ports)))


def published(config_ports: Iterable[str], asked: Sequence[Port], reporter: Reporter) -> tuple[Port, ...]:
    """The ports that were asked for, and the image's others under the same number, on the loopback address alone.

    One that is taken, or that the user may not use, gets another number, which is said.
    """
    known = {(port.container, port.protocol) for port in asked}
    return (*asked, *(_free(number, kind, reporter) for number, kind in exposed(config_ports) if (number, kind) not in known))


def direct(config_ports: Iterable[str], asked: Sequence[Port], engine: str, reporter: Reporter) -> tuple[Port, ...]:
    """The ports of a container that is in this machine's network: they cannot be moved, so one that is taken is warned of.

    Raises UsageError if one was asked for under another number or address.
    """
    moved = [port for port in asked if port.host != port.container or port.address]
    if moved:
        hint = "Have the app listen elsewhere, by its own settings or arguments, or use docker or podman."
        raise UsageError(f"{engine} cannot move port {moved[0].container}: the container is in this machine's network", hint=hint)
    for number, kind in {*exposed(config_ports), *((port.container, port.protocol) for port in asked)}:
        if (why := _refusal(number, kind)) is not None:
            reporter(Warned(f"port {number} {why}, and {engine} cannot move it", "Have the app listen elsewhere, or use docker or podman."))
    return tuple(asked)


def _free(number: int, kind: str, reporter: Reporter) -> Port:
    why = _refusal(number, kind)
    if why is None:
        return Port(number, number, kind, LOOPBACK)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        other: int = probe.getsockname()[1]
    reporter(Warned(f"port {number} {why}: port {other} of this machine is used instead", f"Name another one: -p HOST:{number}."))
    return Port(number, other, kind, LOOPBACK)


def _refusal(number: int, kind: str) -> str | None:
    """Why a port of the loopback address cannot be had, None if it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as probe:
        if kind == "tcp":
            # Connections that have ended a moment ago are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
        except OSError as error:
            return "is taken" if error.errno == errno.EADDRINUSE else "may not be used by you"
    return None
