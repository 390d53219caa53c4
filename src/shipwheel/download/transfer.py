"""One request: what its answer means, and which of what goes wrong may pass."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shipwheel.errors import FetchError

if TYPE_CHECKING:
    import httpx

__all__ = ["Passing", "begins", "check", "may_pass", "passing", "redacted"]

_RETRIED = {408, 425, 429, 500, 502, 503, 504}


class Passing(Exception):
    """Something that may pass: the next attempt resumes. `what` is what a report says that the server did to a file."""

    def __init__(self, message: str, wait: float | None = None, what: str = "broke off") -> None:
        super().__init__(message)
        self.wait = wait
        self.what = what


def redacted(url: str) -> str:
    """The address without user, password and query, which may be secret."""
    try:
        parts = urlsplit(url)
        # A password with a slash in it looks like a port that is no number, or none.
        if parts.port is None and parts.netloc.endswith(":"):
            return "an address that is not valid"
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "an address that is not valid"


@contextmanager
def passing(url: str, label: str, hint: str = "Check the address of the index or mirror.") -> Iterator[None]:
    """Turns httpx's errors into ours: those that may pass, and addresses that never will do, for which `hint` says what to check."""
    import httpx

    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        # Without the text, which may have a password in it.
        raise FetchError(f"{label}: {redacted(url)} is not an address that can be fetched from", hint=hint) from error
    except httpx.TimeoutException as error:
        raise Passing(_reason(error), what="stalled with") from error
    except httpx.HTTPError as error:
        raise Passing(_reason(error), what="broke off") from error


def begins(response: "httpx.Response") -> int:
    """Where in the file an answer's body begins (RFC 9110, 14.4)."""
    match = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range", ""), re.ASCII)
    return int(match[1]) if match and response.status_code == 206 else 0


def may_pass(response: "httpx.Response") -> Passing | None:
    """What an answer means that may be another one later, with the wait that the server asks for; None for every other answer."""
    status = response.status_code
    if status not in _RETRIED:
        return None
    return Passing(f"the server answered {status}", _retry_after(response.headers.get("Retry-After", "")), f"answered {status} for")


def _retry_after(text: str) -> float | None:
    """Seconds to wait; RFC 9110, 10.2.3: "Retry-After = HTTP-date / delay-seconds"."""
    if text.isascii() and text[:9].isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text[:40])
        return max(0.0, when.timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def check(response: "httpx.Response", label: str) -> None:
    """Raises Passing or FetchError, with its status, for an answer that is no file."""
    status = response.status_code
    if (later := may_pass(response)) is not None:
        raise later
    if status >= 400:
        error = FetchError(
            f"{label}: {redacted(str(response.url))} answered {status} {response.reason_phrase[:100]}",
            hint="The file is not there (any more): make the lock again, or use another index or mirror."
            if status in (404, 410)
            else "Check the address and the credentials of the index.",
        )
        error.status = status
        error.not_found = status in (404, 410)
        raise error


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
