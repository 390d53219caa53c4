"""`shipwheel pull`."""

from pathlib import Path

import click

from shipwheel.cli.progress import progress
from shipwheel.cli.remote import opened, parsed, platforms_of, wanted

__all__ = ["command"]


@click.command("pull", help="Pull the images of REF from a registry into an OCI image layout (DIR). What is there is not fetched again.")
@click.argument("ref")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--platform", "platforms", multiple=True, metavar="OS/ARCH[,…]", help="Platforms to pull [all].")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors alone.")
def command(ref: str, directory: Path, platforms: tuple[str, ...], quiet: bool) -> None:
    """Pulls; prints the digest reference of what is in the layout, which is another than the registry's if something had to be changed."""
    from shipwheel.events import Warned
    from shipwheel.registry.pull import pull, remote_images
    from shipwheel.store import Store, default_root

    reference = parsed(ref)
    with progress(quiet) as reporter, opened(reference, reporter) as repository:
        found = remote_images(repository, wanted(reference), platforms_of(platforms))
        done = pull(repository, found, directory, Store(default_root()), name=str(reference), reporter=reporter)
        if done.entry.digest != found.digest and platforms_of(platforms) is None:
            why = "it was converted to OCI's media types, had attestations, or listed one image alone"
            hint = f"The registry has {found.digest}; {why}. `shipwheel copy` changes nothing."
            reporter(Warned("the digest in the layout is not the registry's", hint))
    click.echo(f"{reference.name}@{done.entry.digest}")
