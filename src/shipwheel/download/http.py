"""HTTP for downloads and registries: what a response means, which errors are transient, when to try again."""

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from shipwheel.errors import FetchError, ShipwheelError

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = [
    "MAX_ATTEMPTS",
    "HttpResponse",
    "TransientError",
    "back_off",
    "is_loopback",
    "raise_for_status",
    "range_start",
    "redacted",
    "retries_exhausted",
    "transient_error",
    "translate_errors",
    "trusted_authorities",
]

MAX_ATTEMPTS = 5
"""Attempts to download from one URL while its errors are transient."""

_MAX_WAIT_S = 30.0
_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}


_READING = threading.Lock()


class TransientError(Exception):
    """A failure after which another attempt may succeed.

    `retry_after` is the wait in seconds that the server asks for, if it does. `summary` is the predicate of a report, as in "the server
    stalled with three files"; it is empty if the server is not at fault.
    """

    def __init__(self, message: str, retry_after: float | None = None, summary: str = "broke off") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.summary = summary


class HttpResponse(Protocol):
    """A response whose body is not read yet: httpx's, or that of another client."""

    @property
    def status_code(self) -> int:
        """The status."""

    @property
    def reason_phrase(self) -> str:
        """The words after the status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields; names in any case."""

    @property
    def url(self) -> object:
        """The URL, as text by `str`."""

    @property
    def num_bytes_downloaded(self) -> int:
        """The bytes of the body that were read."""

    def iter_raw(self) -> Iterator[bytes]:
        """Yield the body as it is sent."""

    def close(self) -> None:
        """End the response."""


def trusted_authorities() -> "ssl.SSLContext":
    """Return the TLS settings of all downloads: the authorities of SSL_CERT_FILE or SSL_CERT_DIR if one is set, otherwise certifi's.

    They are read once, until they change, because that takes longer than a request; the first requests of a build come together.
    """
    places = [os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    with _READING:
        return _authorities(*places, *map(_changed, places))


def _changed(place: str) -> int:
    """Return when a file or directory was changed, in nanoseconds; 0 if it is not there."""
    try:
        return os.stat(place).st_mtime_ns  # noqa: PTH116 - it may be empty, which is no path
    except OSError:
        return 0


@lru_cache(maxsize=1)
def _authorities(*_: str | int) -> "ssl.SSLContext":
    import httpx

    return httpx.create_ssl_context()


def redacted(url: str) -> str:
    """Return the URL without user, password and query, which may be secret."""
    try:
        parts = urlsplit(url)
        # If a password contains a slash, the part before the slash looks like an invalid or an empty port.
        if parts.port is None and parts.netloc.endswith(":"):
            return "an invalid URL"
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "an invalid URL"


def is_loopback(address: str) -> bool:
    """Return True if a host or host:port is on the loopback interface, which other machines cannot reach.

    That is 127.0.0.0/8, ::1 and localhost, and no other name, since DNS decides where that leads.
    """
    name = address.partition("]")[0][1:] if address.startswith("[") else address.partition(":")[0]
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


@contextmanager
def translate_errors(url: str, label: str, hint: str = "Check the address of the index or mirror.") -> Iterator[None]:
    """Turn httpx's exceptions into TransientError, or into FetchError with `hint` for a URL that can never work."""
    try:
        yield
    except (TransientError, ShipwheelError):
        raise
    except Exception as error:
        # Not before: there are clients that are quicker than this import.
        import httpx

        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | UnicodeError):
            # Without httpx's message, which may contain a password.
            raise FetchError(f"{label}: {redacted(url)} is not a URL that can be downloaded", hint=hint) from error
        if isinstance(error, httpx.HTTPError):
            summary = "stalled with" if isinstance(error, httpx.TimeoutException) else "broke off"
            raise TransientError(_first_line(error), summary=summary) from error
        raise


def range_start(response: HttpResponse) -> int:
    """Return the position in the file at which the body of a response starts (RFC 9110, 14.4: Content-Range)."""
    match = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range", ""), re.ASCII)
    return int(match[1]) if match and response.status_code == 206 else 0


def transient_error(response: HttpResponse) -> TransientError | None:
    """Return the error for a response with a transient status, with the wait that the server asks for; None for other responses."""
    status = response.status_code
    if status not in _TRANSIENT_STATUSES:
        return None
    return TransientError(f"the server answered {status}", _retry_after(response.headers.get("Retry-After", "")), f"answered {status} for")


def raise_for_status(response: "httpx.Response", label: str) -> None:
    """Raise TransientError, or FetchError with its status, for a response that does not carry the file."""
    status = response.status_code
    if (error := transient_error(response)) is not None:
        raise error
    if status >= 400:
        raise FetchError(
            f"{label}: {redacted(str(response.url))} answered {status} {response.reason_phrase[:100]}",
            hint="The file is not there: run `shipwheel lock` again, or use another index or mirror."
            if status in (404, 410)
            else "Check the address and the credentials of the index.",
            status=status,
        )


def retries_exhausted(url: str, label: str, cause: TransientError) -> FetchError:
    """Return the error for a URL that failed `MAX_ATTEMPTS` times."""
    error = FetchError(
        f"{label}: {redacted(url)}: {cause} ({MAX_ATTEMPTS} attempts)",
        hint="Check the network or the proxy, or use another index or mirror. The next run resumes the download.",
    )
    error.__cause__ = cause
    return error


def back_off(retry_after: Sequence[float | None], attempt: int, sleep: Callable[[float], None]) -> None:
    """Sleep before the next attempt: as long as the most permissive server asks for, or exponentially longer, with jitter."""
    if not retry_after:
        return
    seconds, requested = min((0.125 * 2**attempt if wait is None else wait, wait is not None) for wait in retry_after)
    sleep(min(seconds, _MAX_WAIT_S) * random.uniform(1.0, 1.1 if requested else 2.0))  # noqa: S311 - jitter, not a secret


def _retry_after(text: str) -> float | None:
    """Return seconds; RFC 9110, 10.2.3: "Retry-After = HTTP-date / delay-seconds"."""
    if text.isascii() and text[:9].isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text[:40])
        return max(0.0, when.timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
