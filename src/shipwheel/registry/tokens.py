"""Bearer tokens: asked for where a registry's challenge says, with what the user has for that registry.

distribution's token authentication specification (GET, with user and password or anonymously) and its OAuth2 form (POST, with an
identity token). The address must be https, or one to which plain http may be spoken, and is asked for nobody else's challenge.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from shipwheel.download.http import TransientError, transient_error, translate_errors
from shipwheel.errors import FetchError
from shipwheel.registry.credentials import Credential
from shipwheel.registry.hosts import Host, client, explained, host_of
from shipwheel.registry.scopes import in_words

if TYPE_CHECKING:
    import httpx

__all__ = ["Token", "get_token"]

ATTEMPTS = 4
_LONGEST_WAIT = 30.0
_LARGEST = 1 << 20

_LIFETIME = 60.0
"""Seconds. "When omitted, this defaults to 60 seconds." """

_MARGIN = 10.0
"""Seconds before its end in which a token is not used any more; a fifth of its life if that is less."""

_CLIENT = "shipwheel"


@dataclass(frozen=True, slots=True)
class Token:
    """`lifetime` is how many seconds after it was asked for it may be used."""

    value: str = field(repr=False)
    lifetime: float


class _Answer(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | str | None = None

    def __repr__(self) -> str:
        return "_Answer(…)"


def get_token(
    host: Host,
    challenge: Mapping[str, str],
    scopes: Sequence[str],
    credential: Credential | None,
    pause: Callable[[float], object] = time.sleep,
) -> Token:
    """A token for these scopes at this registry, from where the parameters of its challenge say.

    Raises FetchError: with status 401 where the user is refused, 403 where he gets no token, else with that of the answer or None.
    """
    realm, server = _server(host, challenge.get("realm", ""))
    with client(server) as asked:
        request = _request(asked, realm, challenge.get("service", ""), scopes, credential)
        for attempt in range(ATTEMPTS):
            try:
                return _token(_sent(asked, request, server))
            except TransientError as problem:
                if attempt + 1 == ATTEMPTS or (problem.retry_after or 0.0) > _LONGEST_WAIT:
                    hint = "Try again later, or ask whoever runs the registry."
                    raise FetchError(f"{server.name} gives no token for {host.name}: {problem}", hint=hint) from problem
                pause((0.25 * 2**attempt if problem.retry_after is None else problem.retry_after) * random.uniform(1.0, 1.5))  # noqa: S311 - jitter
            except FetchError as error:
                raise _refusal(error, host, server, scopes, credential) from None
    raise AssertionError("unreachable")  # pragma: no cover


def _server(host: Host, realm: str) -> tuple[str, Host]:
    """The address to ask and its host; raises FetchError for one that must not be given a credential."""
    try:
        parts = urlsplit(realm)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or port == 0 or not realm.isprintable():
        raise FetchError(f"{host.name} says of no server that can be asked where tokens come from", hint=_OTHERS)
    found = host_of(parts.netloc)
    # Its own address says what is spoken there, and the name under which an engine knows it does not matter.
    server = msgspec.structs.replace(found, scheme=parts.scheme, address=parts.netloc.lower())
    if parts.scheme == "http" and (found.scheme != "http" or (server.is_loopback and not host.is_loopback)):
        raise FetchError(
            f"{host.name} wants its credentials sent to {server.url}, where anybody on the way could read them",
            hint="Nothing was sent. " + _OTHERS,
        )
    return realm.partition("#")[0], server


_OTHERS = "Ask whoever runs the registry: its `realm` must be an https address."


def _request(asked: "httpx.Client", realm: str, service: str, scopes: Sequence[str], credential: Credential | None) -> "httpx.Request":
    import httpx

    if credential and credential.identity_token:
        form = {"grant_type": "refresh_token", "refresh_token": credential.identity_token, "service": service, "client_id": _CLIENT}
        # "This query parameter should only be specified once but may contain multiple scopes".
        form |= {"scope": " ".join(scopes)} if scopes else {}
        return asked.build_request("POST", realm, data=form)
    # "This query parameter should be specified multiple times if there is more than one scope entry".
    query: list[tuple[str, Any]] = [("service", service)] if service else []
    query += [("client_id", _CLIENT), *(("scope", scope) for scope in scopes)]
    request = asked.build_request("GET", httpx.URL(realm).copy_merge_params(query))
    if credential and credential.username:
        request.headers["Authorization"] = credential.basic
    return request


def _sent(asked: "httpx.Client", request: "httpx.Request", server: Host) -> bytes:
    """One attempt. Raises TransientError, or FetchError with the status of any other answer than 200."""
    import httpx

    with translate_errors(str(request.url), server.name):
        try:
            response = asked.send(request, stream=True)
        except httpx.NetworkError as error:
            raise explained(server, error) or error from None
        try:
            if problem := transient_error(response):
                raise problem
            if response.status_code != 200:
                refused = FetchError(f"it answered {response.status_code}")
                refused.status = response.status_code
                raise refused
            data = bytearray()
            for piece in response.iter_bytes():
                data += piece
                if len(data) > _LARGEST:
                    raise FetchError("its answer has no end")
            return bytes(data)
        finally:
            response.close()


def _token(data: bytes) -> Token:
    try:
        found = msgspec.json.decode(data, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FetchError("its answer is not what a token server answers") from None
    value = found.token or found.access_token or ""
    # What goes into a header; RFC 6750 allows less.
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise FetchError("there is no token in its answer")
    try:
        lifetime = float(_LIFETIME if found.expires_in is None else found.expires_in)
    except ValueError:
        lifetime = _LIFETIME
    # `issued_at` is not looked at: it is by another clock, and a token that ends sooner than thought is renewed after a 401.
    lifetime = lifetime if 0.0 < lifetime < 1e9 else _LIFETIME
    return Token(value, lifetime - min(_MARGIN, lifetime / 5))


def _refusal(error: FetchError, host: Host, server: Host, scopes: Sequence[str], credential: Credential | None) -> FetchError:
    """In words of the user's, for what went wrong at the token server."""
    if error.hint:
        # It was said in full already: an untrusted certificate and the like.
        return error
    login = f"Log in: shipwheel login {host.name}"
    status = error.status
    if status in (400, 401) and credential:
        # OAuth2 answers 400 to a refresh token that is not valid any more (RFC 6749, 5.2).
        kind = "identity token" if credential.identity_token else f"user name and password of {credential.username!r}"
        found = FetchError(f"{host.name}: the {kind} (from {credential.origin or 'here'}) is refused by {server.url}", hint=f"{login}.")
        found.status = 401
        return found
    if status == 401:
        found = FetchError(f"{host.name} wants a user name and a password{_for(scopes)}", hint=f"{login}.")
    elif status == 403:
        who = f"user {credential.username!r}" if credential and credential.username else "this credential" if credential else "nobody"
        hint = f"Ask for the right to do that. {login} as somebody else." if credential else f"{login}."
        found = FetchError(f"{host.name} gives {who} no token{_for(scopes)} ({server.url} answered 403)", hint=hint)
    else:
        found = FetchError(f"{server.url} gives no token for {host.name}: {error.message}", hint=_OTHERS.partition(":")[0] + ".")
    found.status = status
    return found


def _for(scopes: Sequence[str]) -> str:
    words = in_words(scopes)
    return f" for {words}" if words else ""
