"""`shipwheel export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import Command, option
from shipwheel.cli.options import request_from, some_options
from shipwheel.cli.services import check_distinct, stack_argument
from shipwheel.cli.terminal import Terminal

if TYPE_CHECKING:
    from shipwheel.stack.image import PlacedService, ServiceImage
    from shipwheel.stack.model import Stack

__all__ = ["command"]

_FORMATS = ("compose",)


@click.command(
    "export",
    cls=Command,
    help="Build a project and write a compose file for it and its services, with the digests of all images.",
    examples=("shipwheel export compose", "shipwheel export compose . --push -o deploy"),
)
@click.argument("form", metavar="FORMAT", type=click.Choice(_FORMATS))
@stack_argument
@option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Directory to write into [standard output].", group="Destination"
)
@option("--push", is_flag=True, help="Push the images of the projects to the registries that their `tag` names.", group="Destination")
@some_options("locked", "frozen", "yes")
def command(terminal: Terminal, form: str, path: Path, output: Path | None, push: bool, **flags: Any) -> None:  # noqa: ARG001 - compose alone
    """Build, resolve the images of others, and write; nothing is started."""
    from shipwheel.stack.compose import SECRETS_FOLDER, compose_file
    from shipwheel.stack.read import read_stack

    stack = read_stack(path)
    placed = _placed(stack, flags, push, terminal)
    text = compose_file(stack, placed)
    file = None
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        file = output / "compose.yaml"
        file.write_text(text, encoding="utf-8")
    if secrets := sorted({name for service in stack.services for name in service.secrets}):
        terminal.note(f"it reads {', '.join(f'{SECRETS_FOLDER}/{name}' for name in secrets)} beside it: write a value into each, mode 0444")
    terminal.result(
        lambda: {
            "file": str(file) if file is not None else None,
            "text": text,
            "images": {it.service.name: it.image.name for it in placed},
        },
        [str(file)] if file is not None else text.splitlines(),
    )


def _placed(stack: "Stack", flags: dict[str, Any], push: bool, terminal: Terminal) -> "tuple[PlacedService, ...]":
    from shipwheel.stack.image import ServiceImage, place
    from shipwheel.stack.model import PulledImage

    pulled: dict[str, ServiceImage] = {}
    for service in stack.services:
        if isinstance(service.source, PulledImage) and service.source.reference not in pulled:
            pulled[service.source.reference] = _in_registry(stack, service.name, service.source.reference, terminal)
    built = {path: _built(path, dict(flags), push, terminal) for path in stack.projects}
    check_distinct(built)
    images = ((it, pulled[it.source.reference] if isinstance(it.source, PulledImage) else built[it.source.path]) for it in stack.services)
    return tuple(place(service, image, stack.place) for service, image in images)


def _in_registry(stack: "Stack", service: str, text: str, terminal: Terminal) -> "ServiceImage":
    """Return an image of others by its digest. Raise what the registry refuses, with the key that names the image."""
    from shipwheel.cli.remote import open_repository, tag_or_digest
    from shipwheel.errors import FetchError, UsageError
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.pull import remote_images
    from shipwheel.stack.image import ServiceImage

    where = f"{stack.place}: services.{service}.image"
    try:
        reference = Reference.parse(text)
        with open_repository(reference, terminal.report) as repository:
            found = remote_images(repository, tag_or_digest(reference))
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", hint=error.hint) from error
    except FetchError as error:
        raise FetchError(f"{where}: {error.message}", hint=error.hint, status=error.status, not_found=error.not_found) from error
    first = found.images[0]
    return ServiceImage(f"{reference.name}@{found.digest}", first.execution, first.platform, reference.repository.rpartition("/")[2])


def _built(path: Path, flags: dict[str, Any], push: bool, terminal: Terminal) -> "ServiceImage":
    """Build a project, and return its image by its digest if its tag names a registry, else by the name that an engine gets."""
    from shipwheel.api import build
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.deliver import build_and_load
    from shipwheel.stack.image import ServiceImage

    request = request_from(path, flags, terminal.report)
    built = build(request, push=True).built if push else build_and_load(request, lambda _built: "")[0].built
    project, first = built.resolution.project, built.index.images[0]
    reference = Reference.parse(project.settings.tag or project.name)
    if reference.registry is None:
        name = f"{reference.name}:{reference.tag_or_latest}"
        hint = f'Name it in the settings, tag = "registry.example/team/{project.name}:1", or load it: shipwheel build {path} --load.'
        terminal.warn(f"{name} is in no registry, so the file names it without a digest", hint)
    else:
        name = f"{reference.name}@{built.index.digest}"
        if not push:
            terminal.note(f"{name} has to be in its registry before the file is used: shipwheel build {path} --push, or --push here")
    return ServiceImage(name, first.execution, first.platform, project.name)
