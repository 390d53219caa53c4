"""The user's credential for a registry: from the environment, from docker's and podman's files, and from the credential helpers these name.

The first of these that has one wins:

1. SHIPWHEEL_REGISTRY_USER and SHIPWHEEL_REGISTRY_PASSWORD, for the registry in SHIPWHEEL_REGISTRY_HOST only;
2. DOCKER_AUTH_CONFIG, the text of a config.json, for any number of registries;
3. REGISTRY_AUTH_FILE only if it is set, else podman's ${XDG_RUNTIME_DIR}/containers/auth.json and ~/.config/containers/auth.json,
   and docker's config.json in DOCKER_CONFIG or ~/.docker. In each: the registry's credHelpers, credsStore, auths.
"""

import base64
import os
from collections.abc import Mapping

import msgspec

from shipwheel.errors import UsageError
from shipwheel.registry.auth_file import AuthFile, AuthFileEntry, auth_file_paths, parse_auth_file, read_auth_file, server_names
from shipwheel.registry.credential_helpers import get_from_helper
from shipwheel.registry.hosts import Host, canonical_registry

__all__ = ["TOKEN_USER", "Credential", "credential_for", "credential_from_environment"]

TOKEN_USER = "<token>"  # noqa: S105 - a user name
"""The user name under which docker and its helpers store an identity token."""

_HOST, _USER, _PASSWORD = "SHIPWHEEL_REGISTRY_HOST", "SHIPWHEEL_REGISTRY_USER", "SHIPWHEEL_REGISTRY_PASSWORD"
_CONFIG_TEXT = "DOCKER_AUTH_CONFIG"


class Credential(msgspec.Struct, frozen=True):
    """A user name and password, an identity token (it gets bearer tokens), or a registry token (it is a bearer token).

    `source` says where it came from, for messages.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    source: str = "the command line"

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, source={self.source!r})"

    @classmethod
    def from_secret(cls, username: str, secret: str, source: str = "the command line") -> "Credential":
        """Return a credential from what docker stores: for the user name `<token>` the secret is an identity token."""
        if username == TOKEN_USER:
            return cls(identity_token=secret, source=source)
        return cls(username, secret, source=source)

    @property
    def basic(self) -> str:
        """The Authorization header of user name and password, in UTF-8 (RFC 7617)."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode('utf-8', 'surrogateescape')).decode()}"


def credential_for(host: Host, repository: str, environ: Mapping[str, str] | None = None) -> Credential | None:
    """Return the user's credential for a repository of this registry, None without one. May run a credential helper.

    Raises UsageError for an incomplete setting, a broken file, and a helper that is missing or fails.
    """
    environ = os.environ if environ is None else environ
    credential = credential_from_environment(host, environ)
    if credential is None and (text := environ.get(_CONFIG_TEXT)):
        credential = _from_file(parse_auth_file(text.encode("utf-8", "surrogateescape"), _CONFIG_TEXT), host, repository, environ)
    for path in () if credential else auth_file_paths(environ):
        credential = _from_file(read_auth_file(path), host, repository, environ)
        if credential:
            break
    return credential


def credential_from_environment(host: Host, environ: Mapping[str, str]) -> Credential | None:
    """Return the credential in the SHIPWHEEL_REGISTRY_* variables if it is for this registry.

    Raises UsageError if only some of the three variables are set.
    """
    values = {name: environ.get(name, "") for name in (_HOST, _USER, _PASSWORD)}
    unset = [name for name, value in values.items() if not value]
    if len(unset) == len(values):
        return None
    if unset:
        raise UsageError(
            f"{' and '.join(name for name in values if name not in unset)} set without {' and '.join(unset)}",
            hint=f"Set all three. shipwheel sends the password only to the registry in {_HOST} (host or host:port).",
        )
    if canonical_registry(values[_HOST]) != host.name:
        return None
    return Credential.from_secret(values[_USER], values[_PASSWORD], f"{_USER} and {_PASSWORD}")


def _from_file(file: AuthFile, host: Host, repository: str, environ: Mapping[str, str]) -> Credential | None:
    if helper := file.helper(host.name):
        for server in server_names(host.name):
            if secret := get_from_helper(helper, server, environ, file.label):
                return Credential.from_secret(secret.username, secret.secret, f"docker-credential-{helper}")
    entry = file.entry(host.name, host.repository(repository))
    return _from_entry(entry, file.label) if entry else None


def _from_entry(entry: AuthFileEntry, source: str) -> Credential:
    user, password = entry.login(source)
    if entry.identitytoken or entry.registrytoken:
        return Credential(user, "", entry.identitytoken or "", entry.registrytoken or "", source)
    return Credential.from_secret(user, password, source)
