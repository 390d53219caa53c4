"""The stack that a command is about: read, with its images in an engine, and with what the engine has of it."""

from collections.abc import Iterator, Mapping
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

__all__ = ["addresses", "check_distinct", "engine_option", "group_of", "placed_services", "stack_argument"]

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
    from shipwheel.stack.image import ServiceImage, place
    from shipwheel.stack.model import PulledImage

    built: dict[Path, ServiceImage] = {}
    # Pulled first: what does not exist should not come up behind a long build.
    pulled = {it.name: _pulled(stack, it.name, it.source.reference, engine) for it in stack.services if isinstance(it.source, PulledImage)}
    for path in stack.projects:
        loaded = load_subject(str(path), engine, None, dict(build_flags), reporter)
        built[path] = ServiceImage(loaded.name, loaded.config, loaded.platform, loaded.project)
        check_distinct(built)
    return tuple(
        place(it, pulled[it.name] if isinstance(it.source, PulledImage) else built[it.source.path], stack.place) for it in stack.services
    )


def check_distinct(built: "Mapping[Path, ServiceImage]") -> None:
    """Raise UsageError if the images of two projects have one name: the second would take the place of the first."""
    paths: dict[str, Path] = {}
    for path, image in built.items():
        if (other := paths.setdefault(image.name, path)) != path:
            hint = 'Give one of them another name in its settings: name = "…", or tag.'
            raise UsageError(f"the images of {other} and {path} are both named {image.name}", hint=hint)


def _pulled(stack: "Stack", service: str, reference: str, engine: "Engine") -> "ServiceImage":
    from shipwheel.oci.reference import Reference
    from shipwheel.stack.image import ServiceImage

    where = f"{stack.place}: services.{service}.image"
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
