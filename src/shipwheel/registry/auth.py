"""Authorization at one registry: read its challenges, get tokens, and provide the header for every request.

Follows RFC 9110, 11 (challenges), RFC 7617 (Basic) and RFC 6750 (Bearer).
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from shipwheel.errors import FetchError, ShipwheelError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.registry.credentials import Credential
from shipwheel.registry.hosts import Host
from shipwheel.registry.tokens import covers, describe_scopes, get_token, merge_scopes

if TYPE_CHECKING:
    import httpx

__all__ = ["Authorizer", "Challenge", "parse_challenges"]

_MAX_CHALLENGE = 8 << 10
"""Characters of a WWW-Authenticate field that are parsed; the rest is ignored."""

# "token = 1*tchar". Some servers leave URLs and scopes unquoted, or omit the commas.
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - a token of the grammar
_SCHEME = lazy_pattern(rf"({_TOKEN})(?=[ \t,]|$)")
_PARAMETER = lazy_pattern(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",=][^\s",]*))(?=[ \t,]|$)', re.DOTALL)
# "token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=""
_TOKEN68 = lazy_pattern(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_ANYTHING = lazy_pattern(r"[^,]*")
_SEPARATORS = lazy_pattern(r"[ \t,]*")


class Challenge(msgspec.Struct, frozen=True):
    """One authentication scheme that a server accepts. Scheme and parameter names are in lower case; the first of two equal names wins."""

    scheme: str
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Return the challenges of all WWW-Authenticate fields of a response, in order (RFC 9110, 11.3 and 11.6.1).

    Skips what it cannot parse; never raises.
    """
    return tuple(challenge for value in values for challenge in _parse_field(value[:_MAX_CHALLENGE]))


