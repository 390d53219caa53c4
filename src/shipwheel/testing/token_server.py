"""A token server, and a registry's first page that requires its tokens or a password.

Implements distribution's token authentication: GET with or without Basic credentials, and POST with an identity token. Tokens are opaque
words that the server remembers. With `sign` they are signed, for a real registry that trusts the certificate.
"""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from shipwheel.testing.loopback import Handler, Loopback, RecordedRequest

__all__ = ["TokenServer"]

SERVICE = "registry of the tests"


@dataclass
class TokenServer(Loopback):
    """Issues tokens at /token. The page /v2/ requires one, or with `basic` a password.

    * `users`: name -> password. `identities`: identity token -> user. `anonymous`: whether "", the user without credentials, gets tokens.
    * `rights`: user -> scopes such as "repository:team/app:pull". None grants everything.
    * `statuses`: the statuses of the next responses of /token.
    * `lifetime`: the seconds that responses state. Tokens stay valid until `revoke`.
    * `sign`: makes a token from the claims of a JWT (iss, sub, aud, exp, nbf, iat, access).
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
        self.requests: list[RecordedRequest] = []
        self._tokens: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    @property
    def realm(self) -> str:
        """The URL of the token endpoint."""
        return f"http://{self.host}/token"

    @property
    def token_requests(self) -> list[RecordedRequest]:
        """The requests for tokens."""
        return [request for request in self.requests if request.path == "/token"]

    def revoke(self) -> None:
        """Revoke all tokens that were issued so far."""
        with self._lock:
            self._tokens.clear()

    def user_of(self, request: RecordedRequest) -> str | None:
        """Return the user of a request: "" without credentials, None for wrong ones."""
        if request.method == "POST":
            return self.identities.get(dict(request.fields).get("refresh_token", ""))
        if not request.authorization:
            return ""
        name, _, password = base64.b64decode(request.authorization.removeprefix("Basic ")).decode().partition(":")
        return name if self.users.get(name) == password else None

    def token_for(self, user: str, scopes: list[str]) -> dict[str, Any]:
        """Issue a token for those scopes that the user has. Return the response's document."""
        requested = {
            f"{resource}:{action}" for resource, _, actions in (s.rpartition(":") for s in scopes) for action in actions.split(",")
        }
        granted = requested if self.rights is None else requested & self.rights.get(user, set())
        token = self._signed(user, granted) if self.sign else secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = granted
        return {"token": token} | ({} if self.lifetime is None else {"expires_in": self.lifetime})

    def accepts(self, authorization: str, scope: str = "") -> bool:
        """Return whether an Authorization header grants a scope, `repository:NAME:ACTION`, or without one, access to the first page."""
        with self._lock:
            granted = self._tokens.get(authorization.removeprefix("Bearer "))
        return granted is not None and (not scope or scope in granted)

    def challenge(self, scope: str = "") -> str:
        """Return the WWW-Authenticate header of a 401 response."""
        if self.basic:
            return 'Basic realm="tests"'
        return f'Bearer realm="{self.realm}",service="{self.service}"' + (f',scope="{scope}"' if scope else "")

    def _signed(self, user: str, granted: set[str]) -> str:
        assert self.sign is not None  # noqa: S101 - the caller has checked
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
        """Issue a token, or answer like the first page of a registry."""
        form = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        parts = urlsplit(self.path)
        request = RecordedRequest(self.command, parts.path, self.lower_headers, parts.query, form)
        self.owner.requests.append(request)
        if request.path == "/token":
            self._token(request)
        elif self._admits(request):
            self._send(200, {})
        else:
            self._send(
                401,
                {"errors": [{"code": "UNAUTHORIZED"}]},
                {"WWW-Authenticate": self.owner.challenge(dict(request.fields).get("scope", ""))},
            )

    def _admits(self, request: RecordedRequest) -> bool:
        """Return whether the first page may be shown. With /v2/?scope=…, a test can check a scope."""
        owner = self.owner
        if owner.basic:
            return bool(request.authorization and owner.user_of(request))
        return owner.accepts(request.authorization, dict(request.fields).get("scope", ""))

    def _token(self, request: RecordedRequest) -> None:
        owner = self.owner
        user = owner.user_of(request)
        status = owner.statuses.pop(0) if owner.statuses else 200
        if status != 200:
            self._send(status, {}, {"Retry-After": "0"})
        elif user is None or (user == "" and not owner.anonymous):
            self._send(401, {})
        else:
            scopes = [scope for name, value in request.fields if name == "scope" for scope in value.split(" ")]
            self._send(200, owner.token_for(user, scopes))

    def _send(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self.answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())
