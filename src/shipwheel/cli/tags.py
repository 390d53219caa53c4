"""`shipwheel tags`."""

import json

import click

from shipwheel.cli.remote import opened, parsed

__all__ = ["command"]


@click.command("tags", help="List the tags of a repository.")
@click.argument("ref")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON on standard output.")
def command(ref: str, as_json: bool) -> None:
    """Prints one tag a line, in the registry's order."""
    reference = parsed(ref)
    with opened(reference) as repository:
        if as_json:
            click.echo(json.dumps({"name": reference.name, "tags": list(repository.tags())}, indent=2))
            return
        for tag in repository.tags():
            # A registry may call a tag anything: nothing that moves a terminal's cursor.
            click.echo("".join(char if char.isprintable() else "?" for char in tag))
