"""HTTP requests to one registry: authorized, retried where that can help, redirects followed by hand (distribution-spec 1.1).

Credentials go to the registry's own address only. Text from a server is shortened and stripped of control characters before it is shown.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec.structs import replace

from shipwheel.download.http import HttpResponse, TransientError, redacted, transient_error, translate_errors
from shipwheel.errors import FetchError
from shipwheel.registry.loopback import LoopbackClient, LoopbackResponse, serves

if TYPE_CHECKING:
    import httpx

    from shipwheel.registry.hosts import Host

__all__ = ["MAX_BODY", "Authorization", "RegistryRequest", "RegistryResponse", "Transport", "error_details"]

T = TypeVar("T")

MAX_ATTEMPTS = 6
"""Attempts at a request that fails with transient errors."""

MAX_BODY = 4 << 20
"""Bytes of a response that is read whole; distribution-spec, "Pushing Manifests": registries should accept manifests of 4 MiB."""

_MAX_ERROR_BODY = 16 << 10
_MAX_REDIRECTS = 8
_MAX_CHALLENGES = 3
_FIRST_WAIT_S = 0.25
_MAX_WAIT_S = 60.0
_REDIRECTS = (301, 302, 303, 307, 308)


class Authorization(Protocol):
    """The Authorization headers for a registry."""

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """Return the header for these scopes, None if there is none yet."""

    def challenged(self, response: "httpx.Response", scopes: tuple[str, ...], sent: str | None) -> bool:
        """Answer a 401 response, and return whether to try again. Raises FetchError if no header helps."""


class RegistryRequest(msgspec.Struct, frozen=True):
    """A request to a registry.

    Attributes:
        url: an absolute URL, or a path on the registry.
        label: names the request in messages.
        scopes: the token scopes it needs.
        body: the content, or a function that returns its `size` bytes anew for each attempt.
        expected: the statuses that are no failure.
        timeout: seconds of silence after which the attempt fails.
    """

    method: str
    url: str
    label: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: Callable[[], Iterator[bytes]] | bytes | None = None
    size: int = 0
    expected: tuple[int, ...] = (200,)
    timeout: float = 60.0


class RegistryResponse(msgspec.Struct, frozen=True):
    """A whole response. `url` is its URL after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Transport:
    """Sends requests to one registry, from any thread. Setting `closed` ends all waiting and all work for an interrupted command."""

    def __init__(self, host: "Host", authorization: Authorization, pause: Callable[[float], object] | None = None) -> None:
        self.host = host
        self.closed = threading.Event()
        self.received = 0
        """Bytes received in response bodies."""
        self._authorization = authorization
        self._pause = pause or self.closed.wait
        self._clients: dict[tuple[str, bool], httpx.Client | LoopbackClient] = {}
        self._logs_in = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all waiting and close the connections."""
        self.closed.set()
        with self._lock:
            for client in self._clients.values():
                client.close()

    def check_open(self) -> None:
        """Raise FetchError if the transport was closed."""
        if self.closed.is_set():
            raise FetchError("interrupted", hint="Run the command again: it continues where it stopped.")

    def request(self, request: RegistryRequest, limit: int = MAX_BODY) -> RegistryResponse:
        """Send a request, with retries, and return the whole response.

        Raises FetchError with the response's status, also for a body of more than `limit` bytes.
        """

        def attempt() -> RegistryResponse:
            with self.stream(request) as response:
                body = _read(response, request.label, limit)
                return RegistryResponse(response.status_code, response.headers, body, str(response.url))

        return self.retry(attempt, request.label)

    def retry(self, work: Callable[[], T], label: str) -> T:
        """Call `work` until it raises no TransientError, with pauses. Raises FetchError after MAX_ATTEMPTS attempts."""
        for attempt in range(MAX_ATTEMPTS):
            self.check_open()
            try:
                return work()
            except TransientError as error:
                self.wait(error, attempt, label)
        raise AssertionError("unreachable")  # pragma: no cover

    def wait(self, error: TransientError, attempt: int, label: str) -> None:
        """Pause before the next attempt: as long as the server asks, else longer each time, with jitter.

        Raises FetchError after the last attempt, and if the server asks for more than a minute.
        """
        if error.retry_after is not None and error.retry_after > _MAX_WAIT_S:
            hint = f"The registry asks clients to wait {error.retry_after:.0f} seconds: run the command again after that."
            raise FetchError(f"{label}: {self.host.url}: {error}", hint=hint) from error
        if attempt + 1 >= MAX_ATTEMPTS:
            from shipwheel.registry import hosts

            hint = "Run the command again: it sends and fetches nothing twice. If the error stays, contact the registry's operator."
            if _is_unreachable(error.__cause__):
                hint = hosts.unreachable_hint(self.host)
            raise FetchError(f"{label}: {self.host.url}: {error} ({MAX_ATTEMPTS} attempts)", hint=hint) from error
        # Jitter keeps clients that were turned away together from returning together.
        backoff = _FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - not for secrets
        self._pause(backoff if error.retry_after is None else error.retry_after + random.uniform(0.0, 0.25))  # noqa: S311

    @contextmanager
    def stream(self, request: RegistryRequest) -> Iterator[HttpResponse]:
        """Send a request once and yield the response, its body unread.

        Raises TransientError if another attempt may succeed, else FetchError with the status.
        """
        url = urljoin(f"{self.host.url}/", request.url)
        with translate_errors(url, request.label, "Check the name of the registry."):
            response = self._send_authorized(request, url)
            try:
                self._check_status(response, request)
                yield response
            finally:
                response.close()
                with self._lock:
                    self.received += response.num_bytes_downloaded

    def is_own(self, url: str) -> bool:
        """Return whether an absolute URL is on the registry: same scheme, host and port."""
        return _origin(url) == _origin(self.host.url)

    def location(self, response: HttpResponse | RegistryResponse, url: str, label: str) -> str:
        """Return the absolute URL in a response's Location header.

        Raises FetchError for an invalid URL, and for one that leaves TLS for plain http.
        """
        target = urljoin(url, response.headers.get("Location", ""))
        parts, current = urlsplit(target), urlsplit(url)
        if current.scheme == "https" and parts.scheme == "http" and parts.netloc == current.netloc:
            # A registry behind a proxy that terminates TLS takes its own scheme for http.
            return "https" + target.removeprefix("http")
        if parts.scheme not in ("http", "https") or not parts.netloc or (current.scheme == "https" and parts.scheme == "http"):
            hint = "A registry must not redirect from https to http; contact its operator."
            raise FetchError(f"{label}: {redacted(url)} redirects to {redacted(target)}", hint=hint)
        return target

    def _send_authorized(self, request: RegistryRequest, url: str) -> HttpResponse:
        """Send a request; answer challenges and follow redirects."""
        challenges = redirects = 0
        while True:
            header = self._authorization.header(request.scopes) if self.is_own(url) else None
            response = self._send(request, url, header)
            status = response.status_code
            if status == 401 and self.is_own(url) and challenges < _MAX_CHALLENGES:
                if isinstance(response, LoopbackResponse):
                    # The other client has what it takes to log in.
                    self._logs_in = True
                    response.close()
                    continue
                challenges += 1
                with _drained(response):
                    again = self._authorization.challenged(response, request.scopes, header)
                if again:
                    continue
                raise _status_error(response, request.label, "")
            if status in _REDIRECTS and "Location" in response.headers:
                redirects += 1
                with _drained(response):
                    url, request = self._redirect(response, request, url, redirects)
                continue
            return response

    def _send(self, request: RegistryRequest, url: str, authorization: str | None) -> "httpx.Response | LoopbackResponse":
        headers = {"Accept-Encoding": "identity", "User-Agent": "shipwheel", **request.headers}
        if authorization is not None:
            headers["Authorization"] = authorization
        content: bytes | Iterator[bytes] | None
        if callable(request.body):
            content = request.body()
            headers["Content-Length"] = str(request.size)
        else:
            content = request.body
        client = self._client(url)
        try:
            if isinstance(client, LoopbackClient):
                return client.send(request.method, url, headers, content, request.timeout)
            return self._send_with(client, request, url, headers, content)
        except RuntimeError as error:
            # Both raise it for a client that another thread closed.
            self.check_open()
            raise error

    def _send_with(
        self,
        client: "httpx.Client",
        request: RegistryRequest,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterator[bytes] | None,
    ) -> "httpx.Response":
        import httpx

        from shipwheel.registry import hosts

        timeout = httpx.Timeout(60.0, connect=15.0, read=request.timeout, pool=None)
        try:
            built = client.build_request(request.method, url, headers=headers, content=content, timeout=timeout)
            return client.send(built, stream=True, follow_redirects=False)
        except httpx.NetworkError as error:
            raise hosts.explain_connection_error(self.host, error) or error from None

    def _redirect(self, response: HttpResponse, request: RegistryRequest, url: str, redirects: int) -> tuple[str, RegistryRequest]:
        target = self.location(response, url, request.label)
        if redirects > _MAX_REDIRECTS:
            what = f"{request.label}: more than {_MAX_REDIRECTS} redirects, the last from {redacted(url)}"
            raise FetchError(what, hint="Contact the registry's operator.")
        if response.status_code in (307, 308) or request.method in ("GET", "HEAD"):
            return target, request
        # RFC 9110, 15.4: a client may follow the other redirects with GET, which uploads nothing.
        return target, replace(request, method="GET", body=None, size=0)

    def _client(self, url: str) -> "httpx.Client | LoopbackClient":
        """Return the client for the URL's host, with that host's own certificates and proxy."""
        from shipwheel.registry import hosts

        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2]
        key = f"{parts.scheme}://{address}", self._logs_in
        with self._lock:
            self.check_open()
            if key not in self._clients:
                host = self.host if self.is_own(url) else hosts.host_of(address)
                plain = serves(host) and parts.scheme == "http" and not self._logs_in
                self._clients[key] = LoopbackClient(host) if plain else hosts.client(host)
            return self._clients[key]

    def _check_status(self, response: HttpResponse, request: RegistryRequest) -> None:
        if response.status_code in request.expected:
            return
        if (transient := transient_error(response)) is not None:
            details = error_details(_read_error(response))
            raise TransientError(f"{transient}{': ' if details else ''}{details}", transient.retry_after, transient.summary)
        raise _status_error(response, request.label, error_details(_read_error(response)))


def _is_unreachable(cause: BaseException | None) -> bool:
    if isinstance(cause, ConnectionRefusedError):
        return True
    import httpx

    return isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)


@contextmanager
def _drained(response: HttpResponse) -> Iterator[None]:
    """Read a short response to its end, so that its connection can be reused; close it after the block."""
    try:
        _read_error(response)
        yield
    finally:
        response.close()


def _read(response: HttpResponse, label: str, limit: int) -> bytes:
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > limit:
            hint = "The registry is broken or malicious."
            raise FetchError(f"{label}: {redacted(str(response.url))} sent more than {limit} bytes", hint=hint)
    return bytes(data)


def _read_error(response: HttpResponse) -> bytes:
    """Return the beginning of a response's body, long enough for an error document."""
    data = bytearray()
    # The status matters more than the body.
    with suppress(TransientError, FetchError, RuntimeError), translate_errors(str(response.url), ""):
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > _MAX_ERROR_BODY:
                break
    return bytes(data[:_MAX_ERROR_BODY])


