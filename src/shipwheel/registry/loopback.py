"""A client for registries of this machine that speak plain http. The client for all others takes longer to import than they to answer.

It speaks HTTP/1.1 with keep-alive (RFC 9112) and needs neither certificates nor proxies. It does not log in: see `Transport`.
"""

import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from string import punctuation
from typing import Any, cast
from urllib.parse import quote, urlsplit

from shipwheel.digest import Digest, as_digest
from shipwheel.download.http import TransientError
from shipwheel.oci.model import MANIFEST_ACCEPT
from shipwheel.oci.reference import Reference
from shipwheel.registry.hosts import Host, host_of

__all__ = ["LoopbackClient", "LoopbackResponse", "loopback_digest", "serves"]

_TIMEOUT_S = 15.0
"""Seconds to connect, and for the one question of `loopback_digest`."""

_CHUNK = 64 << 10


def serves(host: Host) -> bool:
    """Return whether a registry is one for this client."""
    return host.is_loopback and host.scheme == "http"


def loopback_digest(reference: Reference) -> Digest | None:
    """Return the digest of a tag (HEAD, distribution-spec 1.1); None if the registry is elsewhere, or does not say."""
    host = host_of(reference.registry)
    if not serves(host):
        return None
    connection = _Connection(host.address, timeout=_TIMEOUT_S)
    try:
        url = f"/v2/{host.repository(reference.repository)}/manifests/{reference.tag_or_latest}"
        connection.request("HEAD", url, headers={"Accept": MANIFEST_ACCEPT})
        response = connection.getresponse()
        return as_digest(response.headers.get("Docker-Content-Digest", "")) if response.status == 200 else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


class _Connection(HTTPConnection):
    def connect(self) -> None:
        """Connect. A name that is given as bytes needs no module for those of other alphabets, which takes longer than the connection."""
        address: Any = (self.host.encode("ascii"), self.port)
        self.sock = socket.create_connection(address, self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class LoopbackClient:
    """A pool of connections to one registry, usable from any thread."""

    def __init__(self, host: Host) -> None:
        self._address = host.address
        self._idle: list[HTTPConnection] = []
        self._used: set[HTTPConnection] = set()
        self._closed = False
        self._lock = threading.Lock()

    def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | Iterator[bytes] | None, timeout: float
    ) -> "LoopbackResponse":
        """Send a request and return the response, its body unread. `timeout` is in seconds of silence.

        Raises TransientError if the connection fails, RuntimeError if the client is closed, and the errors of reading the content.
        """
        connection = self._take()
        try:
            with _translated():
                if connection.sock is None:
                    connection.connect()
                connection.sock.settimeout(timeout)
            self._request(connection, method, url, headers, content)
            with _translated():
                return LoopbackResponse(connection.getresponse(), url, connection, self)
        except BaseException:
            self.give_back(connection, reusable=False)
            raise

    def give_back(self, connection: HTTPConnection, *, reusable: bool) -> None:
        """Take a connection after its response was read, or close it."""
        with self._lock:
            self._used.discard(connection)
            if reusable and not self._closed:
                return self._idle.append(connection)
        return connection.close()

    def close(self) -> None:
        """Close the connections, also those on which other threads are waiting."""
        with self._lock:
            self._closed = True
            for connection in self._idle:
                connection.close()
            for connection in self._used:
                # It is its own thread that closes it.
                with suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _take(self) -> HTTPConnection:
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed")
            while self._idle:
                connection = self._idle.pop()
                if not _is_readable(connection.sock):
                    break
                # The server has closed it.
                connection.close()
            else:
                connection = _Connection(self._address, timeout=_TIMEOUT_S)
            self._used.add(connection)
            return connection

    def _request(
        self, connection: HTTPConnection, method: str, url: str, headers: Mapping[str, str], content: bytes | Iterator[bytes] | None
    ) -> None:
        parts = urlsplit(url)
        target = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", safe=punctuation)
        with _translated():
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if isinstance(content, bytes) and "Content-Length" not in headers:
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders()
        for chunk in (content,) if isinstance(content, bytes) else content or ():
            with _translated():
                try:
                    connection.send(chunk)
                except (BrokenPipeError, ConnectionResetError):
                    # A server may answer before it has read everything, and close the connection.
                    return


class LoopbackResponse:
    """A response with the attributes of httpx's that a `Transport` reads."""

    def __init__(self, response: HTTPResponse, url: str, connection: HTTPConnection, client: LoopbackClient) -> None:
        self._response = response
        self._connection: HTTPConnection | None = connection
        self._client = client
        self.status_code = response.status
        self.reason_phrase = response.reason
        self.headers = cast("Mapping[str, str]", response.headers)
        self.url = url
        self.num_bytes_downloaded = 0

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the body. Raises TransientError if it ends early."""
        while True:
            with _translated():
                expected = self._response.length
                chunk = self._response.read(_CHUNK)
                if not chunk and expected:
                    received = self.num_bytes_downloaded
                    raise TransientError(
                        f"peer closed connection without sending complete message body (received {received} bytes, "
                        f"expected {received + expected})"
                    )
            if not chunk:
                return
            self.num_bytes_downloaded += len(chunk)
            yield chunk

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        ended = self._response.isclosed() or self._response.length == 0
        reusable = ended and not self._response.will_close
        self._response.close()
        self._client.give_back(connection, reusable=reusable)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn an error of a socket or of HTTP into TransientError."""
    try:
        yield
    except TimeoutError as error:
        raise TransientError("timed out", summary="stalled with") from error
    except (OSError, HTTPException) as error:
        raise TransientError(_text(error)) from error


def _text(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]


def _is_readable(sock: socket.socket) -> bool:
    try:
        return bool(select.select([sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True
