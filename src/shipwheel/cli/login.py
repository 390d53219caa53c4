"""`shipwheel login`."""

import os
import sys

import click

__all__ = ["command", "registry_named"]


@click.command("login", help="Check credentials at the registry HOST, and keep them where docker, podman and shipwheel find them.")
@click.argument("host", required=False)
@click.option("-u", "--username", metavar="USER", help="The user's name; asked for when it is not given.")
@click.option("--password-stdin", is_flag=True, help="Read the password, or an access token, from standard input.")
def command(host: str | None, username: str | None, password_stdin: bool) -> None:
    """Prints where the credentials are kept: a credential helper if docker's or podman's file names one, else that file."""
    from shipwheel.registry.credentials import Credential, from_environment
    from shipwheel.registry.hosts import host_of
    from shipwheel.registry.logins import keep, tried

    registry = host_of(registry_named(host))
    credential = Credential.of(*_asked(registry.name, username, password_stdin))
    checked = tried(registry, credential)
    place = keep(registry, credential)
    click.echo(f"Logged in to {registry.name}; the credentials are in {place}.")
    if not checked:
        click.echo(f"warning: {registry.name} answers without credentials, so these could not be checked.", err=True)
    if from_environment(registry, os.environ):
        click.echo("warning: the environment's SHIPWHEEL_REGISTRY_USER still counts before them.", err=True)


def registry_named(host: str | None) -> str | None:
    """A registry as users write it, with or without https://; raises UsageError for what is more than a host."""
    from shipwheel.errors import UsageError
    from shipwheel.oci.reference import Reference
    from shipwheel.registry.hosts import same_registry

    if host is None:
        return None
    scheme, mark, rest = host.rpartition("://")
    bare = rest.rstrip("/")
    if (mark and scheme.lower() not in ("http", "https")) or any(sign in bare for sign in "/@?#") or not bare:
        # Not repeated: it may have a password in it.
        raise UsageError("this is not the name of a registry", hint="Write host or host:port, without a user, a path or a tag.")
    name = same_registry(bare)
    # With a port, so that a host without a dot is read as one too.
    Reference.parse(f"{name if ':' in name else f'{name}:443'}/x")
    return name


def _asked(name: str, username: str | None, password_stdin: bool) -> tuple[str, str]:
    from shipwheel.errors import UsageError

    terminal = sys.stdin.isatty()
    if password_stdin and username is None:
        raise UsageError("--password-stdin needs --username", hint="Write: shipwheel login HOST --username USER --password-stdin.")
    if not password_stdin and not terminal:
        raise UsageError(
            "there is no terminal to ask for a password", hint=f"Write: shipwheel login {name} --username USER --password-stdin < FILE."
        )
    if username is None:
        username = click.prompt("Username", err=True)
    if password_stdin:
        # One line's end is the file's, not the password's.
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    else:
        password = click.prompt("Password", hide_input=True, err=True)
    if not username or ":" in username or not username.isprintable():
        raise UsageError("this is not a user name", hint="A user name is not empty and has no colon in it (RFC 7617).")
    if not password or not password.isprintable():
        raise UsageError("the password is empty, or has control characters in it", hint="Give it on one line.")
    return username, password
