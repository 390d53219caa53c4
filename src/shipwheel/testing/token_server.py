"""A token server on the loopback interface, and a page that wants its tokens or a password: for our tests and users' tests.

distribution's token authentication specification: GET with Basic or without, POST with an identity token. Tokens are opaque words that
the server remembers, or what `sign` makes of their claims, for a real registry that trusts its certificate.
"""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from shipwheel.testing.loopback import Handler, Loopback

__all__ = ["Asked", "TokenServer"]

SERVICE = "registry of the tests"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came. `fields` are those of the query or the form, in their order; `authorization` is the header."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]
    authorization: str


@dataclass
class TokenServer(Loopback):
    """Tokens at /token, and at /v2/ a registry's first page that wants one, or a password where `basic` is set.

    `users` are names with their passwords, `identities` identity tokens with the user's name. `rights` are scopes that users have, None:
    all; anonymous ones are the user "". `statuses` are answered first, one a request for a token. `lifetime` in seconds is said and
    not kept to: `revoke` ends tokens. `sign` makes a token of claims (a JWT's: iss, sub, aud, exp, nbf, iat, access).
    """

    users: Mapping[str, str] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
    rights: Mapping[str, set[str]] | None = None
    basic: bool = False
    anonymous: bool = False
    lifetime: int | None = 300
    statuses: list[int] = field(default_factory=list)
    sign: Callable[[dict[str, Any]], str] | None = None
    service: str = SERVICE

    def __post_init__(self) -> None:
        super().__init__(_Handler)
        self.asked: list[Asked] = []
        self._tokens: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    @property
    def realm(self) -> str:
        """Where tokens are asked for."""
        return f"http://{self.host}/token"

    @property
    def token_requests(self) -> list[Asked]:
        """What came to /token."""
        return [asked for asked in self.asked if asked.path == "/token"]

    def revoke(self) -> None:
        """Ends all tokens that were given so far."""
        with self._lock:
            self._tokens.clear()

    def user_of(self, asked: Asked) -> str | None:
        """Who asks: "" for nobody, None for somebody with a wrong secret."""
        if asked.method == "POST":
            return self.identities.get(dict(asked.fields).get("refresh_token", ""))
        if not asked.authorization:
            return ""
        name, _, password = base64.b64decode(asked.authorization.removeprefix("Basic ")).decode().partition(":")
        return name if self.users.get(name) == password else None

    def token_for(self, user: str, scopes: list[str]) -> dict[str, Any]:
        """The answer: a token for those of the scopes that the user has."""
        wanted = {f"{resource}:{action}" for resource, _, actions in (s.rpartition(":") for s in scopes) for action in actions.split(",")}
        granted = wanted if self.rights is None else wanted & self.rights.get(user, set())
        token = self._signed(user, granted) if self.sign else secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = granted
        return {"token": token} | ({} if self.lifetime is None else {"expires_in": self.lifetime})

    def takes(self, authorization: str, scope: str = "") -> bool:
        """Whether a header is good for `repository:name:action`, or for the first page."""
        with self._lock:
            granted = self._tokens.get(authorization.removeprefix("Bearer "))
        return granted is not None and (not scope or scope in granted)

    def challenge(self, scope: str = "") -> str:
        """The WWW-Authenticate header of a refusal."""
        if self.basic:
            return 'Basic realm="tests"'
        return f'Bearer realm="{self.realm}",service="{self.service}"' + (f',scope="{scope}"' if scope else "")

    def _signed(self, user: str, granted: set[str]) -> str:
        assert self.sign is not None  # noqa: S101 - its caller looked
        access: dict[str, list[str]] = {}
        for one in sorted(granted):
            resource, _, action = one.rpartition(":")
            access.setdefault(resource, []).append(action)
        kinds = [(resource.partition(":"), actions) for resource, actions in access.items()]
        now = int(time.time())
        times = {"iat": now, "nbf": now - 10, "exp": now + 300}
        rights = [{"type": kind, "name": name, "actions": actions} for (kind, _, name), actions in kinds]
        return self.sign({"iss": "tests", "sub": user, "aud": self.service, **times, "jti": secrets.token_hex(8), "access": rights})


class _Handler(Handler[TokenServer]):
    def respond(self) -> None:
        """A token, or the first page if the one that was given is good for it."""
        form = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        parts = urlsplit(self.path)
        fields = tuple(parse_qsl(parts.query) + parse_qsl(form))
        asked = Asked(self.command, parts.path, fields, self.headers.get("Authorization", ""))
        self.owner.asked.append(asked)
        if asked.path == "/token":
            self._token(asked)
        elif self._welcome(asked):
            self._send(200, {})
        else:
            self._send(
                401, {"errors": [{"code": "UNAUTHORIZED"}]}, {"WWW-Authenticate": self.owner.challenge(dict(fields).get("scope", ""))}
            )

    def _welcome(self, asked: Asked) -> bool:
        """/v2/?scope=repository:name:action is good for testing what scopes do."""
        owner = self.owner
        if owner.basic:
            return bool(asked.authorization and owner.user_of(asked))
        return owner.takes(asked.authorization, dict(asked.fields).get("scope", ""))

    def _token(self, asked: Asked) -> None:
        owner = self.owner
        user = owner.user_of(asked)
        status = owner.statuses.pop(0) if owner.statuses else 200
        if status != 200:
            self._send(status, {}, {"Retry-After": "0"})
        elif user is None or (user == "" and not owner.anonymous):
            self._send(401, {})
        else:
            scopes = [scope for name, value in asked.fields if name == "scope" for scope in value.split(" ")]
            self._send(200, owner.token_for(user, scopes))

    def _send(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self.answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())
