"""Log in and out: check credentials at the registry, and store them where docker, podman and shipwheel look for them."""

import base64
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipwheel.download.http import TransientError, transient_error, translate_errors
from shipwheel.errors import FetchError
from shipwheel.registry.auth import Authorizer
from shipwheel.registry.auth_file import auth_file_paths, docker_config, edit_auths, key_for, parse_key, read_auth_file, server_names
from shipwheel.registry.credential_helpers import HelperSecret, erase_from_helper, get_from_helper, store_in_helper
from shipwheel.registry.credentials import TOKEN_USER, Credential
from shipwheel.registry.hosts import Host, client, explain_connection_error

if TYPE_CHECKING:
    import httpx

__all__ = ["namespaces_with_credentials", "remove_credentials", "store_credential", "verify_credential"]

_MAX_ATTEMPTS = 3


def verify_credential(host: Host, credential: Credential) -> bool:
    """Request the API's root with the credential (distribution-spec, end-1). Return False if the registry did not ask for one.

    Raises FetchError if the registry refuses the credential, or if there is no registry.
    """
    authorizer = Authorizer(host, credential)
    response, sent = _get_root(host, authorizer)
    # `challenged` raises when another attempt is of no use.
    while response.status_code == 401 and authorizer.challenged(response, (), sent):
        response, sent = _get_root(host, authorizer)
    status = response.status_code
    if status != 200:
        hint = "Use credentials that may access this registry." if status == 403 else "Check that the name is a registry's."
        if status == 400 and host.scheme == "http":
            # Go's servers answer so to http on an https port.
            hint = f"If it speaks TLS, put its authority's certificate into ~/.config/containers/certs.d/{host.name}/ca.crt."
        raise FetchError(f"{host.name}: {host.url}/v2/ answered {status}", hint=hint, status=status)
    return sent is not None


def _get_root(host: Host, authorizer: Authorizer) -> "tuple[httpx.Response, str | None]":
    import httpx

    sent = authorizer.header(())
    url = f"{host.url}/v2/"
    with client(host) as http:
        for attempt in range(_MAX_ATTEMPTS):
            try:
                with translate_errors(url, host.name, "Check the name of the registry."):
                    try:
                        with http.stream("GET", url, headers={"Authorization": sent} if sent else {}) as response:
                            if problem := transient_error(response):
                                raise problem
                            return response, sent
                    except httpx.NetworkError as error:
                        raise explain_connection_error(host, error) or error from None
            except TransientError as error:
                if attempt + 1 == _MAX_ATTEMPTS:
                    raise FetchError(f"cannot reach {host.url}: {error}", hint="Check the registry's name and the network.") from error
                time.sleep(min(error.retry_after or 0.5, 5.0))
    raise AssertionError("unreachable")  # pragma: no cover


def store_credential(host: Host, credential: Credential, environ: Mapping[str, str] | None = None) -> str:
    """Store a credential and return where, for the user to read.

    Uses the file that has credentials for the registry already, else docker's; a helper if the file names one.
    Raises UsageError if the file or the helper cannot be used.
    """
    environ = os.environ if environ is None else environ
    path = _file_for(host, environ)
    file = read_auth_file(path)
    secret = HelperSecret(
        TOKEN_USER if credential.identity_token else credential.username, credential.identity_token or credential.password
    )
    entry: dict[str, str] = {}
    helper = file.helper(host.name)
    if helper:
        store_in_helper(helper, server_names(host.name)[0], secret, environ, file.label)
    elif credential.identity_token:
        entry = {"auth": _base64(f"{TOKEN_USER}:"), "identitytoken": credential.identity_token}
    else:
        entry = {"auth": _base64(f"{credential.username}:{credential.password}")}
    key = key_for(host.name, path)

    def edit(auths: dict[str, Any]) -> None:
        for old in _registry_keys(auths, host):
            del auths[old]
        # docker keeps an empty entry beside a helper's secret, to know what to log out of.
        auths[key] = entry

    edit_auths(path, edit)
    return f"docker-credential-{helper}, named in {path}" if helper else str(path)


def remove_credentials(host: Host, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Remove the registry's credentials from all files and helpers, and return from which. Credentials for a namespace in it stay.

    Raises UsageError if a file or a helper cannot be used.
    """
    environ = os.environ if environ is None else environ
    removed_from = []
    for path in auth_file_paths(environ):
        file = read_auth_file(path)
        if helper := file.helper(host.name):
            for server in server_names(host.name):
                if get_from_helper(helper, server, environ, file.label):
                    erase_from_helper(helper, server, environ, file.label)
                    removed_from.append(f"docker-credential-{helper}")
        keys = _registry_keys(file.auths, host)
        if keys:

            def edit(auths: dict[str, Any], keys: tuple[str, ...] = keys) -> None:
                for key in keys:
                    auths.pop(key, None)

            edit_auths(path, edit)
            if any(file.auths[key] for key in keys):
                removed_from.append(str(path))
    return tuple(dict.fromkeys(removed_from))


def namespaces_with_credentials(host: Host, environ: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """Return (key, file) for the registry's namespaces that have credentials of their own."""
    environ = os.environ if environ is None else environ
    paths = auth_file_paths(environ)
    return tuple((key, str(path)) for path in paths for key, namespace in read_auth_file(path).keys(host.name) if namespace)


def _file_for(host: Host, environ: Mapping[str, str]) -> Path:
    paths = auth_file_paths(environ)
    for path in paths:
        # An empty entry counts: it marks a secret in a helper that this file names.
        if _registry_keys(read_auth_file(path).auths, host):
            return path
    return paths[0] if environ.get("REGISTRY_AUTH_FILE") else docker_config(environ)


def _registry_keys(auths: Mapping[str, Any], host: Host) -> tuple[str, ...]:
    return tuple(key for key in auths if parse_key(key) == (host.name, ""))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
