"""`shipwheel tags`."""

import json

import click

from shipwheel.cli.remote import open_repository, printable

__all__ = ["command"]


@click.command("tags", help="List the tags of the repository REF.")
@click.argument("ref")
@click.option("--json", "as_json", is_flag=True, help="Print the tags as JSON.")
def command(ref: str, as_json: bool) -> None:
    """Print one tag per line, in the registry's order."""
    from shipwheel.oci.reference import Reference

    reference = Reference.parse(ref)
    with open_repository(reference) as repository:
        if as_json:
            click.echo(json.dumps({"name": reference.name, "tags": list(repository.tags())}, indent=2))
            return
        for tag in repository.tags():
            click.echo(printable(tag))
