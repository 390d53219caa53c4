"""Authorisation at one registry: what its challenges ask for, from what the user has (RFC 9110, 11; distribution's token specification)."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shipwheel.errors import FetchError
from shipwheel.registry.challenge import Challenge, challenges
from shipwheel.registry.credentials import Credential
from shipwheel.registry.hosts import Host
from shipwheel.registry.scopes import covers, in_words, merged
from shipwheel.registry.tokens import get_token

if TYPE_CHECKING:
    import httpx

__all__ = ["Authorizer"]

_REFUSALS = 2
"""So many headers may be refused one after the other for one request: one that had expired, and the new one."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A token, what it was asked for, and until when by the monotonic clock it is used."""

    scopes: tuple[str, ...]
    header: str = field(repr=False)
    until: float


class _Turn(threading.local):
    """What this thread did since it was refused: a header that is refused at once, by the very next answer, was of no use."""

    was_refused = False
    headers = 0
    refused = 0

    def refuse(self, sent: str | None) -> tuple[int, bool]:
        """How many headers were refused one after the other, and whether the last one was made for this very request."""
        direct = self.was_refused and self.headers == 1 and sent is not None
        self.refused = (self.refused if direct else 0) + (sent is not None)
        self.was_refused, self.headers = True, 0
        return self.refused, direct


class Authorizer:
    """Gives the Authorization headers for one registry, to any number of threads; each token is asked for once.

    Each attempt at a request asks for `header` once, in the thread that calls `challenged` with it if it is refused. `credential` may be
    a function that looks for it: it is called when the registry asks who we are, and not before.
    """

    def __init__(
        self,
        host: Host,
        credential: Credential | Callable[[], Credential | None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._given = credential
        self._clock = clock
        self._lock = threading.Lock()
        self._fixed: str | None = None
        self._known: list[_Known] = []
        self._flights: dict[tuple[str, ...], threading.Lock] = {}
        self._asking = threading.Lock()
        self._asked: tuple[Credential | None] | None = None
        self._refusal: FetchError | None = None
        self._turn = _Turn()

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """The header for these scopes as far as it is known: Basic, or a token that was asked for them; None at first."""
        self._turn.headers += 1
        with self._lock:
            if self._fixed is not None:
                return self._fixed
            return next((known.header for known in reversed(self._known) if self._serves(known, scopes)), None)

    def challenged(self, response: "httpx.Response", scopes: tuple[str, ...], sent: str | None) -> bool:
        """After a 401: gets what it asks for, and says to try again. `sent` is the header that was refused.

        Raises FetchError, with its status, when it cannot be had or is refused again; UsageError when the user's settings are broken.
        """
        if not _is_own(response, self._host):
            hint = "They are this registry's alone: none were sent."
            raise _with_status(FetchError(f"{self._host.name} led to another server that wants credentials", hint=hint), 401)
        refused, direct = self._turn.refuse(sent)
        challenge = self._chosen(response)
        credential = self._credential()
        fixed = _fixed(challenge, credential)
        # RFC 6750, 3.1: "The request requires higher privileges than provided by the access token".
        hopeless = fixed is not None or challenge.parameters.get("error", "").lower() == "insufficient_scope"
        if refused >= _REFUSALS or (direct and hopeless):
            raise self._denied(scopes, credential)
        if fixed is None and challenge.scheme == "basic":
            raise self._denied(scopes, credential)
        with self._lock:
            self._fixed = fixed
            self._known = [known for known in self._known if known.header != sent]
        if fixed is None:
            self._renew(challenge, scopes, credential)
        return True

    def _chosen(self, response: "httpx.Response") -> Challenge:
        """The one that can be met: tokens before Basic, since they are good for less."""
        found = challenges(response.headers.get_list("WWW-Authenticate"))
        for scheme in ("bearer", "basic"):
            for challenge in found:
                if challenge.scheme == scheme and (scheme == "basic" or "realm" in challenge.parameters):
                    return challenge
        schemes = ", ".join(sorted({challenge.scheme[:40] for challenge in found}))
        asked = f"a kind of authorisation that shipwheel does not know: {schemes}" if schemes else "credentials, and does not say which"
        raise _with_status(FetchError(f"{self._host.name} wants {asked}", hint="Known are Basic and Bearer; ask whoever runs it."), 401)

    def _credential(self) -> Credential | None:
        with self._asking:
            if self._asked is None:
                self._asked = (self._given() if callable(self._given) else self._given,)
            return self._asked[0]

    def _serves(self, known: _Known, scopes: tuple[str, ...]) -> bool:
        return known.until > self._clock() and covers(known.scopes, scopes)

    def _renew(self, challenge: Challenge, scopes: tuple[str, ...], credential: Credential | None) -> None:
        """A token for the scopes, and for what the challenge says of it; another thread's if that was quicker."""
        wanted = merged((*scopes, *challenge.parameters.get("scope", "").split()))
        with self._lock:
            flight = self._flights.setdefault(wanted, threading.Lock())
        with flight:
            with self._lock:
                if any(self._serves(known, wanted) for known in self._known):
                    return
                if self._refusal is not None:
                    raise self._refusal
            asked = self._clock()
            try:
                token = get_token(self._host, challenge.parameters, wanted, credential)
            except FetchError as error:
                if error.status == 401 and credential:
                    # A wrong password is tried once, not once a thread: some servers then lock the account.
                    self._refusal = error
                raise
            with self._lock:
                self._known = [known for known in self._known if known.until > asked]
                self._known.append(_Known(wanted, f"Bearer {token.value}", asked + token.lifetime))

    def _denied(self, scopes: tuple[str, ...], credential: Credential | None) -> FetchError:
        """Why a 401 stays one."""
        what, name = in_words(scopes), self._host.name
        login = f"shipwheel login {name}"
        if credential is None:
            error = FetchError(f"{name} wants to know who you are{f' for {what}' if what else ''}", hint=f"Log in: {login}.")
        else:
            who = f"user {credential.username!r}" if credential.username else "a token"
            hint = f"Check the repository's name and the user's rights, or log in as somebody else: {login}."
            error = FetchError(f"{name} refuses {what or 'access'} to {who} (from {credential.origin or 'here'})", hint=hint)
        return _with_status(error, 401)


def _fixed(challenge: Challenge, credential: Credential | None) -> str | None:
    """The header that a credential is by itself, where no token is to be got with it (RFC 7617; registrytoken of docker's file)."""
    if credential is None:
        return None
    if challenge.scheme == "bearer":
        return f"Bearer {credential.registry_token}" if credential.registry_token else None
    if not credential.username or credential.identity_token or credential.registry_token:
        return None
    return credential.basic


def _is_own(response: "httpx.Response", host: Host) -> bool:
    import httpx

    asked, own = response.request.url, httpx.URL(host.url)
    return (asked.scheme, asked.host, asked.port) == (own.scheme, own.host, own.port)


def _with_status(error: FetchError, status: int) -> FetchError:
    error.status = status
    return error
