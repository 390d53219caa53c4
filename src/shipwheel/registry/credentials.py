"""Who we are to a registry: from the environment, from docker's and podman's files, and from the credential helpers that these name.

In this order; the first that has something counts:

1. SHIPWHEEL_REGISTRY_USER and SHIPWHEEL_REGISTRY_PASSWORD, for the registry that SHIPWHEEL_REGISTRY_HOST names and no other;
2. DOCKER_AUTH_CONFIG, the text of a config.json, for as many registries as wanted;
3. REGISTRY_AUTH_FILE alone if it is set, else podman's ${XDG_RUNTIME_DIR}/containers/auth.json and ~/.config/containers/auth.json,
   and docker's config.json in DOCKER_CONFIG or ~/.docker. In each: the registry's credHelpers, credsStore, auths.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from shipwheel.errors import UsageError
from shipwheel.registry.auth_file import AuthFile, Entry, auth_files, decode, read, servers
from shipwheel.registry.helpers import ask
from shipwheel.registry.hosts import Host, same_registry

__all__ = ["TOKEN_USER", "Credential", "credentials_for", "from_environment"]

TOKEN_USER = "<token>"  # noqa: S105 - docker's user name for what is no password but an identity token
"""The user name under which docker and its helpers keep an identity token."""

_HOST, _USER, _PASSWORD = "SHIPWHEEL_REGISTRY_HOST", "SHIPWHEEL_REGISTRY_USER", "SHIPWHEEL_REGISTRY_PASSWORD"
_FILE = "DOCKER_AUTH_CONFIG"


@dataclass(frozen=True, slots=True)
class Credential:
    """User name and password, or an identity token (it gets tokens), or a registry token (it is one). `origin` says where it is from."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    origin: str = ""

    @classmethod
    def of(cls, username: str, secret: str, origin: str = "") -> "Credential":
        """As docker keeps it: under one user name the secret is an identity token."""
        if username == TOKEN_USER:
            return cls(identity_token=secret, origin=origin)
        return cls(username, secret, origin=origin)

    @property
    def basic(self) -> str:
        """The header of user name and password (RFC 7617), in UTF-8."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode('utf-8', 'surrogateescape')).decode()}"


def credentials_for(host: Host, repository: str, environ: Mapping[str, str] | None = None) -> Credential | None:
    """What the user has for a repository of this registry, None when there is nothing. May start a program and wait for it.

    Raises UsageError for half a setting, a broken file, a helper that is missing or fails.
    """
    environ = os.environ if environ is None else environ
    found = from_environment(host, environ)
    if found is None and (text := environ.get(_FILE)):
        found = _from_file(decode(text.encode("utf-8", "surrogateescape"), _FILE), host, repository, environ)
    for path in () if found else auth_files(environ):
        found = _from_file(read(path), host, repository, environ)
        if found:
            break
    return found


def from_environment(host: Host, environ: Mapping[str, str]) -> Credential | None:
    """What the variables for CI say about this registry; raises UsageError when one of the three is missing."""
    values = {name: environ.get(name, "") for name in (_HOST, _USER, _PASSWORD)}
    lacking = [name for name, value in values.items() if not value]
    if len(lacking) == len(values):
        return None
    if lacking:
        raise UsageError(
            f"{' and '.join(name for name in values if name not in lacking)} without {' and '.join(lacking)}",
            hint=f"Set all three: the password is sent to the registry that {_HOST} names (host, or host:port) and to no other.",
        )
    if same_registry(values[_HOST]) != host.name:
        return None
    return Credential.of(values[_USER], values[_PASSWORD], f"{_USER} and {_PASSWORD}")


def _from_file(file: AuthFile, host: Host, repository: str, environ: Mapping[str, str]) -> Credential | None:
    if helper := file.helper(host.name):
        for server in servers(host.name):
            if found := ask(helper, server, environ, file.origin):
                return Credential.of(found.username, found.secret, f"docker-credential-{helper}")
    entry = file.entry(host.name, host.repository(repository))
    return _from_entry(entry, file.origin) if entry else None


def _from_entry(entry: Entry, origin: str) -> Credential:
    user, password = entry.login(origin)
    if entry.identitytoken or entry.registrytoken:
        return Credential(user, "", entry.identitytoken or "", entry.registrytoken or "", origin)
    return Credential.of(user, password, origin)
