"""The stack that a command is about: read, with its images in an engine, and with what the engine has of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import option
from shipwheel.errors import EngineError, UsageError
from shipwheel.events import Reporter

if TYPE_CHECKING:
    from shipwheel.engine.group import ContainerGroup
    from shipwheel.engine.interface import Engine, Port
    from shipwheel.stack.image import PlacedService, ServiceImage
    from shipwheel.stack.model import Stack

__all__ = ["addresses", "engine_option", "group_of", "placed_services", "stack_argument"]

stack_argument = click.argument("path", type=click.Path(path_type=Path), default=".")
engine_option = option("--engine", metavar="NAME", help="docker or podman [the first that answers].", group="Engine")


def group_of(stack: "Stack", name: str | None, reporter: Reporter) -> "ContainerGroup":
    """Return what an engine has of a stack. Raise EngineError for an engine without networks."""
    from shipwheel.engine.find import find
    from shipwheel.engine.group import ContainerGroup
    from shipwheel.stack.containers import LABEL_STACK

    return ContainerGroup(find(name, reporter), LABEL_STACK, stack.name)


def placed_services(stack: "Stack", engine: "Engine", build_flags: dict[str, Any], reporter: Reporter) -> "tuple[PlacedService, ...]":
    """Build, load and pull the images of a stack, and return its services with them. Nothing is started."""
    from shipwheel.cli.loading import load_subject
    from shipwheel.stack.image import ServiceImage, place_all

    def build(path: Path) -> ServiceImage:
        loaded = load_subject(str(path), engine, None, dict(build_flags), reporter)
        return ServiceImage(loaded.name, loaded.config, loaded.platform, loaded.project)

    return place_all(stack, lambda where, reference: _pulled(where, reference, engine), build)


def _pulled(where: str, reference: str, engine: "Engine") -> "ServiceImage":
    from shipwheel.oci.reference import Reference
    from shipwheel.stack.image import ServiceImage

    try:
        name = Reference.parse(reference)
        if not engine.has(reference):
            engine.pull(reference, engine.host())
        return ServiceImage(reference, *engine.inspect(reference), name.repository.rpartition("/")[2])
    except (EngineError, UsageError) as error:
        raise type(error)(f"{where}: {error.message}", hint=error.hint) from error


def addresses(ports: "tuple[Port, ...]", *, speaks_http: bool) -> Iterator[str]:
    """Yield where the ports of a service answer on this machine: URLs if it speaks HTTP."""
    for port in ports:
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.address, port.address)  # noqa: S104 - compared, not bound
        text = f"[{host}]:{port.host}" if ":" in host else f"{host}:{port.host}"
        yield f"http://{text}" if speaks_http and port.protocol == "tcp" else text if port.protocol == "tcp" else f"{text}/{port.protocol}"
