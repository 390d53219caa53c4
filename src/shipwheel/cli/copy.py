"""`shipwheel copy`."""

import click

from shipwheel.cli.command import Command
from shipwheel.cli.remote import reference_document, remote_reference
from shipwheel.cli.terminal import Terminal

__all__ = ["command"]


@click.command(
    "copy",
    cls=Command,
    help="Copy an image, for all its platforms, from SOURCE to TARGET. No digest changes.",
    examples=("shipwheel copy registry.example/team/hello:1 registry.example/production/hello:1",),
)
@click.argument("source")
@click.argument("target")
@click.option("--referrers", is_flag=True, help="Also copy attestations, signatures and other artifacts that refer to the image.")
def command(terminal: Terminal, source: str, target: str, referrers: bool) -> None:
    """Copy; print the digest reference."""
    from shipwheel.api import copy

    for text in (source, target):
        remote_reference(text)
    copied = copy(source, target, referrers=referrers, reporter=terminal.report)
    terminal.result(lambda: reference_document(copied), [copied])
