"""Downloads: in parallel, resumed, retried, hashed while they stream, each into the store under the digest it must have."""

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from shipwheel.errors import FetchError, IntegrityError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, silent
from shipwheel.store import CHUNK, Store, unusable

if TYPE_CHECKING:
    import httpx

__all__ = ["Download", "fetch", "get", "redacted"]

T = TypeVar("T")

ATTEMPTS = 5
"""How often one address is tried, when what went wrong may pass."""

_LONGEST_WAIT = 30.0
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Download:
    """A file that must have this digest (`sha256:<hex>`), from whichever address gives it. `size` in bytes, None when unknown."""

    urls: tuple[str, ...]
    digest: str
    size: int | None
    label: str


class _Interrupted(Exception):
    """The whole stage ends; what was fetched so far is kept."""


class _Passing(Exception):
    """Something that may pass: the next attempt resumes."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


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


def fetch(downloads: Sequence[Download], store: Store, reporter: Reporter = silent, *, stage: str = "fetch", workers: int = 8) -> None:
    """Brings every download into the store; what is there already is not fetched again.

    Raises one FetchError, or IntegrityError, that names all that failed. An interrupted download goes on from where it was.
    """
    wanted = list({item.digest: item for item in downloads if not store.has(item.digest)}.values())
    if not wanted:
        return
    total = sum(item.size or 0 for item in wanted)
    reporter(StageStarted(stage, total, "bytes"))
    stop = threading.Event()
    failures: list[FetchError] = []
    with _client() as client, ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        # The largest first: the end of the stage is then not one long download alone.
        jobs = [
            pool.submit(_one, client, item, store, _Meter(stage, item, reporter, stop, store))
            for item in sorted(wanted, key=lambda item: -(item.size or 0))
        ]
        try:
            for job in as_completed(jobs):
                error = job.exception()
                if isinstance(error, FetchError):
                    failures.append(error)
                elif error is not None:
                    raise error
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    _raise_all(failures)
    reporter(StageFinished(stage, f"{len(wanted)} files, {total / 1e6:.1f} MB"))


def get(url: str, *, label: str, limit: int = 64 << 20) -> bytes:
    """A small file's bytes; raises FetchError (its `status` is the HTTP status, or None) when it cannot be had or is over `limit`."""
    if _is_local(url):
        data = bytearray()
        for piece in _pieces(_local(url, label), label):
            data += piece
            _limited(len(data), url, label, limit)
        return bytes(data)
    with _client() as client:
        return _retried(lambda: _small(client, url, label, limit), url, label, time.sleep)


def _raise_all(failures: list[FetchError]) -> None:
    if not failures:
        return
    if len(failures) == 1:
        raise failures[0]
    kind = IntegrityError if all(isinstance(error, IntegrityError) for error in failures) else FetchError
    lines = "\n".join(f"  {error.message}" for error in sorted(failures, key=lambda error: error.message))
    raise kind(f"{len(failures)} files could not be fetched:\n{lines}", hint=failures[0].hint)


def _client() -> "httpx.Client":
    import httpx

    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(30.0, connect=15.0),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=16),
        headers={"User-Agent": "shipwheel"},
    )


@dataclass(frozen=True, slots=True)
class _Meter:
    """Tells the reporter how far a download is, and the download that it must end."""

    stage: str
    item: Download
    reporter: Reporter
    stop: threading.Event
    store: Store

    def __call__(self, done: int) -> None:
        # By digest, since one distribution's wheels for two platforms have one label.
        self.reporter(Moved(self.stage, self.item.digest, done, self.item.size or 0))
        self.check()

    def check(self) -> None:
        if self.stop.is_set() or self.store.closed.is_set():
            raise _Interrupted

    def wait(self, seconds: float) -> None:
        self.stop.wait(seconds)
        self.check()


def _one(client: "httpx.Client", item: Download, store: Store, meter: _Meter) -> None:
    problems: list[FetchError] = []
    for url in item.urls:
        try:
            _from(client, url, item, store, meter)
            return
        except FetchError as error:
            problems.append(error)
    # Other bytes than promised are worse news than none.
    problems.sort(key=lambda error: isinstance(error, IntegrityError))
    raise problems[-1] if problems else FetchError(f"{item.label}: no address to fetch it from", hint="Make the lock again.")


def _from(client: "httpx.Client", url: str, item: Download, store: Store, meter: _Meter) -> None:
    with _partial(store, item.digest) as stream:
        if store.has(item.digest):
            # Another process was quicker.
            store.partial(item.digest).unlink(missing_ok=True)
            return
        resumed = stream.seek(0, os.SEEK_END) > 0
        found = _filled(client, url, item, stream, meter)
        if found != item.digest and resumed:
            # What was there before may be another server's, or from before a crash of the machine.
            stream.truncate(0)
            found = _filled(client, url, item, stream, meter)
        if found != item.digest:
            stream.truncate(0)
            raise IntegrityError(
                f"{item.label}: {redacted(url)} gave other bytes than the lock says (expected {item.digest}, got {found})",
                hint="Nothing of it was kept. Try again, or another index or mirror; if it stays so, do not trust that server.",
            )
        stream.flush()
        os.fsync(stream.fileno())
        store.adopt(store.partial(item.digest), item.digest)


