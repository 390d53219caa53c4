"""One request to one registry: authorised, tried again where that can help, redirects followed by hand.

distribution-spec 1.1. Credentials go to the registry's own address alone. What a server says is shown
shortened and without control characters.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from shipwheel.download.http import TransientError, redacted, transient_error, translate_errors
from shipwheel.errors import FetchError

if TYPE_CHECKING:
    import httpx

    from shipwheel.registry.hosts import Host

__all__ = ["MAX_ANSWER", "Answer", "Authorizes", "Request", "Transport", "label_of_error"]

T = TypeVar("T")

ATTEMPTS = 6
"""How often a request is tried, when what went wrong may pass."""

MAX_ANSWER = 4 << 20
"""Bytes of an answer that is read as a whole; distribution-spec, "Pushing Manifests": registries should take manifests of 4 MiB."""

_MAX_ERROR = 16 << 10
_MAX_REDIRECTS = 8
_MAX_CHALLENGES = 3
_LONGEST_WAIT = 60.0
_REDIRECTS = (301, 302, 303, 307, 308)


class Authorizes(Protocol):
    """What a transport needs to know of authorisation."""

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """The Authorization header for these scopes, as far as it is known."""

    def challenged(self, response: "httpx.Response", scopes: tuple[str, ...], sent: str | None) -> bool:
        """After a 401: whether to ask again with a new header; raises FetchError if nothing helps."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `url` is absolute, or a path on the registry; `expected` are the statuses that are an answer and no failure.

    `body` gives the bytes anew each time it is called, `size` of them. `wait` is how many seconds the server may be silent.
    """

    method: str
    url: str
    label: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Iterator[bytes]] | bytes | None = None
    size: int = 0
    expected: tuple[int, ...] = (200,)
    wait: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `url` is where it came from, redirects followed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Transport:
    """Asks one registry, from any thread. `closed` ends all waiting: whoever works for an interrupted command comes to an end."""

    def __init__(self, host: "Host", authorizer: Authorizes, pause: Callable[[float], object] | None = None) -> None:
        self.host = host
        self.closed = threading.Event()
        self.received = 0
        """Bytes of answers' bodies."""
        self._authorizer = authorizer
        self._pause = pause or self.closed.wait
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Ends waiting and closes the connections."""
        self.closed.set()
        with self._lock:
            for client in self._clients.values():
                client.close()

    def check_open(self) -> None:
        """Raises FetchError if the work was given up."""
        if self.closed.is_set():
            raise FetchError("the work was interrupted", hint="Run the command again: it goes on from what is there.")

    def ask(self, request: Request, limit: int = MAX_ANSWER) -> Answer:
        """The answer, tried again where that can help. Raises FetchError with the status, also for an answer above `limit` bytes."""

        def once() -> Answer:
            with self.stream(request) as response:
                return Answer(response.status_code, response.headers, _read(response, request.label, limit), str(response.url))

        return self.retried(once, request.label)

    def retried(self, work: Callable[[], T], label: str) -> T:
        """Does the work; after a TransientError waits and does it again, at most ATTEMPTS times, then raises FetchError."""
        for attempt in range(ATTEMPTS):
            self.check_open()
            try:
                return work()
            except TransientError as error:
                self.wait(error, attempt, label)
        raise AssertionError("unreachable")  # pragma: no cover

    def wait(self, error: TransientError, attempt: int, label: str) -> None:
        """Waits as the server asks, else longer each time with jitter; raises FetchError after the last attempt or for too long a wait."""
        if error.retry_after is not None and error.retry_after > _LONGEST_WAIT:
            hint = f"It asks to be left alone for {error.retry_after:.0f} seconds: run the command again after that."
            raise FetchError(f"{label}: {self.host.url}: {error}", hint=hint) from error
        if attempt + 1 >= ATTEMPTS:
            import httpx

            from shipwheel.registry import hosts

            hint = "Run the command again: what is there is not sent or fetched twice. If it stays so, ask whoever runs the registry."
            if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
                hint = hosts.unreached(self.host)
            raise FetchError(f"{label}: {self.host.url}: {error} (tried {ATTEMPTS} times)", hint=hint) from error
        # Jitter, so that many clients that were refused together do not come back together.
        backoff = 0.25 * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - not for secrets
        self._pause(backoff if error.retry_after is None else error.retry_after + random.uniform(0.0, 0.25))  # noqa: S311

    @contextmanager
    def stream(self, request: Request) -> "Iterator[httpx.Response]":
        """One attempt, its body not read yet. Raises TransientError for what may pass, FetchError with the status for the rest."""
        url = urljoin(f"{self.host.url}/", request.url)
        with translate_errors(url, request.label, "Check the name of the registry."):
            response = self._opened(request, url)
            try:
                self._checked(response, request)
                yield response
            finally:
                response.close()
                with self._lock:
                    self.received += response.num_bytes_downloaded

    def is_own(self, url: str) -> bool:
        """Whether an absolute address is the registry's own: scheme, name and port. Credentials go nowhere else."""
        return _origin(url) == _origin(self.host.url)

    def _opened(self, request: Request, url: str) -> "httpx.Response":
        challenges = redirects = 0
        while True:
            sent = self._authorizer.header(request.scopes) if self.is_own(url) else None
            response = self._sent(request, url, sent)
            status = response.status_code
            if status == 401 and self.is_own(url) and challenges < _MAX_CHALLENGES:
                challenges += 1
                with _closing(response):
                    again = self._authorizer.challenged(response, request.scopes, sent)
                if again:
                    continue
                raise _failure(response, request.label, "")
            if status in _REDIRECTS and "Location" in response.headers:
                redirects += 1
                with _closing(response):
                    url, request = self._redirected(response, request, url, redirects)
                continue
            return response

    def _sent(self, request: Request, url: str, authorization: str | None) -> "httpx.Response":
        import httpx

        from shipwheel.registry import hosts

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
        timeout = httpx.Timeout(60.0, connect=15.0, read=request.wait, pool=None)
        try:
            built = client.build_request(request.method, url, headers=headers, content=content, timeout=timeout)
            return client.send(built, stream=True, follow_redirects=False)
        except httpx.NetworkError as error:
            raise hosts.explained(self.host, error) or error from None
        except RuntimeError as error:
            # The client was closed by another thread.
            self.check_open()
            raise error

    def _redirected(self, response: "httpx.Response", request: Request, url: str, redirects: int) -> tuple[str, Request]:
        target = self.target(response, url, request.label)
        if redirects > _MAX_REDIRECTS:
            raise FetchError(f"{request.label}: {redacted(url)} redirects without end", hint="Ask whoever runs the registry.")
        if response.status_code in (307, 308) or request.method in ("GET", "HEAD"):
            return target, request
        # RFC 9110, 15.4: after the others a client may go on with GET, which would be no upload.
        return target, replace(request, method="GET", body=None, size=0)

    def target(self, response: "httpx.Response | Answer", url: str, label: str) -> str:
        """The absolute address in an answer's Location. Raises FetchError for one that leaves TLS for a plain connection, or is none."""
        location = response.headers.get("Location", "")
        target = urljoin(url, location)
        parts, here = urlsplit(target), urlsplit(url)
        if here.scheme == "https" and parts.scheme == "http" and parts.netloc == here.netloc:
            # A registry behind a proxy that ends TLS does not know that it is asked over TLS.
            return "https" + target.removeprefix("http")
        if parts.scheme not in ("http", "https") or not parts.netloc or (here.scheme == "https" and parts.scheme == "http"):
            hint = "A registry must not send its clients from TLS to a plain connection; ask whoever runs it."
            raise FetchError(f"{label}: {redacted(url)} sends on to {redacted(target)}", hint=hint)
        return target

    def _client(self, url: str) -> "httpx.Client":
        """A client for the address's host, with what is set for that host: its own certificates, its own proxy."""
        from shipwheel.registry import hosts

        parts = urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        with self._lock:
            self.check_open()
            if key not in self._clients:
                self._clients[key] = hosts.client(self.host if self.is_own(url) else hosts.host_of(parts.netloc.rpartition("@")[2]))
            return self._clients[key]

    def _checked(self, response: "httpx.Response", request: Request) -> None:
        if response.status_code in request.expected:
            return
        if (later := transient_error(response)) is not None:
            details = label_of_error(_read_error(response))
            raise TransientError(f"{later}{': ' if details else ''}{details}", later.retry_after, later.summary)
        raise _failure(response, request.label, label_of_error(_read_error(response)))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)


