"""One attempt to complete a file from one URL: over HTTP from where the file ends, or from a local path."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from shipwheel.download.http import TransientError, raise_for_status, range_start, redacted, translate_errors
from shipwheel.download.servers import Servers
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.store.store import CHUNK

if TYPE_CHECKING:
    import httpx

__all__ = ["Attempt", "CancelledError", "Context", "PartialFile", "Progress", "is_local", "local_path", "read_local", "run_attempt"]


class CancelledError(Exception):
    """Another attempt is completing the file; this one must stop."""


class Progress(Protocol):
    """Receives the number of bytes of a download. Every method raises an exception if the whole stage has to end."""

    def __call__(self, done: int) -> None: ...

    def check(self) -> None: ...

    def wait(self, seconds: float) -> None: ...


class Context(msgspec.Struct, frozen=True):
    """The values that all attempts to download one file share. `size` in bytes, None if unknown."""

    client: "httpx.Client"
    label: str
    size: int | None
    servers: Servers
    progress: Progress


class Attempt(msgspec.Struct, eq=False):
    """A running attempt. `position` is its offset in the file, `received` the number of bytes it has brought."""

    url: str
    file: "PartialFile"
    started: float
    position: int = 0
    received: int = 0
    cancelled: bool = False

    def rate(self) -> float:
        """Return the average throughput in bytes per second."""
        return self.received / max(time.monotonic() - self.started, 1e-6)


class PartialFile:
    """A file that one or more attempts complete together. `contributors` are the URLs that its bytes came from.

    A file with bytes of an earlier run starts with the unknown contributor "". All methods are thread-safe.
    """

    def __init__(self, stream: BinaryIO, size: int | None) -> None:
        self.stream, self.size = stream, size
        self.length = stream.seek(0, os.SEEK_END)
        self.contributors = [""] if self.length else []
        self._lock = threading.Lock()
        if size is not None and self.length > size:
            self.restart()

    def restart(self, attempt: Attempt | None = None) -> None:
        """Discard all bytes. Raise CancelledError if the attempt that asks for it was cancelled."""
        with self._lock:
            if attempt is not None and attempt.cancelled:
                raise CancelledError
            self._clear()

    def _clear(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()
        self.length = 0
        self.contributors.clear()

    def cancel(self, attempt: Attempt) -> None:
        """Accept no more bytes from an attempt."""
        with self._lock:
            attempt.cancelled = True

    def write(self, attempt: Attempt, data: bytes, label: str) -> None:
        """Append the part of an attempt's next bytes that the file does not have yet.

        Raise IntegrityError if they exceed the size, CancelledError if the attempt was cancelled.
        """
        with self._lock:
            if attempt.cancelled:
                raise CancelledError
            start, attempt.position = attempt.position, attempt.position + len(data)
            attempt.received += len(data)
            if self.size is not None and attempt.position > self.size:
                self._clear()
                raise IntegrityError(
                    f"{label}: {redacted(attempt.url)} sent more than {self.size} bytes", hint="Use another index or mirror."
                )
            if start > self.length:
                # Another attempt has restarted the file, which is not this server's fault.
                raise TransientError("the download was restarted", retry_after=0.0, summary="")
            if attempt.position > self.length:
                self.stream.write(data[self.length - start :] if start < self.length else data)
                self.length = attempt.position
                if attempt.url not in self.contributors:
                    self.contributors.append(attempt.url)


def run_attempt(context: Context, attempt: Attempt, read_timeout: float | None) -> None:
    """Complete the file from the attempt's URL. `read_timeout` in seconds; None for the client's own timeouts.

    Raise TransientError, FetchError, IntegrityError or CancelledError.
    """
    if is_local(attempt.url):
        attempt.file.restart(attempt)
        for data in read_local(local_path(attempt.url, context.label), context.label):
            attempt.file.write(attempt, data, context.label)
    else:
        _download(context, attempt, read_timeout)


def _download(context: Context, attempt: Attempt, read_timeout: float | None) -> None:
    import httpx

    file, size = attempt.file, context.size
    length = file.length
    if length and length == size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={length}-"} if length else {})
    timeout = context.client.timeout if read_timeout is None else httpx.Timeout(read_timeout)
    with (
        translate_errors(attempt.url, context.label),
        context.client.stream("GET", attempt.url, headers=headers, timeout=timeout) as response,
    ):
        if response.status_code == 416:
            file.restart(attempt)
            raise TransientError("the server has fewer bytes than were downloaded before", retry_after=0.0)
        raise_for_status(response, context.label)
        attempt.position = range_start(response)
        # Raw bytes, because a compressed file must be stored as it is, whatever Content-Encoding the server states. In chunks as
        # they arrive, because bytes that httpx collects for larger chunks are lost when the connection breaks.
        for data in response.iter_raw():
            file.write(attempt, data, context.label)
            context.progress(attempt.position)
    if size is not None and attempt.position < size:
        raise TransientError(f"only {attempt.position} of {size} bytes arrived", summary="cut off")


def is_local(url: str) -> bool:
    """Return whether this is a path or a file: URL."""
    return url.startswith("file:") or "://" not in url


def local_path(url: str, label: str) -> Path:
    """Return the path of a local file. Raise FetchError if there is none."""
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else Path(url)
    if not path.is_file():
        raise FetchError(f"{label}: there is no file {path}", hint="Put the file there, or run `shipwheel lock` again.", not_found=True)
    return path


def read_local(path: Path, label: str) -> Iterator[bytes]:
    """Yield the bytes of a local file. Raise FetchError if it cannot be read."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FetchError(f"{label}: {path} cannot be read: {error.strerror}", hint="Check the file's permissions.") from error
    with stream:
        while data := stream.read(CHUNK):
            yield data
