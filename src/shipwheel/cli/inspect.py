"""`shipwheel inspect`."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import Command
from shipwheel.cli.remote import open_repository, parse_platforms, tag_or_digest
from shipwheel.cli.terminal import Terminal

if TYPE_CHECKING:
    from shipwheel.oci.image import Image
    from shipwheel.registry.pull import RemoteImages

__all__ = ["command"]


@click.command(
    "inspect",
    cls=Command,
    help="Show the platforms, digests, sizes, layers and config of the image REF. No layer is fetched.",
    examples=(
        "shipwheel inspect registry.example/team/hello:1",
        "shipwheel inspect ./hello.oci --platform linux/arm64",
    ),
)
@click.argument("ref")
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH[,…]", help="Platforms to show [all].")
@click.option("--raw", is_flag=True, help="Print the manifest or image index byte for byte.")
def command(terminal: Terminal, ref: str, platforms: tuple[str, ...], raw: bool) -> None:
    """Print a tree, JSON, or the registry's own bytes."""
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.pull import remote_images

    reference = Reference.parse(ref)
    with open_repository(reference, terminal.report) as repository:
        if raw:
            terminal.raw(repository.manifest(tag_or_digest(reference)).data)
            return
        found = remote_images(repository, tag_or_digest(reference), parse_platforms(platforms))
    name = f"{reference.name}@{found.digest}"
    terminal.result(lambda: _document(name, found), _tree(name, found))


def _document(name: str, found: "RemoteImages") -> dict[str, Any]:
    return {
        "name": name,
        "digest": found.digest,
        "media-type": found.document.descriptor.media_type,
        "images": [
            {
                "platform": str(image.platform),
                "digest": image.digest,
                "media-type": image.manifest_media_type,
                "size": image.size,
                "layers": [
                    {"digest": layer.descriptor.digest, "size": layer.descriptor.size, "diff-id": layer.diff_id} for layer in image.layers
                ],
                "config": json.loads(image.config),
                "annotations": json.loads(image.manifest).get("annotations") or {},
            }
            for image in found.images
        ],
    }


def _tree(name: str, found: "RemoteImages") -> Iterator[str]:
    yield name
    yield f"├── type      {found.document.descriptor.media_type}"
    for number, image in enumerate(found.images):
        last = number == len(found.images) - 1
        yield from _image(image, "└── " if last else "├── ", "    " if last else "│   ")


def _image(image: "Image", branch: str, indent: str) -> Iterator[str]:
    from shipwheel.oci.model import ConfigFile, decode

    config = decode(image.config, ConfigFile, image.digest)
    run = config.config
    yield f"{branch}{image.platform}"
    yield f"{indent}├── digest    {image.digest}"
    yield f"{indent}├── size      {image.size / 1e6:.1f} MB"
    for label, value in (
        ("created", config.created),
        ("command", " ".join((*run.entrypoint, *run.cmd))),
        ("user", run.user),
        ("directory", run.working_dir),
        ("ports", ", ".join(run.exposed_ports)),
        ("volumes", ", ".join(run.volumes)),
    ):
        if value:
            yield f"{indent}├── {label:<9} {value}"
    for variable in run.env:
        yield f"{indent}├── env       {variable if len(variable) <= 100 else variable[:97] + '…'}"
    for number, layer in enumerate(image.layers):
        end = "└── " if number == len(image.layers) - 1 else "├── "
        yield f"{indent}{end}layer     {layer.descriptor.digest}  {layer.descriptor.size / 1e6:8.1f} MB"
