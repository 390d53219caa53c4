"""`shipwheel logout`."""

import os

import click

from shipwheel.cli.login import registry_named

__all__ = ["command"]


@click.command("logout", help="Remove the credentials of the registry HOST from docker's and podman's files and credential helpers.")
@click.argument("host", required=False)
def command(host: str | None) -> None:
    """Print where the credentials were removed from. Having none is no error."""
    from shipwheel.registry.credentials import credential_from_environment
    from shipwheel.registry.hosts import host_of
    from shipwheel.registry.login import namespaces_with_credentials, remove_credentials

    registry = host_of(registry_named(host))
    locations = remove_credentials(registry)
    if locations:
        click.echo(f"Logged out of {registry.name}; the credentials were removed from {' and '.join(locations)}.")
    else:
        click.echo(f"There are no credentials for {registry.name}.")
    for key, path in namespaces_with_credentials(registry):
        click.echo(f"note: {path} still has credentials for {key}", err=True)
    if credential_from_environment(registry, os.environ):
        click.echo("note: SHIPWHEEL_REGISTRY_USER is still set for it", err=True)
