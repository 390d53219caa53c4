"""`shipwheel push`."""

from pathlib import Path

import click

from shipwheel.cli.progress import progress

__all__ = ["command"]


@click.command("push", help="Push the images of an OCI image layout or archive to REF. Blobs that the registry has are not sent.")
@click.argument("layout", type=click.Path(path_type=Path))
@click.argument("ref")
@click.option("--name", metavar="NAME|DIGEST", help="Images to push, if the layout holds several.")
@click.option("--mount-from", multiple=True, metavar="REPOSITORY", help="Repository of the same registry to mount layers from; repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors.")
def command(layout: Path, ref: str, name: str | None, mount_from: tuple[str, ...], quiet: bool) -> None:
    """Push layers, configs, manifests, the image index, then the tag; print the digest reference."""
    from shipwheel.api import push

    with progress(quiet) as reporter:
        pushed = push(layout, ref, name=name, mount_from=mount_from, reporter=reporter)
    click.echo(pushed)
