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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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
class TokenServer:
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
        """Starts it, on a port that the kernel chooses."""
        self.asked: list[Asked] = []
        self._tokens: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            owner = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def __enter__(self) -> "TokenServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stops it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        """host:port, as in an image's name."""
        return f"127.0.0.1:{self._server.server_address[1]}"

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


class _Handler(BaseHTTPRequestHandler):
    owner: TokenServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answered("")

    def do_POST(self) -> None:
        self._answered(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())

    def _answered(self, form: str) -> None:
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
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass
