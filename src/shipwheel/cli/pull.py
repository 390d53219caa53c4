"""`shipwheel pull`."""

from pathlib import Path

import click

from shipwheel.cli.progress import progress
from shipwheel.cli.remote import open_repository, parse_platforms, tag_or_digest

__all__ = ["command"]


@click.command("pull", help="Pull the images of REF into the OCI image layout DIR. Blobs that the layout has are not fetched.")
@click.argument("ref")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH[,…]", help="Platforms to pull [all].")
@click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors.")
def command(ref: str, directory: Path, platforms: tuple[str, ...], quiet: bool) -> None:
    """Pull; print the digest reference of the image in the layout, which differs from the registry's if it had to be converted."""
    from shipwheel.events import Warned
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.pull import pull, remote_images
    from shipwheel.store import Store, default_root

    reference, selected = Reference.parse(ref), parse_platforms(platforms)
    with progress(quiet) as reporter, open_repository(reference, reporter) as repository:
        found = remote_images(repository, tag_or_digest(reference), selected)
        pulled = pull(repository, found, directory, Store(default_root()), name=str(reference), reporter=reporter)
        if pulled.entry.digest != found.digest and selected is None:
            why = "it was converted to OCI media types, had attestations, or listed a single image"
            hint = f"The registry has {found.digest}; {why}. `shipwheel copy` changes nothing."
            reporter(Warned("the digest in the layout differs from the registry's", hint))
    click.echo(f"{reference.name}@{pulled.entry.digest}")
