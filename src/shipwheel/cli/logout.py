"""`shipwheel logout`."""

import os

import click

from shipwheel.cli.command import Command
from shipwheel.cli.login import registry_named
from shipwheel.cli.terminal import Terminal

__all__ = ["command"]


@click.command(
    "logout",
    cls=Command,
    help="Remove the credentials of the registry HOST from docker's and podman's files and credential helpers.",
    examples=("shipwheel logout registry.example",),
)
@click.argument("host", required=False)
def command(terminal: Terminal, host: str | None) -> None:
    """Print where the credentials were removed from. Having none is no error."""
    from shipwheel.registry.credentials import credential_from_environment
    from shipwheel.registry.hosts import host_of
    from shipwheel.registry.login import namespaces_with_credentials, remove_credentials

    registry = host_of(registry_named(host))
    locations = remove_credentials(registry)
    terminal.result(
        lambda: {"registry": registry.name, "locations": list(locations)},
        [
            f"Logged out of {registry.name}; the credentials were removed from {' and '.join(locations)}."
            if locations
            else f"There are no credentials for {registry.name}."
        ],
    )
    for key, path in namespaces_with_credentials(registry):
        terminal.note(f"note: {path} still has credentials for {key}")
    if credential_from_environment(registry, os.environ):
        terminal.note("note: SHIPWHEEL_REGISTRY_USER is still set for it")
