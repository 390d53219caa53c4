"""`shipwheel login`."""

import os
import sys

import click

from shipwheel.cli.command import Command
from shipwheel.cli.terminal import Terminal

__all__ = ["command", "registry_named"]


@click.command(
    "login",
    cls=Command,
    help="Check credentials at the registry HOST, and save them where docker, podman and shipwheel find them.",
    examples=(
        "shipwheel login registry.example",
        "shipwheel login registry.example --username ann --password-stdin < token.txt",
    ),
)
@click.argument("host", required=False)
@click.option("-u", "--username", metavar="USER", help="User name; prompted for if not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password or access token from standard input.")
def command(terminal: Terminal, host: str | None, username: str | None, password_stdin: bool) -> None:
    """Print where the credentials were saved: in the credential helper that docker's or podman's file names, else in that file."""
    from shipwheel.registry.credentials import Credential, credential_from_environment
    from shipwheel.registry.hosts import host_of
    from shipwheel.registry.login import store_credential, verify_credential

    registry = host_of(registry_named(host))
    credential = Credential.from_secret(*_read_credentials(terminal, registry.name, username, password_stdin))
    checked = verify_credential(registry, credential)
    location = store_credential(registry, credential)
    terminal.result(
        lambda: {"registry": registry.name, "location": location, "checked": checked},
        [f"Logged in to {registry.name}; the credentials are in {location}."],
    )
    if not checked:
        terminal.warn(f"{registry.name} answers without credentials, so these could not be checked")
    if credential_from_environment(registry, os.environ):
        terminal.warn("SHIPWHEEL_REGISTRY_USER is set and takes precedence over them")


def registry_named(host: str | None) -> str | None:
    """Return the host of a registry, written with or without https://. Raise UsageError for anything more than a host."""
    from shipwheel.errors import UsageError
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.hosts import canonical_registry

    if host is None:
        return None
    scheme, mark, rest = host.rpartition("://")
    bare = rest.rstrip("/")
    if (mark and scheme.lower() not in ("http", "https")) or any(sign in bare for sign in "/@?#") or not bare:
        # The message does not repeat it: it may hold a password.
        raise UsageError("this is not the name of a registry", hint="Write host or host:port, without a user, a path or a tag.")
    name = canonical_registry(bare)
    # The port makes a name without a dot a host as well.
    Reference.parse(f"{name if ':' in name else f'{name}:443'}/x")
    return name


def _read_credentials(terminal: Terminal, name: str, username: str | None, password_stdin: bool) -> tuple[str, str]:
    from shipwheel.errors import UsageError

    if password_stdin and username is None:
        raise UsageError("--password-stdin needs --username", hint="Write: shipwheel login HOST --username USER --password-stdin.")
    if not password_stdin and not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask for a password", hint=f"Write: shipwheel login {name} --username USER --password-stdin < FILE."
        )
    if username is None:
        username = terminal.ask("Username")
    # The final newline belongs to the file, not to the password.
    password = sys.stdin.read().removesuffix("\n").removesuffix("\r") if password_stdin else terminal.ask("Password", hidden=True)
    if not username or ":" in username or not username.isprintable():
        raise UsageError("this is not a user name", hint="A user name is not empty and has no colon (RFC 7617).")
    if not password or not password.isprintable():
        raise UsageError("the password is empty or contains control characters", hint="Give it on one line.")
    return username, password
