"""Bearer tokens for a registry and their scopes.

Follows distribution's token authentication specification: GET with a user name and password or anonymously, and its OAuth2 form, POST
with an identity token.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from shipwheel.download.http import TransientError, transient_error, translate_errors
from shipwheel.errors import FetchError
from shipwheel.registry.credentials import Credential
from shipwheel.registry.hosts import Host, client, explain_connection_error, host_of

if TYPE_CHECKING:
    import httpx

__all__ = ["Token", "covers", "describe_scopes", "get_token", "merge_scopes"]

_MAX_SCOPES = 32
_MAX_SCOPE_LENGTH = 1024


def merge_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return one scope per resource with all its actions, in order of appearance: `repository:team/app:pull,push`.

    Drops malformed scopes (distribution's token scope documentation).
    """
    actions_by_resource: dict[str, dict[str, None]] = {}
    for scope in scopes:
        # Split at the last colon: a resource's name may begin with host:port.
        resource, colon, actions = scope.rpartition(":")
        valid = scope.isascii() and scope.isprintable() and not set(scope) & set(' "\\') and len(scope) <= _MAX_SCOPE_LENGTH
        if colon and actions and valid and (resource in actions_by_resource or len(actions_by_resource) < _MAX_SCOPES):
            actions_by_resource.setdefault(resource, {}).update(dict.fromkeys(filter(None, actions.split(","))))
    return tuple(f"{resource}:{','.join(actions)}" for resource, actions in actions_by_resource.items())


def covers(granted: Iterable[str], requested: Iterable[str]) -> bool:
    """Return whether the granted scopes include every requested one."""
    granted_actions = {resource: set(actions.split(",")) for resource, _, actions in (scope.rpartition(":") for scope in granted)}
    requests = (scope.rpartition(":") for scope in merge_scopes(requested))
    return all(set(actions.split(",")) <= granted_actions.get(resource, set()) for resource, _, actions in requests)


def describe_scopes(scopes: Iterable[str]) -> str:
    """Return scopes as words for a message (`pull and push of team/app`), empty for no scope."""
    parts = []
    for scope in merge_scopes(scopes):
        resource, _, actions = scope.rpartition(":")
        parts.append(f"{' and '.join(actions.split(','))} of {resource.partition(':')[2] or resource}")
    return ", ".join(parts)[:300]


_MAX_ATTEMPTS = 4
_MAX_WAIT_S = 30.0
_MAX_TOKEN_RESPONSE = 1 << 20

_DEFAULT_LIFETIME_S = 60.0
"""The specification's default where a server names no lifetime."""

_EXPIRY_MARGIN_S = 10.0
"""A token is no longer used this long before it expires, or in the last fifth of its lifetime if that is shorter."""

_CLIENT_ID = "shipwheel"
_CONTACT_OPERATOR = "Contact the registry's operator"


class Token(msgspec.Struct, frozen=True):
    """A bearer token. Use it for `lifetime` seconds from the moment it was requested."""

    value: str
    lifetime: float

    def __repr__(self) -> str:
        return "Token(…)"


