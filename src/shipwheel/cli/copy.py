"""`shipwheel copy`."""

import click

from shipwheel.cli.progress import progress
from shipwheel.cli.remote import opened, parsed, tag_of, wanted

__all__ = ["command"]


@click.command("copy", help="Copy an image, for all platforms, from one repository (SOURCE) to another (TARGET). No digest changes.")
@click.argument("source")
@click.argument("target")
@click.option("--referrers", is_flag=True, help="Take along what refers to it: records of shipwheel's, attestations, signatures.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors alone.")
def command(source: str, target: str, referrers: bool, quiet: bool) -> None:
    """Copies; prints the digest reference."""
    from shipwheel.registry.copy import copy

    origin, place = parsed(source), parsed(target)
    tag = tag_of(place)
    with progress(quiet) as reporter, opened(origin, reporter) as one, opened(place, reporter) as other:
        copied = copy(one, wanted(origin), other, (tag,), reporter=reporter, referrers=referrers)
    click.echo(f"{place.name}@{copied.descriptor.digest}")
