"""Logging in and out: credentials are tried at the registry, and kept where docker, podman and we find them again."""

import base64
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipwheel.download.http import TransientError, transient_error, translate_errors
from shipwheel.errors import FetchError
from shipwheel.registry import helpers
from shipwheel.registry.auth import Authorizer
from shipwheel.registry.auth_file import auth_files, change, docker_config, key_for, place_of, read, servers
from shipwheel.registry.credentials import TOKEN_USER, Credential
from shipwheel.registry.hosts import Host, client, explained

if TYPE_CHECKING:
    import httpx

__all__ = ["forget", "keep", "namespaces", "tried"]

_ATTEMPTS = 3


def tried(host: Host, credential: Credential) -> bool:
    """Asks the registry's first page (distribution-spec, end-1) with the credential; False when it wants none, so that nothing is known.

    Raises FetchError when the credential is refused, or when there is no registry.
    """
    authorizer = Authorizer(host, credential)
    response, sent = _first_page(host, authorizer)
    # `challenged` raises when it is of no use to try again.
    while response.status_code == 401 and authorizer.challenged(response, (), sent):
        response, sent = _first_page(host, authorizer)
    status = response.status_code
    if status != 200:
        hint = "The credentials may not use it." if status == 403 else "Check the name: is there a registry?"
        if status == 400 and host.scheme == "http":
            # What Go's servers answer to http on a port for https.
            hint = f"If it speaks TLS, put its authority's certificate into ~/.config/containers/certs.d/{host.name}/ca.crt."
        error = FetchError(f"{host.name}: {host.url}/v2/ answered {status}", hint=hint)
        error.status = status
        raise error
    return sent is not None


def _first_page(host: Host, authorizer: Authorizer) -> "tuple[httpx.Response, str | None]":
    import httpx

    sent = authorizer.header(())
    url = f"{host.url}/v2/"
    with client(host) as asked:
        for attempt in range(_ATTEMPTS):
            try:
                with translate_errors(url, host.name, "Check the name of the registry."):
                    try:
                        with asked.stream("GET", url, headers={"Authorization": sent} if sent else {}) as response:
                            if problem := transient_error(response):
                                raise problem
                            return response, sent
                    except httpx.NetworkError as error:
                        raise explained(host, error) or error from None
            except TransientError as problem:
                if attempt + 1 == _ATTEMPTS:
                    raise FetchError(
                        f"{host.url} cannot be asked: {problem}", hint="Check the registry's name and the network."
                    ) from problem
                time.sleep(min(problem.retry_after or 0.5, 5.0))
    raise AssertionError("unreachable")  # pragma: no cover


def keep(host: Host, credential: Credential, environ: Mapping[str, str] | None = None) -> str:
    """Stores it and says where: in the file that has one for the registry already, else in docker's; through its helper if it names one.

    Raises UsageError when the file or the helper cannot be used.
    """
    environ = os.environ if environ is None else environ
    path = _chosen(host, environ)
    file = read(path)
    secret = helpers.Secret(
        TOKEN_USER if credential.identity_token else credential.username, credential.identity_token or credential.password
    )
    entry: dict[str, str] = {}
    helper = file.helper(host.name)
    if helper:
        helpers.keep(helper, servers(host.name)[0], secret, environ, file.origin)
    elif credential.identity_token:
        entry = {"auth": _base64(f"{TOKEN_USER}:"), "identitytoken": credential.identity_token}
    else:
        entry = {"auth": _base64(f"{credential.username}:{credential.password}")}
    key = key_for(host.name, path)

    def edit(auths: dict[str, Any]) -> None:
        for old in _own(auths, host):
            del auths[old]
        # Beside a helper docker keeps an empty entry, by which it knows what to log out of.
        auths[key] = entry

    change(path, edit)
    return f"docker-credential-{helper}, as {path} says" if helper else str(path)


def forget(host: Host, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Removes the registry's credentials from every place in which they are looked for, and says from which.

    What is for a namespace in it (`host/team`) stays. Raises UsageError when a file or a helper cannot be used.
    """
    environ = os.environ if environ is None else environ
    places = []
    for path in auth_files(environ):
        file = read(path)
        if helper := file.helper(host.name):
            for server in servers(host.name):
                if helpers.ask(helper, server, environ, file.origin):
                    helpers.erase(helper, server, environ, file.origin)
                    places.append(f"docker-credential-{helper}")
        own = _own(file.auths, host)
        if own:

            def edit(auths: dict[str, Any], own: tuple[str, ...] = own) -> None:
                for key in own:
                    auths.pop(key, None)

            change(path, edit)
            if any(file.auths[key] for key in own):
                places.append(str(path))
    return tuple(dict.fromkeys(places))


def namespaces(host: Host, environ: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """(key, file) of the namespaces in the registry that have credentials of their own."""
    environ = os.environ if environ is None else environ
    return tuple((key, str(path)) for path in auth_files(environ) for key, inside in read(path).keys(host.name) if inside)


def _chosen(host: Host, environ: Mapping[str, str]) -> Path:
    files = auth_files(environ)
    for path in files:
        # Not only what has a secret: an empty entry says that a helper of this file has it.
        if _own(read(path).auths, host):
            return path
    return files[0] if environ.get("REGISTRY_AUTH_FILE") else docker_config(environ)


def _own(auths: Mapping[str, Any], host: Host) -> tuple[str, ...]:
    return tuple(key for key in auths if place_of(key) == (host.name, ""))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
