"""What the servers of this folder have in common: HTTP/1.1 on 127.0.0.1, on a port that the kernel chooses, in a thread."""

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, Self, TypeVar, cast

__all__ = ["Handler", "Loopback"]

Owner = TypeVar("Owner")


class Loopback:
    """A server: listens between `start` and `close`, or while used as a context manager. `closing` ends what handlers wait for."""

    def __init__(self, handler: "type[Handler[Any]]") -> None:
        self.closing = threading.Event()
        self._server = _Server(self, handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name=type(self).__name__, daemon=True)

    @property
    def host(self) -> str:
        """127.0.0.1 and the port, as in an image's name."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Starts to answer."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stops, and lets go of clients that are kept waiting."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: Loopback, handler: "type[Handler[Any]]") -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is no news."""


class Handler(BaseHTTPRequestHandler, Generic[Owner]):
    """One connection to a server of the type `Owner`."""

    protocol_version = "HTTP/1.1"
    # Without this the body waits for the acknowledgement of the head.
    disable_nagle_algorithm = True

    @property
    def owner(self) -> Owner:
        """The server."""
        return cast(Owner, cast(_Server, self.server).owner)

    def respond(self) -> None:
        """Answers a request of any method."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.respond
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def answer(self, status: int, headers: Mapping[str, str], body: bytes, sent: int | None = None) -> None:
        """Answers with so many bytes of the body, None: all of them; the head says its whole length."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def hang_up(self) -> None:
        """Closes the connection, whatever was said."""
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