class _ErrorEntry(msgspec.Struct):
    code: str = ""
    message: str = ""


class _ErrorDocument(msgspec.Struct):
    errors: list[_ErrorEntry]


def error_details(body: bytes) -> str:
    """Return the registry's own error message on one line of at most 300 characters (distribution-spec, "Error Codes"), or ""."""
    try:
        errors = msgspec.json.decode(body, type=_ErrorDocument).errors
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    text = "; ".join(": ".join(part for part in (entry.code, entry.message) if part) for entry in errors[:3])
    return "".join(char if char.isprintable() else " " for char in text)[:300].strip()


def _status_error(response: HttpResponse, label: str, details: str) -> FetchError:
    status = response.status_code
    reason = f": {details}" if details else f" {response.reason_phrase[:60]}".rstrip()
    hint = _HINTS.get(status, "The registry did not do what was requested; contact its operator.")
    return FetchError(f"{label}: {redacted(str(response.url))} answered {status}{reason}", hint=hint, status=status)


_HINTS = {
    400: "The registry rejected the request as malformed; if the error stays, contact its operator.",
    401: "Log in: shipwheel login HOST.",
    403: "The credentials lack permission: use others (shipwheel login HOST), or ask the registry's operator for access.",
    404: "Check the repository's name, and the tag or digest.",
    405: "The registry does not allow this. It may be a mirror, or read-only.",
    413: "The registry, or a proxy in front of it, does not accept files of this size.",
    507: "The registry's storage is full.",
}