def _parse_field(text: str) -> Iterator[Challenge]:
    position = 0
    current: tuple[str, dict[str, str]] | None = None
    while (position := _end(_SEPARATORS.match(text, position), position)) < len(text):
        if match := _PARAMETER.match(text, position):
            # Challenges and the parameters of one challenge are both separated by commas: only the equals sign tells them apart.
            if current is not None:
                quoted, bare = match[2], match[3]
                current[1].setdefault(match[1].lower(), bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
            position = match.end()
        elif match := _SCHEME.match(text, position):
            if current is not None:
                yield Challenge(*current)
            current = (match[1].lower(), {})
            position = _end(_SEPARATORS.match(text, match.end()) if text[match.end() : match.end() + 1] != "," else None, match.end())
            if not _PARAMETER.match(text, position) and (token := _TOKEN68.match(text, position)) and position > match.end():
                position = token.end()
        else:
            position = max(_end(_ANYTHING.match(text, position), position), position + 1)
    if current is not None:
        yield Challenge(*current)


def _end(match: "re.Match[str] | None", default: int) -> int:
    return default if match is None else match.end()


_ALL: tuple[str, ...] = ()
"""The key of a refusal that is for every scope."""

_MAX_REFUSALS = 2
"""Refused headers in a row before a request fails: an expired one and its replacement."""


class _CachedToken(msgspec.Struct, frozen=True):
    """A token's header, its scopes, and the time on the monotonic clock until which it is used."""

    scopes: tuple[str, ...]
    header: str
    expires: float

    def __repr__(self) -> str:
        return "_CachedToken(…)"


class _RefusalCount(threading.local):
    """This thread's refusals in a row. A header that the very next response refuses was of no use."""

    was_refused = False
    headers = 0
    count = 0

    def record(self, sent: str | None) -> tuple[int, bool]:
        """Return how many headers were refused in a row, and whether the last one was made for this very request."""
        immediate = self.was_refused and self.headers == 1 and sent is not None
        self.count = (self.count if immediate else 0) + (sent is not None)
        self.was_refused, self.headers = True, 0
        return self.count, immediate

    def reset(self) -> None:
        """Forget the refusals: the request has failed."""
        self.was_refused, self.headers, self.count = False, 0, 0


class Authorizer:
    """Provides the Authorization headers for one registry, to any number of threads. Each token is requested once.

    Call `header` once for each attempt at a request, and, in the same thread, `challenged` if the response is a 401.

    Args:
        host: the registry.
        credential: the user's credential, or a function that finds it, which is called when the registry first asks for one.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        host: Host,
        credential: Credential | Callable[[], Credential | None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._given_credential = credential
        self._clock = clock
        self._lock = threading.Lock()
        self._fixed_header: str | None = None
        self._tokens: list[_CachedToken] = []
        self._token_requests: dict[tuple[str, ...], threading.Lock] = {}
        self._credential_lock = threading.Lock()
        self._found_credential: tuple[Credential | None] | None = None
        self._credential_works = False
        self._refused_scopes: dict[tuple[str, ...], FetchError] = {}
        self._refusals = _RefusalCount()

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """Return the header for these scopes: Basic, or an unexpired token that covers them. None before the first challenge."""
        self._refusals.headers += 1
        with self._lock:
            if self._fixed_header is not None:
                return self._fixed_header
            return next((token.header for token in reversed(self._tokens) if self._is_usable(token, scopes)), None)

    def challenged(self, response: "httpx.Response", scopes: tuple[str, ...], sent: str | None) -> bool:
        """Get what a 401 response asks for, and return True: try again. `sent` is the header that was refused.

        Raises FetchError with status 401 if it cannot be obtained or is refused again, UsageError for broken credential files.
        """
        try:
            self._answer(response, scopes, sent)
        except ShipwheelError:
            # The request ends here, and its refusals do not count against this thread's next one.
            self._refusals.reset()
            raise
        return True

    def _answer(self, response: "httpx.Response", scopes: tuple[str, ...], sent: str | None) -> None:
        if not _is_from(response, self._host):
            hint = f"shipwheel sends credentials only to {self._host.name} itself."
            raise FetchError(f"{self._host.name} redirected to a server that requires credentials", hint=hint, status=401)
        refused, immediate = self._refusals.record(sent)
        challenge = self._choose(response)
        credential = self._credential()
        fixed = _fixed_header(challenge, credential)
        # RFC 6750, 3.1: "The request requires higher privileges than provided by the access token".
        final = fixed is not None or challenge.parameters.get("error", "").lower() == "insufficient_scope"
        with self._lock:
            self._tokens = [token for token in self._tokens if token.header != sent]
        if refused >= _MAX_REFUSALS or (immediate and final) or (fixed is None and challenge.scheme == "basic"):
            raise self._denied(scopes, credential)
        self._fixed_header = fixed
        if fixed is None:
            self._renew(challenge, scopes, credential)

    def _choose(self, response: "httpx.Response") -> Challenge:
        """Return the challenge to answer: Bearer before Basic, since a token allows less than a password."""
        found = parse_challenges(response.headers.get_list("WWW-Authenticate"))
        for scheme in ("bearer", "basic"):
            for challenge in found:
                if challenge.scheme == scheme and (scheme == "basic" or "realm" in challenge.parameters):
                    return challenge
        schemes = ", ".join(sorted({challenge.scheme[:40] for challenge in found}))
        what = f"an authentication scheme that shipwheel does not support: {schemes}" if schemes else "credentials without naming a scheme"
        raise FetchError(
            f"{self._host.name} requires {what}", hint="shipwheel supports Basic and Bearer. Contact the registry's operator.", status=401
        )

    def _credential(self) -> Credential | None:
        with self._credential_lock:
            if self._found_credential is None:
                given = self._given_credential
                self._found_credential = (given() if callable(given) else given,)
            return self._found_credential[0]

    def _is_usable(self, token: _CachedToken, scopes: tuple[str, ...]) -> bool:
        return token.expires > self._clock() and covers(token.scopes, scopes)

    def _renew(self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None) -> None:
        """Get a token for the scopes and the challenge's own, unless another thread just did."""
        scopes = merge_scopes((*scopes, *challenge.parameters.get("scope", "").split()))
        with self._lock:
            in_flight = self._token_requests.setdefault(scopes, threading.Lock())
        with in_flight:
            with self._lock:
                if any(self._is_usable(token, scopes) for token in self._tokens):
                    return
                refused = self._refused_scopes.get(_ALL) or self._refused_scopes.get(scopes)
                if refused is not None:
                    raise refused
            requested = self._clock()
            try:
                token = get_token(self._host, challenge.parameters, scopes, credential)
            except FetchError as error:
                if error.status == 401 and credential:
                    # Try a wrong password once, not once per thread: some servers lock the account otherwise. A password that has got a
                    # token is not wrong: some servers answer 401 for a repository that the user may not read.
                    self._refused_scopes[scopes if self._credential_works else _ALL] = error
                raise
            with self._lock:
                self._credential_works = True
                self._tokens = [cached for cached in self._tokens if cached.expires > requested]
                self._tokens.append(_CachedToken(scopes, f"Bearer {token.value}", requested + token.lifetime))

    def _denied(self, scopes: tuple[str, ...], credential: Credential | None) -> FetchError:
        """Return the error for a 401 that no header helps against."""
        words, name = describe_scopes(scopes), self._host.name
        login = f"shipwheel login {name}"
        if credential is None:
            return FetchError(f"{name} requires a login{f' for {words}' if words else ''}", hint=f"Log in: {login}.", status=401)
        user = f"user {credential.username!r}" if credential.username else "a token"
        hint = f"Check the repository's name and the user's permissions, or log in as another user: {login}."
        return FetchError(f"{name} denies {words or 'access'} to {user} (from {credential.source})", hint=hint, status=401)


def _fixed_header(challenge: Challenge, credential: Credential | None) -> str | None:
    """Return the header that needs no token: Basic (RFC 7617), or the registrytoken of docker's file. None for any other credential."""
    if credential is None:
        return None
    if challenge.scheme == "bearer":
        return f"Bearer {credential.registry_token}" if credential.registry_token else None
    if not credential.username or credential.identity_token or credential.registry_token:
        return None
    return credential.basic


def _is_from(response: "httpx.Response", host: Host) -> bool:
    import httpx

    url, own = response.request.url, httpx.URL(host.url)
    return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)