class _TokenResponse(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | str | None = None

    def __repr__(self) -> str:
        return "_TokenResponse(…)"


def get_token(
    host: Host,
    challenge: Mapping[str, str],
    scopes: Sequence[str],
    credential: Credential | None,
    pause: Callable[[float], object] = time.sleep,
) -> Token:
    """Request a token for these scopes from the server that the challenge's parameters name.

    Raises FetchError with status 401 if the credential is refused, 403 if the user gets no token, else with the response's status or None.
    """
    realm, server = _token_server(host, challenge.get("realm", ""))
    with client(server) as http:
        request = _token_request(http, realm, challenge.get("service", ""), scopes, credential)
        for attempt in range(_MAX_ATTEMPTS):
            try:
                return _parse_token(_send(http, request, server))
            except TransientError as error:
                if attempt + 1 == _MAX_ATTEMPTS or (error.retry_after or 0.0) > _MAX_WAIT_S:
                    hint = f"Try again later. {_CONTACT_OPERATOR} if it goes on."
                    raise FetchError(f"{server.name} issued no token for {host.name}: {error}", hint=hint) from error
                pause((0.25 * 2**attempt if error.retry_after is None else error.retry_after) * random.uniform(1.0, 1.5))  # noqa: S311
            except FetchError as error:
                raise _token_error(error, host, server, scopes, credential) from None
    raise AssertionError("unreachable")  # pragma: no cover


def _token_server(host: Host, realm: str) -> tuple[str, Host]:
    """Return the token server's URL and host. Raises FetchError for a URL that must not get a credential.

    The URL must be https, or name a host to which plain http is allowed.
    """
    try:
        parts = urlsplit(realm)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    hint = f"{_CONTACT_OPERATOR}: the challenge's `realm` must be an https URL."
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or port == 0 or not realm.isprintable():
        raise FetchError(f"{host.name} names no valid token server in its challenge", hint=hint)
    configured = host_of(parts.netloc)
    # The URL decides scheme and address, even where an engine knows the same server under another name.
    server = msgspec.structs.replace(configured, scheme=parts.scheme, address=parts.netloc.lower())
    if parts.scheme == "http" and (configured.scheme != "http" or (server.is_loopback and not host.is_loopback)):
        raise FetchError(f"{host.name} wants credentials sent to {server.url} without encryption", hint=f"shipwheel sent nothing. {hint}")
    return realm.partition("#")[0], server


def _token_request(http: "httpx.Client", realm: str, service: str, scopes: Sequence[str], credential: Credential | None) -> "httpx.Request":
    import httpx

    if credential and credential.identity_token:
        form = {"grant_type": "refresh_token", "refresh_token": credential.identity_token, "service": service, "client_id": _CLIENT_ID}
        # "This query parameter should only be specified once but may contain multiple scopes".
        form |= {"scope": " ".join(scopes)} if scopes else {}
        return http.build_request("POST", realm, data=form)
    # "This query parameter should be specified multiple times if there is more than one scope entry".
    query: list[tuple[str, Any]] = [("service", service)] if service else []
    query += [("client_id", _CLIENT_ID), *(("scope", scope) for scope in scopes)]
    request = http.build_request("GET", httpx.URL(realm).copy_merge_params(query))
    if credential and credential.username:
        request.headers["Authorization"] = credential.basic
    return request


def _send(http: "httpx.Client", request: "httpx.Request", server: Host) -> bytes:
    """Send the request once. Raises TransientError, or FetchError with the status for any status but 200."""
    import httpx

    with translate_errors(str(request.url), server.name):
        try:
            response = http.send(request, stream=True)
        except httpx.NetworkError as error:
            raise explain_connection_error(server, error) or error from None
        try:
            if problem := transient_error(response):
                raise problem
            if response.status_code != 200:
                raise FetchError(f"status {response.status_code}", status=response.status_code)
            data = bytearray()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > _MAX_TOKEN_RESPONSE:
                    raise FetchError(f"more than {_MAX_TOKEN_RESPONSE >> 20} MiB")
            return bytes(data)
        finally:
            response.close()


def _parse_token(data: bytes) -> Token:
    try:
        response = msgspec.json.decode(data, type=_TokenResponse)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FetchError("the response is not a token server's") from None
    value = response.token or response.access_token or ""
    # It goes into a header; RFC 6750 allows even fewer characters.
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise FetchError("the response holds no valid token")
    try:
        lifetime = float(_DEFAULT_LIFETIME_S if response.expires_in is None else response.expires_in)
    except ValueError:
        lifetime = _DEFAULT_LIFETIME_S
    # `issued_at` is ignored since it is by the server's clock. A token that expires early is renewed after a 401.
    lifetime = lifetime if 0.0 < lifetime < 1e9 else _DEFAULT_LIFETIME_S
    return Token(value, lifetime - min(_EXPIRY_MARGIN_S, lifetime / 5))


def _token_error(error: FetchError, host: Host, server: Host, scopes: Sequence[str], credential: Credential | None) -> FetchError:
    """Return the error to show for a failed token request."""
    if error.hint:
        # It is complete already: an untrusted certificate, for example.
        return error
    login = f"Log in: shipwheel login {host.name}"
    status = error.status
    words = describe_scopes(scopes)
    purpose = f" for {words}" if words else ""
    if status in (400, 401) and credential:
        # OAuth2 answers 400 to a refresh token that has expired (RFC 6749, 5.2).
        kind = "identity token" if credential.identity_token else f"user name and password of {credential.username!r}"
        what = f"{host.name}: {server.url} refuses the {kind} (from {credential.source})"
        return FetchError(what, hint=f"{login}.", status=401)
    if status == 401:
        return FetchError(f"{host.name} requires a user name and password{purpose}", hint=f"{login}.", status=status)
    if status == 403:
        user = (
            f"user {credential.username!r}"
            if credential and credential.username
            else "this credential"
            if credential
            else "anonymous users"
        )
        hint = f"Ask for access. {login} as another user." if credential else f"{login}."
        return FetchError(f"{host.name} issues no token to {user}{purpose} ({server.url} answered 403)", hint=hint, status=status)
    return FetchError(f"{server.url} issued no token for {host.name}: {error.message}", hint=f"{_CONTACT_OPERATOR}.", status=status)