@contextmanager
def _closing(response: "httpx.Response") -> Iterator[None]:
    """Reads a short answer out, so that its connection can be used again."""
    try:
        _read_error(response)
        yield
    finally:
        response.close()


def _read(response: "httpx.Response", label: str, limit: int) -> bytes:
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > limit:
            hint = "The registry is broken or hostile."
            raise FetchError(f"{label}: {redacted(str(response.url))} gave more than {limit} bytes", hint=hint)
    return bytes(data)


def _read_error(response: "httpx.Response") -> bytes:
    """The beginning of an answer's body: enough for what registries say."""
    import httpx

    data = bytearray()
    try:
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > _MAX_ERROR:
                break
    except (httpx.HTTPError, httpx.StreamError):
        pass  # what came of it has to do: the status is the news
    return bytes(data[:_MAX_ERROR])


class _Problem(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Problems(msgspec.Struct):
    errors: list[_Problem]


def label_of_error(body: bytes) -> str:
    """What the registry says went wrong, in one line of at most 300 characters (distribution-spec, "Error Codes"), or ""."""
    try:
        found = msgspec.json.decode(body, type=_Problems).errors
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    text = "; ".join(": ".join(part for part in (one.code, one.message) if part) for one in found[:3])
    return "".join(char if char.isprintable() else " " for char in text)[:300].strip()


def _failure(response: "httpx.Response", label: str, details: str) -> FetchError:
    status = response.status_code
    said = f": {details}" if details else f" {response.reason_phrase[:60]}".rstrip()
    error = FetchError(f"{label}: {redacted(str(response.url))} answered {status}{said}", hint=_HINTS.get(status, _OTHERWISE))
    error.status = status
    return error


_OTHERWISE = "The registry does not do what was asked of it; ask whoever runs it."
_HINTS = {
    400: "The registry took what was sent for wrong; if it stays so, ask whoever runs it.",
    401: "Log in: shipwheel login HOST.",
    403: "These credentials may not do this: use others (shipwheel login HOST), or ask whoever runs the registry for access.",
    404: "Check the name of the repository and the tag or digest.",
    405: "The registry does not allow this: perhaps it is only a mirror or read-only.",
    413: "The registry, or a proxy before it, takes no files of this size.",
    507: "The registry's storage is full.",
}
