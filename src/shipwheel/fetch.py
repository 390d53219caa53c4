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

from shipwheel.errors import FetchError, IntegrityError, StoreError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, silent
from shipwheel.store import CHUNK, Store

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


class _Passing(Exception):
    """Something that may pass: the next attempt resumes."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def redacted(url: str) -> str:
    """The address without user, password and query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


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
            pool.submit(_one, client, item, store, _meter(stage, item, reporter, stop))
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
    reporter(StageFinished(stage, f"{len(wanted)} files"))


def get(url: str, *, label: str, limit: int = 64 << 20) -> bytes:
    """A small file's bytes; raises FetchError (its `status` is the HTTP status, or None) when it cannot be had or is over `limit`."""
    if urlsplit(url).scheme == "file":
        return _local(url, label).read_bytes()
    with _client() as client:
        return _retried(lambda: _small(client, url, limit), url, label)


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


def _meter(stage: str, item: Download, reporter: Reporter, stop: threading.Event) -> Callable[[int], None]:
    def moved(done: int) -> None:
        if stop.is_set():
            raise FetchError(f"{item.label}: interrupted")
        reporter(Moved(stage, item.label, done, item.size or 0))

    return moved


def _one(client: "httpx.Client", item: Download, store: Store, moved: Callable[[int], None]) -> None:
    problems: list[FetchError] = []
    for url in item.urls:
        try:
            _from(client, url, item, store, moved)
            return
        except FetchError as error:
            problems.append(error)
    raise problems[-1] if problems else FetchError(f"{item.label}: no address to fetch it from", hint="Make the lock again.")


def _from(client: "httpx.Client", url: str, item: Download, store: Store, moved: Callable[[int], None]) -> None:
    with _partial(store, item.digest) as stream:
        if store.has(item.digest):
            return
        if urlsplit(url).scheme in ("file", ""):
            _copy(_local(url, item.label), stream)
        else:
            _retried(lambda: _download(client, url, item, stream, moved), url, item.label)
        found = _digest(stream)
        if found != item.digest:
            stream.truncate(0)
            raise IntegrityError(
                f"{item.label}: {redacted(url)} gave other bytes than the lock says (expected {item.digest}, got {found})",
                hint="Nothing of it was kept. Try again, or another index or mirror; if it stays so, do not trust that server.",
            )
        stream.flush()
        os.fsync(stream.fileno())
        store.adopt(store.partial(item.digest), item.digest)


@contextmanager
def _partial(store: Store, digest: str) -> Iterator[BinaryIO]:
    """The file in which a download collects its bytes, for one process at a time."""
    path = store.partial(digest)
    try:
        with path.open("a+b") as stream:
            _lock(stream)
            yield stream
    except OSError as error:
        raise StoreError(f"the store {store.root} cannot be written: {error.strerror}", hint="Free some space on its disk.") from error


def _lock(stream: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(stream, fcntl.LOCK_EX)


def _local(url: str, label: str) -> Path:
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else Path(url)
    if not path.is_file():
        raise FetchError(f"{label}: there is no file {path}", hint="Put the file there, or make the lock again.")
    return path


def _copy(path: Path, stream: BinaryIO) -> None:
    stream.truncate(0)
    with path.open("rb") as source:
        while data := source.read(CHUNK):
            stream.write(data)


def _digest(stream: BinaryIO) -> str:
    stream.flush()
    stream.seek(0)
    seen = hashlib.sha256()
    while data := stream.read(CHUNK):
        seen.update(data)
    return f"sha256:{seen.hexdigest()}"


def _retried(attempt: Callable[[], T], url: str, label: str) -> T:
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except _Passing as problem:
            if number == ATTEMPTS:
                raise FetchError(
                    f"{label}: {redacted(url)}: {problem} ({ATTEMPTS} attempts)",
                    hint="Check the network or the proxy, or use another index or mirror; what was fetched is kept, so try again.",
                ) from problem
            pause = problem.wait if problem.wait is not None else 0.25 * 2**number
            time.sleep(min(pause, _LONGEST_WAIT) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")


def _download(client: "httpx.Client", url: str, item: Download, stream: BinaryIO, moved: Callable[[int], None]) -> None:
    import httpx

    have = stream.seek(0, os.SEEK_END)
    if item.size is not None and have >= item.size:
        if have == item.size:
            return
        stream.truncate(0)
        have = 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with client.stream("GET", url, headers=headers) as response:
            if have and response.status_code != 206:
                stream.truncate(0)
                have = 0
            if response.status_code == 416:
                raise _Passing("the server has less than was fetched before", wait=0.0)
            _check(response, item.label)
            for data in response.iter_raw(CHUNK >> 2):
                stream.write(data)
                have += len(data)
                if item.size is not None and have > item.size:
                    stream.truncate(0)
                    raise IntegrityError(
                        f"{item.label}: {redacted(url)} gave more than {item.size} bytes", hint="Do not trust that server."
                    )
                moved(have)
    except httpx.HTTPError as error:
        raise _Passing(_reason(error)) from error
    if item.size is not None and have < item.size:
        raise _Passing(f"only {have} of {item.size} bytes came")


def _small(client: "httpx.Client", url: str, limit: int) -> bytes:
    import httpx

    data = bytearray()
    try:
        with client.stream("GET", url) as response:
            _check(response, redacted(url))
            for piece in response.iter_bytes():
                data += piece
                if len(data) > limit:
                    raise FetchError(f"{redacted(url)} is larger than {limit} bytes", hint="Do not trust that server.")
    except httpx.HTTPError as error:
        raise _Passing(_reason(error)) from error
    return bytes(data)


def _check(response: "httpx.Response", label: str) -> None:
    status = response.status_code
    if status in _RETRIED:
        after = response.headers.get("Retry-After", "")
        raise _Passing(f"the server answered {status}", wait=float(after) if after.isdigit() else None)
    if status >= 400:
        error = FetchError(
            f"{label}: {redacted(str(response.url))} answered {status} {response.reason_phrase}",
            hint="The file is not there (any more): make the lock again, or use another index or mirror."
            if status in (404, 410)
            else "Check the address and the credentials of the index.",
        )
        error.status = status
        raise error


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
