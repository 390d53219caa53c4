"""`shipwheel push`."""

from pathlib import Path

import click

from shipwheel.cli.command import Command
from shipwheel.cli.remote import reference_document
from shipwheel.cli.terminal import Terminal

__all__ = ["command"]


@click.command(
    "push",
    cls=Command,
    help="Push the images of an OCI image layout or archive to REF. Blobs that the registry has are not sent.",
    examples=("shipwheel push hello.oci registry.example/team/hello:1",),
)
@click.argument("layout", type=click.Path(path_type=Path))
@click.argument("ref")
@click.option("--name", metavar="NAME|DIGEST", help="Images to push, if the layout holds several.")
@click.option("--mount-from", multiple=True, metavar="REPOSITORY", help="Repository of the same registry to mount layers from; repeatable.")
def command(terminal: Terminal, layout: Path, ref: str, name: str | None, mount_from: tuple[str, ...]) -> None:
    """Push layers, configs, manifests, the image index, then the tag; print the digest reference."""
    from shipwheel.api import push

    pushed = push(layout, ref, name=name, mount_from=mount_from, reporter=terminal.report)
    terminal.result(lambda: reference_document(pushed), [pushed])
