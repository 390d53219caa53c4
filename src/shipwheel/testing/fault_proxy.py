"""A proxy for a real registry that fails a share of the requests, chosen by a seeded random generator."""

import http.client
import random
import threading
from collections import Counter
from dataclasses import dataclass, field

from shipwheel.testing.loopback import Handler, Loopback

__all__ = ["FAULTS", "FaultProxy"]

FAULTS = ("refuse", "cut-request", "no-answer", "truncate", "401", "429", "500", "503", "stall")
"""Close the connection at once, in the middle of the request's body, or after the registry has done the work; send half of the response's
body; respond with a status without asking the registry; wait a moment."""

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
_CHUNK = 1 << 16


@dataclass
class FaultProxy(Loopback):
    """A proxy for the registry at `target` (HOST:PORT). The share `rate` of the requests fails, in one of the `kinds`.

    `counts` counts the faults by their kind. The seed fixes which faults are chosen, but not which thread meets them.
    """

    target: str
    rate: float = 0.0
    seed: int = 0
    kinds: tuple[str, ...] = FAULTS
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(_Handler)
        self._random = random.Random(self.seed)  # noqa: S311 - not for secrets
        self._lock = threading.Lock()

    def choose(self) -> str:
        """Choose the fault of the next request, "" for none. Only the handler calls this."""
        with self._lock:
            kind = self._random.choice(self.kinds) if self._random.random() < self.rate else ""
            self.counts[kind or "none"] += 1
        return kind


class _Handler(Handler[FaultProxy]):
    def respond(self) -> None:
        """Forward the request, or fail."""
        kind = self.owner.choose()
        length = int(self.headers.get("Content-Length") or 0)
        if kind == "refuse":
            self.hang_up()
        elif kind.isdigit():
            self._read(length)
            extra = {"Retry-After": "0"} if kind == "429" else {"WWW-Authenticate": 'Basic realm="it"'} if kind == "401" else {}
            self.answer(int(kind), extra, b'{"errors":[{"code":"FAULT","message":"it went wrong"}]}')
        else:
            if kind == "stall":
                threading.Event().wait(0.2)
            self._forward(kind, length)

    def _forward(self, kind: str, length: int) -> None:
        upstream = http.client.HTTPConnection(self.owner.target, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for key, value in self.headers.items():
                if key.lower() not in _HOP_BY_HOP:
                    upstream.putheader(key, value)
            upstream.endheaders()
            left = length // 2 if kind == "cut-request" else length
            while left and (chunk := self.rfile.read(min(left, _CHUNK))):
                upstream.send(chunk)
                left -= len(chunk)
            if kind == "cut-request" or left:
                return self.hang_up()
            response = upstream.getresponse()
            if kind == "no-answer":
                response.read()
                return self.hang_up()
            return self._relay(response, kind)
        except OSError:
            return self.hang_up()
        finally:
            upstream.close()

    def _relay(self, response: http.client.HTTPResponse, kind: str) -> None:
        self.send_response(response.status)
        for key, value in response.getheaders():
            if key.lower() not in _HOP_BY_HOP:
                self.send_header(key, value)
        length = int(response.getheader("Content-Length") or 0)
        if response.getheader("Content-Length") is None and response.status not in (204, 304):
            self.send_header("Content-Length", "0")
        self.end_headers()
        left = 0 if self.command == "HEAD" else length // 2 if kind == "truncate" else length
        while left and (chunk := response.read(min(left, _CHUNK))):
            self.wfile.write(chunk)
            left -= len(chunk)
        if kind == "truncate":
            self.hang_up()

    def _read(self, length: int) -> None:
        while length and (chunk := self.rfile.read(min(length, _CHUNK))):
            length -= len(chunk)
