"""The base of the HTTP/1.1 servers for tests. Each runs in a thread and listens on a port of 127.0.0.1 that the kernel chooses."""

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, Self, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

__all__ = ["Handler", "Loopback", "RecordedRequest"]

Owner = TypeVar("Owner")


class RecordedRequest(msgspec.Struct, frozen=True):
    """A request that a server received. Header names are in lower case.

    `received` and `sent` are the bytes of its body that were read, and of the response's body that were sent.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""
    form: str = ""
    received: int = 0
    sent: int = 0

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """The fields of the query and of the form, in their order."""
        return (*parse_qsl(self.query), *parse_qsl(self.form))

    @property
    def authorization(self) -> str:
        """The Authorization header, or ""."""
        return self.headers.get("authorization", "")


class Loopback:
    """A server that listens between `start` and `close`, or inside a `with` block. Handlers that wait must wait for `closing`."""

    def __init__(self, handler: "type[Handler[Any]]") -> None:
        self.closing = threading.Event()
        self._server = _Server(self, handler)
        self._thread = threading.Thread(target=self._server.accept_all, name=type(self).__name__, daemon=True)
        self._kept: socket.socket | None = None

    @property
    def host(self) -> str:
        """127.0.0.1:PORT, as in the name of an image."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Start the server's thread."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop the server and release clients that it keeps waiting."""
        self.closing.set()
        if self._thread.is_alive():
            # `accept` returns for this connection, which is the last.
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._server.server_port)):
                pass
            self._thread.join()
        self._server.server_close()
        if self._kept is not None:
            self._kept.close()

    def refuse(self) -> None:
        """Stop the server, and let its address refuse connections until `close`: else another test's server could get the port."""
        address = self._server.server_address
        self.close()
        self._kept = socket.socket()
        # Connections of before may still be ending. Later, the kernel must not let a server that reuses addresses have this one.
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(address)
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: Loopback, handler: "type[Handler[Any]]") -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), handler)

    def accept_all(self) -> None:
        """Serve each connection in a thread of its own, until the owner closes.

        It waits in the kernel, where `serve_forever` would look fifty times a second.
        """
        while not self.owner.closing.is_set():
            # A client may have gone before it is accepted.
            with suppress(OSError):
                request, address = self.get_request()
                if self.owner.closing.is_set():
                    self.shutdown_request(request)
                else:
                    self.process_request(request, address)

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that close the connection."""


class Handler(BaseHTTPRequestHandler, ABC, Generic[Owner]):
    """A connection to a server of type `Owner`. Subclasses implement `respond`."""

    protocol_version = "HTTP/1.1"
    # Otherwise the body waits until the client has acknowledged the headers.
    disable_nagle_algorithm = True

    @property
    def owner(self) -> Owner:
        """The server of this connection."""
        return cast(Owner, cast(_Server, self.server).owner)

    @abstractmethod
    def respond(self) -> None:
        """Answer a request of any method."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.respond
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    @property
    def lower_headers(self) -> dict[str, str]:
        """The request's headers, with names in lower case."""
        return {key.lower(): value for key, value in self.headers.items()}

    def answer(self, status: int, headers: Mapping[str, str], body: bytes, sent: int | None = None) -> None:
        """Send a response. With `sent`, send only that many bytes of the body, although Content-Length is that of the whole body."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def hang_up(self) -> None:
        """Close the connection."""
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
