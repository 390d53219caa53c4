"""`shipwheel copy`."""

import click

from shipwheel.cli.progress import progress

__all__ = ["command"]


@click.command("copy", help="Copy an image, for all its platforms, from SOURCE to TARGET. No digest changes.")
@click.argument("source")
@click.argument("target")
@click.option("--referrers", is_flag=True, help="Also copy attestations, signatures and other artifacts that refer to the image.")
@click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors.")
def command(source: str, target: str, referrers: bool, quiet: bool) -> None:
    """Copy; print the digest reference."""
    from shipwheel.api import copy

    with progress(quiet) as reporter:
        copied = copy(source, target, referrers=referrers, reporter=reporter)
    click.echo(copied)
