"""A stack as settings whose services are images, for a machine without the projects that they were built from."""

from collections.abc import Iterator, Sequence
from typing import Any

from shipwheel.engine.interface import Port
from shipwheel.stack.image import PlacedService
from shipwheel.stack.model import HealthCommand, HealthPath, Stack

__all__ = ["FILE", "HEAD", "image_settings"]

FILE = "shipwheel.toml"
HEAD = "# Made by `shipwheel bundle`: `shipwheel up` starts the images of the bundle from it.\n"
"""The first line of such settings."""


def image_settings(stack: Stack, placed: Sequence[PlacedService]) -> str:
    """Return the text of a shipwheel.toml that gives the same services, names and volumes as the settings of the project."""
    import tomli_w

    return HEAD + tomli_w.dumps({"name": stack.name, "services": {it.service.name: dict(_table(it)) for it in placed}})


def _table(placed: PlacedService) -> Iterator[tuple[str, Any]]:
    service = placed.service
    yield "image", placed.image.name
    if service.source.process != "web":
        yield "process", service.source.process
    yield "job", service.is_job
    yield "start-timeout", service.start_timeout
    stated: dict[str, Any] = {
        "schedule": service.schedule,
        "command": list(service.command),
        "ports": [_port(port) for port in placed.ports],
        "volumes": {volume.name: str(volume.target) for volume in placed.volumes},
        "env": dict(service.env),
        "secrets": list(service.secrets),
        "needs": list(service.needs),
        "profiles": list(service.profiles),
    }
    yield from ((key, value) for key, value in stated.items() if value)
    match service.health:
        case HealthPath(path):
            yield "health", path
        case HealthCommand(command):
            yield "health", list(command)
    if service.memory is not None:
        yield "memory", str(service.memory)
    for key, value in (("cpus", service.cpus), ("hardened", service.hardened)):
        if value is not None:
            yield key, value


def _port(port: Port) -> str:
    """Return a port in the form that `parse_port` reads."""
    address = f"[{port.address}]:" if ":" in port.address else f"{port.address}:" if port.address else ""
    return f"{address}{port.host}:{port.container}/{port.protocol}"
