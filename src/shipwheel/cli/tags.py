"""`shipwheel tags`."""

import click

from shipwheel.cli.command import Command
from shipwheel.cli.remote import open_repository, remote_reference
from shipwheel.cli.terminal import Terminal

__all__ = ["command"]


@click.command("tags", cls=Command, help="List the tags of the repository REF.", examples=("shipwheel tags registry.example/team/hello",))
@click.argument("ref")
def command(terminal: Terminal, ref: str) -> None:
    """Print one tag per line, in the registry's order."""

    reference = remote_reference(ref)
    with open_repository(reference, terminal.report) as repository:
        terminal.result(lambda: {"name": reference.name, "tags": list(repository.tags())}, repository.tags())