def _filled(client: "httpx.Client", url: str, item: Download, stream: BinaryIO, meter: _Meter) -> str:
    """Completes the partial file from the address; the digest of the whole."""
    if _is_local(url):
        _copy(_local(url, item.label), stream, item.label)
    else:
        _retried(lambda: _download(client, url, item, stream, meter), url, item.label, meter.wait)
    return _digest(stream)


@contextmanager
def _partial(store: Store, digest: str) -> Iterator[BinaryIO]:
    """The file in which a download collects its bytes, for one process at a time."""
    path = store.partial(digest)
    try:
        with path.open("a+b") as stream:
            _lock(stream)
            yield stream
    except OSError as error:
        raise unusable(store.root, error) from error


def _lock(stream: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(stream, fcntl.LOCK_EX)


def _is_local(url: str) -> bool:
    return url.startswith("file:") or "://" not in url


def _local(url: str, label: str) -> Path:
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else Path(url)
    if not path.is_file():
        raise FetchError(f"{label}: there is no file {path}", hint="Put the file there, or make the lock again.")
    return path


def _copy(path: Path, stream: BinaryIO, label: str) -> None:
    stream.truncate(0)
    for data in _pieces(path, label):
        stream.write(data)


def _pieces(path: Path, label: str) -> Iterator[bytes]:
    try:
        source = path.open("rb")
    except OSError as error:
        raise FetchError(f"{label}: {path} cannot be read: {error.strerror}", hint="Make it readable, and try again.") from error
    with source:
        while data := source.read(CHUNK):
            yield data


def _digest(stream: BinaryIO) -> str:
    stream.flush()
    stream.seek(0)
    seen = hashlib.sha256()
    while data := stream.read(CHUNK):
        seen.update(data)
    return f"sha256:{seen.hexdigest()}"


def _retried(attempt: Callable[[], T], url: str, label: str, wait: Callable[[float], None]) -> T:
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except _Passing as problem:
            if number == ATTEMPTS:
                raise FetchError(
                    f"{label}: {redacted(url)}: {problem} ({ATTEMPTS} attempts)",
                    hint="Check the network or the proxy, or use another index or mirror; what was fetched is kept, so try again.",
                ) from problem
            # Never less than a server asks for, and not all clients at the same moment.
            pause = problem.wait if problem.wait is not None else 0.125 * 2**number
            wait(min(pause, _LONGEST_WAIT) * random.uniform(1.0, 2.0 if problem.wait is None else 1.1))  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")


def _download(client: "httpx.Client", url: str, item: Download, stream: BinaryIO, meter: _Meter) -> None:
    have = stream.seek(0, os.SEEK_END)
    if item.size is not None and have > item.size:
        have = _restarted(stream)
    if have and have == item.size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _passing(url, item.label), client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:
            _restarted(stream)
            raise _Passing("the server has less than was fetched before", wait=0.0)
        _check(response, item.label)
        if have and not _goes_on(response, have):
            have = _restarted(stream)
        # Raw, because a file that is compressed must be kept as it is, whatever the server calls that; and in the pieces in which it
        # comes, because what httpx collects to make larger ones is lost when the connection breaks.
        for data in response.iter_raw():
            stream.write(data)
            have += len(data)
            if item.size is not None and have > item.size:
                stream.truncate(0)
                raise IntegrityError(f"{item.label}: {redacted(url)} gave more than {item.size} bytes", hint="Do not trust that server.")
            meter(have)
    if item.size is not None and have < item.size:
        raise _Passing(f"only {have} of {item.size} bytes came")


def _restarted(stream: BinaryIO) -> int:
    stream.truncate(0)
    return 0


def _goes_on(response: "httpx.Response", have: int) -> bool:
    """Whether the answer begins where we asked for (RFC 9110, 14.4 and 15.3.7)."""
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


@contextmanager
def _passing(url: str, label: str) -> Iterator[None]:
    """Turns httpx's errors into ours: those that may pass, and addresses that never will do."""
    import httpx

    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        # Without the text, which may have a password in it.
        hint = "Check the address of the index or mirror."
        raise FetchError(f"{label}: {redacted(url)} is not an address that can be fetched from", hint=hint) from error
    except httpx.HTTPError as error:
        raise _Passing(_reason(error)) from error


def _small(client: "httpx.Client", url: str, label: str, limit: int) -> bytes:
    data = bytearray()
    with _passing(url, label), client.stream("GET", url) as response:
        _check(response, label)
        for piece in response.iter_bytes():
            data += piece
            _limited(len(data), url, label, limit)
    return bytes(data)


def _limited(size: int, url: str, label: str, limit: int) -> None:
    if size > limit:
        raise FetchError(f"{label}: {redacted(url)} is larger than {limit} bytes", hint="Do not trust that server.")


def _check(response: "httpx.Response", label: str) -> None:
    status = response.status_code
    if status in _RETRIED:
        after = response.headers.get("Retry-After", "")[:9]
        raise _Passing(f"the server answered {status}", wait=float(after) if after.isascii() and after.isdigit() else None)
    if status >= 400:
        error = FetchError(
            f"{label}: {redacted(str(response.url))} answered {status} {response.reason_phrase[:100]}",
            hint="The file is not there (any more): make the lock again, or use another index or mirror."
            if status in (404, 410)
            else "Check the address and the credentials of the index.",
        )
        error.status = status
        raise error


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
