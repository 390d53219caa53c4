"""`shipwheel inspect`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.command import Command
from shipwheel.cli.remote import is_path, open_repository, parse_platforms, tag_or_digest
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.text import layer_rows
from shipwheel.errors import UsageError

if TYPE_CHECKING:
    from shipwheel.digest import Digest
    from shipwheel.oci.image import Image
    from shipwheel.oci.layout import LayoutReader
    from shipwheel.platform import Platform

__all__ = ["command"]


class _Found(msgspec.Struct, frozen=True):
    """An image and its name: the document with its media type and digest, and the images for the platforms to show."""

    name: str
    digest: "Digest"
    media_type: str
    document: bytes
    images: "tuple[Image, ...]"


@click.command(
    "inspect",
    cls=Command,
    help="Show what is in an image of a registry, an OCI image layout or an archive: platforms, layers, config. No layer is read.",
    examples=(
        "shipwheel inspect registry.example/team/hello:1",
        "shipwheel inspect hello.oci --platform linux/arm64",
        "shipwheel inspect hello.tar --all",
    ),
)
@click.argument("subject", metavar="REF|LAYOUT|ARCHIVE")
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH[,…]", help="Platforms to show [all].")
@click.option("--name", metavar="NAME|DIGEST", help="Image to show, if the layout holds several.")
@click.option("--all", "everything", is_flag=True, help="List every package of every layer.")
@click.option("--raw", is_flag=True, help="Print the manifest or image index byte for byte.")
def command(terminal: Terminal, subject: str, platforms: tuple[str, ...], name: str | None, everything: bool, raw: bool) -> None:
    """Print a tree, JSON, or the document's own bytes."""
    wanted = parse_platforms(platforms)
    if is_path(subject):
        found = _in_files(Path(subject), name, wanted)
    elif name is not None:
        raise UsageError("--name selects an image of a layout", hint=f"Name the image itself: {subject}:TAG.")
    else:
        found = _in_registry(subject, wanted, terminal)
    if raw:
        terminal.raw(found.document)
    else:
        terminal.result(lambda: _document(found), _tree(found, everything))


def _in_registry(subject: str, platforms: "Sequence[Platform] | None", terminal: Terminal) -> _Found:
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.pull import remote_images

    reference = Reference.parse(subject)
    with open_repository(reference, terminal.report) as repository:
        found = remote_images(repository, tag_or_digest(reference), platforms)
    name = f"{reference.name}@{found.digest}"
    return _Found(name, found.digest, found.document.descriptor.media_type, found.document.data, found.images)


def _in_files(path: Path, name: str | None, platforms: "Sequence[Platform] | None") -> _Found:
    from shipwheel.platform import select_platforms

    reader = _reader(path)
    entry, images = reader.entry(name), reader.images(name).images
    selected = select_platforms([image.platform for image in images], platforms, str(path)) if platforms is not None else None
    shown = tuple(sorted((image for image in images if selected is None or image.platform in selected), key=lambda image: image.platform))
    return _Found(f"{path}@{entry.digest}", entry.digest, entry.media_type, reader.document(entry.digest), shown)


def _reader(path: Path) -> "LayoutReader":
    from shipwheel.oci.archive import read_archive
    from shipwheel.oci.layout import LAYOUT, read_layout

    if path.is_dir() and not (path / LAYOUT).is_file():
        raise UsageError(
            f"{path} is a directory, but not an OCI image layout", hint=f"To see what would be built from a project: shipwheel plan {path}"
        )
    return read_archive(path) if path.is_file() else read_layout(path)


def _document(found: _Found) -> dict[str, Any]:
    return {
        "name": found.name,
        "digest": found.digest,
        "media-type": found.media_type,
        "images": [
            {
                "platform": str(image.platform),
                "digest": image.digest,
                "media-type": image.manifest_media_type,
                "size": image.size,
                "layers": list(_layers(image)),
                "config": json.loads(image.config),
                "annotations": json.loads(image.manifest).get("annotations") or {},
            }
            for image in found.images
        ],
    }


def _layers(image: "Image") -> Iterator[dict[str, Any]]:
    from shipwheel.oci.layer_text import layer_texts

    for layer, text in zip(image.layers, layer_texts(image.config_file, len(image.layers)), strict=True):
        yield {
            "name": text.name,
            "contents": list(text.contents),
            "digest": layer.descriptor.digest,
            "size": layer.descriptor.size,
            "diff-id": layer.diff_id,
        }


def _tree(found: _Found, everything: bool) -> Iterator[str]:
    yield found.name
    yield f"├── type      {found.media_type}"
    for number, image in enumerate(found.images):
        last = number == len(found.images) - 1
        yield from _image(image, "└── " if last else "├── ", "    " if last else "│   ", everything)


def _image(image: "Image", branch: str, indent: str, everything: bool) -> Iterator[str]:
    config = image.config_file
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
    yield f"{indent}└── layers    {len(image.layers)}"
    yield from (f"{indent}    {line}" for line in _layer_lines(image, everything))


def _layer_lines(image: "Image", everything: bool) -> Iterator[str]:
    from shipwheel.oci.layer_text import layer_texts

    texts = layer_texts(image.config_file, len(image.layers))
    sizes = [layer.descriptor.size for layer in image.layers]
    # The history of another tool's image may not tell what is in its layers.
    names = [text.name or layer.descriptor.digest for layer, text in zip(image.layers, texts, strict=True)]
    return layer_rows(names, sizes, [text.contents for text in texts], everything=everything)
