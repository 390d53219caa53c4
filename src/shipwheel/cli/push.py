"""`shipwheel push`."""

from pathlib import Path

import click

from shipwheel.cli.progress import progress
from shipwheel.cli.remote import opened, parsed, tag_of

__all__ = ["command"]


@click.command("push", help="Push the images of an OCI image layout (LAYOUT) to a registry, as REF. Only what is not there is sent.")
@click.argument("layout", type=click.Path(path_type=Path))
@click.argument("ref")
@click.option("--name", metavar="NAME|DIGEST", help="Which images, if the layout holds several.")
@click.option("--mount-from", "origins", multiple=True, metavar="REPOSITORY", help="Another repository that may have layers.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors alone.")
def command(layout: Path, ref: str, name: str | None, origins: tuple[str, ...], quiet: bool) -> None:
    """Pushes layers, configs, manifests, the image index, then the tag; prints the digest reference."""
    from shipwheel.oci.layout import read_layout
    from shipwheel.registry.push import Push
    from shipwheel.store import Store, default_root

    reference = parsed(ref)
    tag = tag_of(reference)
    index = read_layout(layout).images(name)
    with progress(quiet) as reporter, opened(reference, reporter) as repository, Push(repository, reporter) as push:
        push.images(index, Store(default_root()), [parsed(origin).name for origin in origins])
        push.finish(index, (tag,))
    click.echo(f"{reference.name}@{index.digest}")
