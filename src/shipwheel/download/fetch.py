"""Downloads: in parallel, resumed, retried, hashed while they stream, each into the store under the digest it must have."""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from shipwheel.download.local_file import is_local, local_file, pieces
from shipwheel.download.race import ATTEMPTS, Job, Partial, exhausted, gathered, pause
from shipwheel.download.servers import LIED, Servers, server_of
from shipwheel.download.transfer import Passing, check, passing, redacted
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, Warned, silent
from shipwheel.store import CHUNK, Store, unusable

if TYPE_CHECKING:
    import httpx

__all__ = ["Download", "fetch", "get", "redacted"]

T = TypeVar("T")

WORKERS = 8
"""Downloads at a time."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that must have this digest (`sha256:<hex>`), from whichever address gives it. `size` in bytes, None when unknown."""

    urls: tuple[str, ...]
    digest: str
    size: int | None
    label: str


class _Interrupted(Exception):
    """The whole stage ends; what was fetched so far is kept."""


def fetch(
    downloads: Sequence[Download], store: Store, reporter: Reporter = silent, *, stage: str = "fetch", workers: int = WORKERS
) -> None:
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
    servers = Servers()
    with _client() as client, ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        # The largest first: the end of the stage is then not one long download alone.
        jobs = [
            pool.submit(_one, client, item, _Meter(stage, item, reporter, stop, store), servers, store)
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
    for trouble in servers.troubles():
        reporter(Warned(trouble, "" if failures else "Other servers gave what it did not."))
    _raise_all(failures)
    reporter(StageFinished(stage, f"{len(wanted)} files, {total / 1e6:.1f} MB"))


def get(url: str, *, label: str, limit: int = 64 << 20) -> bytes:
    """A small file's bytes; raises FetchError (its `status` is the HTTP status, or None) when it cannot be had or is over `limit`."""
    if is_local(url):
        data = bytearray()
        for piece in pieces(local_file(url, label), label):
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
    combined = kind(f"{len(failures)} files could not be fetched:\n{lines}", hint=failures[0].hint)
    combined.not_found = any(error.not_found for error in failures)
    raise combined


def _client() -> "httpx.Client":
    import httpx

    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(30.0, connect=15.0),
        limits=httpx.Limits(max_connections=4 * WORKERS, max_keepalive_connections=2 * WORKERS),
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


def _one(client: "httpx.Client", item: Download, meter: _Meter, servers: Servers, store: Store) -> None:
    """From whichever servers give it, together; if that is not what the lock says, from each of them alone."""
    if not item.urls:
        raise FetchError(f"{item.label}: no address to fetch it from", hint="Make the lock again.")
    job = Job(client, item.label, item.size, servers, meter)
    with _partial(store, item.digest) as stream:
        if store.has(item.digest):
            # Another process was quicker.
            store.partial(item.digest).unlink(missing_ok=True)
            return
        together = Partial(stream, item.size)
        problems: list[FetchError] = []
        last = gathered(job, dict.fromkeys(item.urls, together), problems, lambda _: None)
        givers = together.givers
        if last is not None and (found := _digest(stream)) != item.digest:
            last = _alone(job, item, together, store.partial(item.digest).parent, problems, found)
            givers = [last]
        if not last:
            # Other bytes than promised are worse news than none.
            raise sorted(problems, key=lambda error: isinstance(error, IntegrityError))[-1]
        for url in filter(None, givers):
            servers.proved(url)
        stream.flush()
        os.fsync(stream.fileno())
        store.adopt(store.partial(item.digest), item.digest)


def _alone(job: Job, item: Download, together: Partial, folder: Path, problems: list[FetchError], found: str) -> str:
    """Again from the start, each server for itself, those first that have given nothing so far; the one with the right bytes, or none."""
    givers = list(together.givers)
    if len(givers) == 1 and givers[0]:
        problems.append(_other_bytes(job, item, givers[0], found))
    suspects = {server_of(url) for url in givers}
    rest = [url for url in item.urls if [url] != givers]
    rest.sort(key=lambda url: (not job.servers.is_proven(url), server_of(url) in suspects))
    together.restart()
    with ExitStack() as stack:
        own = {url: Partial(stack.enter_context(TemporaryFile(dir=folder)), item.size) for url in rest[:-1]}
        partials = {url: own.get(url, together) for url in rest}

        def wrong(url: str) -> IntegrityError | None:
            digest = _digest(partials[url].stream)
            return _other_bytes(job, item, url, digest) if digest != item.digest else None

        best = gathered(job, partials, problems, wrong)
        if best is None or best in own:
            together.restart()
        if best is None:
            return ""
        if best in own:
            own[best].stream.seek(0)
            shutil.copyfileobj(own[best].stream, together.stream)
    others = {server_of(giver): giver for giver in givers if giver and server_of(giver) != server_of(best)}
    if len(others) == 1 and "" not in givers:
        _lied(job, item, *others.values())
    return best


def _other_bytes(job: Job, item: Download, url: str, found: str) -> IntegrityError:
    _lied(job, item, url)
    return IntegrityError(
        f"{item.label}: {redacted(url)} gave other bytes than the lock says (expected {item.digest}, got {found})",
        hint="Nothing of it was kept. Try again, or another index or mirror; if it stays so, do not trust that server.",
    )


def _lied(job: Job, item: Download, url: str) -> None:
    """That is news where another server could help, and no end."""
    if len({server_of(other) for other in item.urls}) > 1:
        job.servers.failed(url, "gave other bytes than the lock says for", item.label, LIED)


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
        except Passing as problem:
            if number == ATTEMPTS:
                raise exhausted(url, label, problem) from problem
            pause([problem.wait], number, wait)
    raise AssertionError("unreachable")


def _small(client: "httpx.Client", url: str, label: str, limit: int) -> bytes:
    data = bytearray()
    with passing(url, label), client.stream("GET", url) as response:
        check(response, label)
        for piece in response.iter_bytes():
            data += piece
            _limited(len(data), url, label, limit)
    return bytes(data)


def _limited(size: int, url: str, label: str, limit: int) -> None:
    if size > limit:
        raise FetchError(f"{label}: {redacted(url)} is larger than {limit} bytes", hint="Do not trust that server.")
