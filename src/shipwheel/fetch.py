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
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, Warned, silent
from shipwheel.servers import LIED, Pace, Servers, server_of
from shipwheel.store import CHUNK, Store, unusable
from shipwheel.transfer import Passing, Slow, check, goes_on, passing, redacted

if TYPE_CHECKING:
    import httpx

__all__ = ["Download", "fetch", "get", "redacted"]

T = TypeVar("T")

ATTEMPTS = 5
"""How often one address is tried, when what went wrong may pass."""

PATIENCE = 1.5
"""Seconds without a byte after which another server is asked, when there is one; more with every round."""

_LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Download:
    """A file that must have this digest (`sha256:<hex>`), from whichever address gives it. `size` in bytes, None when unknown."""

    urls: tuple[str, ...]
    digest: str
    size: int | None
    label: str


class _Interrupted(Exception):
    """The whole stage ends; what was fetched so far is kept."""


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
    servers = Servers()
    with _client() as client, ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        # The largest first: the end of the stage is then not one long download alone.
        jobs = [
            pool.submit(_one, _Job(client, item, _Meter(stage, item, reporter, stop, store), servers), store)
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


@dataclass(frozen=True, slots=True)
class _Job:
    """One download: how it is fetched, and from what kinds of servers."""

    client: "httpx.Client"
    item: Download
    meter: _Meter
    servers: Servers

    @property
    def shared(self) -> bool:
        """Whether more than one server can give it, so that what one does wrong is news and no end."""
        return len({server_of(url) for url in self.item.urls}) > 1

    def lied(self, url: str) -> None:
        """The server gave other bytes."""
        if self.shared:
            self.servers.failed(url, "gave other bytes than the lock says for", self.item.label, LIED)


def _one(job: _Job, store: Store) -> None:
    """From whichever servers give it, together; if that is not what the lock says, from each of them alone."""
    item = job.item
    if not item.urls:
        raise FetchError(f"{item.label}: no address to fetch it from", hint="Make the lock again.")
    with _partial(store, item.digest) as stream:
        if store.has(item.digest):
            # Another process was quicker.
            store.partial(item.digest).unlink(missing_ok=True)
            return
        # What was there before may be another server's, or from before a crash of the machine.
        givers = [""] if stream.seek(0, os.SEEK_END) else []
        problems: list[FetchError] = []
        found = _gathered(job, item.urls, stream, givers, problems)
        if found not in (None, item.digest):
            found = _alone(job, stream, givers, problems, str(found))
        if found != item.digest:
            # Other bytes than promised are worse news than none.
            raise sorted(problems, key=lambda error: isinstance(error, IntegrityError))[-1]
        stream.flush()
        os.fsync(stream.fileno())
        store.adopt(store.partial(item.digest), item.digest)


def _alone(job: _Job, stream: BinaryIO, givers: Sequence[str], problems: list[FetchError], found: str) -> str | None:
    """Again from the start, from one server at a time, those first that have given nothing so far; the digest, or None."""
    item = job.item
    if len(givers) == 1 and givers[0]:
        problems.append(_other_bytes(job, givers[0], found))
    suspects = {server_of(url) for url in givers if url}
    rest = [url for url in job.servers.order(item.urls) if [url] != list(givers)]
    for url in sorted(rest, key=lambda url: server_of(url) in suspects):
        stream.truncate(0)
        got = _gathered(job, (url,), stream, [], problems)
        if got == item.digest:
            others = {server_of(giver): giver for giver in givers if giver and server_of(giver) != server_of(url)}
            if len(others) == 1 and "" not in givers:
                job.lied(*others.values())
            return got
        if got is not None:
            problems.append(_other_bytes(job, url, got))
    stream.truncate(0)
    return None


def _other_bytes(job: _Job, url: str, found: str) -> IntegrityError:
    job.lied(url)
    return IntegrityError(
        f"{job.item.label}: {redacted(url)} gave other bytes than the lock says (expected {job.item.digest}, got {found})",
        hint="Nothing of it was kept. Try again, or another index or mirror; if it stays so, do not trust that server.",
    )


def _gathered(job: _Job, urls: Sequence[str], stream: BinaryIO, givers: list[str], problems: list[FetchError]) -> str | None:
    """Completes the partial file from whichever address gives the rest; the digest of the whole, None when none completes it.

    `givers` grows by the addresses that gave bytes, `problems` by what is final for an address.
    """
    alive = list(urls)
    again: dict[str, Passing] = {}
    for number in range(1, ATTEMPTS + 1):
        for url in job.servers.order(alive):
            before = stream.seek(0, os.SEEK_END)
            try:
                _filled(job, url, [other for other in alive if other != url], stream, number)
                return _digest(stream)
            except FetchError as error:
                alive.remove(url)
                problems.append(error)
                _note(job, url, error)
            except Passing as problem:
                again[url] = problem
            finally:
                if stream.seek(0, os.SEEK_END) != before and url not in givers:
                    givers.append(url)
        if not alive:
            return None
        if number < ATTEMPTS:
            _pause([again[url].wait for url in alive if url in again], number, job.meter.wait)
    problems += [_exhausted(url, job.item.label, problem) for url, problem in again.items() if url in alive]
    return None


def _note(job: _Job, url: str, error: FetchError) -> None:
    if not job.shared:
        return
    if isinstance(error, IntegrityError):
        job.lied(url)
    elif error.status in (404, 410):
        job.servers.lacks(url, job.item.label)
    else:
        job.servers.failed(url, f"answered {error.status} for" if error.status else "could not give", job.item.label)


def _exhausted(url: str, label: str, problem: Passing) -> FetchError:
    error = FetchError(
        f"{label}: {redacted(url)}: {problem} ({ATTEMPTS} attempts)",
        hint="Check the network or the proxy, or use another index or mirror; what was fetched is kept, so try again.",
    )
    error.__cause__ = problem
    return error


def _filled(job: _Job, url: str, others: Sequence[str], stream: BinaryIO, number: int) -> None:
    """Completes the partial file from the address. Raises Passing, FetchError."""
    if _is_local(url):
        _copy(_local(url, job.item.label), stream, job.item.label)
        return
    elsewhere = any(server_of(other) != server_of(url) for other in others)
    # Who has a choice need not be patient, at first.
    patience = PATIENCE * number if elsewhere else None
    pace = job.servers.pace(url, others if number < ATTEMPTS else ())
    try:
        _download(job, url, stream, pace, patience)
    except Slow as problem:
        job.servers.slow(url, problem.rate, job.item.label)
        raise
    except Passing as problem:
        if elsewhere:
            job.servers.failed(url, problem.what, job.item.label)
        raise
    pace.done()


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
        except Passing as problem:
            if number == ATTEMPTS:
                raise _exhausted(url, label, problem) from problem
            _pause([problem.wait], number, wait)
    raise AssertionError("unreachable")


def _pause(asked: Sequence[float | None], number: int, wait: Callable[[float], None]) -> None:
    """Never less than a server asks for, and not all clients at the same moment."""
    if not asked:
        return
    pause, told = min((0.125 * 2**number if some is None else some, some is not None) for some in asked)
    wait(min(pause, _LONGEST_WAIT) * random.uniform(1.0, 1.1 if told else 2.0))  # noqa: S311 - jitter, not a secret


def _download(job: _Job, url: str, stream: BinaryIO, pace: Pace, patience: float | None) -> None:
    import httpx

    item = job.item
    have = stream.seek(0, os.SEEK_END)
    if item.size is not None and have > item.size:
        have = _restarted(stream)
    if have and have == item.size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    limit = job.client.timeout if patience is None else httpx.Timeout(patience)
    with passing(url, item.label), job.client.stream("GET", url, headers=headers, timeout=limit) as response:
        if response.status_code == 416:
            _restarted(stream)
            raise Passing("the server has less than was fetched before", wait=0.0)
        check(response, item.label)
        if have and not goes_on(response, have):
            have = _restarted(stream)
        # Raw, because a file that is compressed must be kept as it is, whatever the server calls that; and in the pieces in which it
        # comes, because what httpx collects to make larger ones is lost when the connection breaks.
        for data in response.iter_raw():
            stream.write(data)
            have += len(data)
            if item.size is not None and have > item.size:
                stream.truncate(0)
                raise IntegrityError(f"{item.label}: {redacted(url)} gave more than {item.size} bytes", hint="Do not trust that server.")
            job.meter(have)
            if (rate := pace(len(data))) is not None and have != item.size:
                raise Slow(rate)
    if item.size is not None and have < item.size:
        raise Passing(f"only {have} of {item.size} bytes came", what="cut off")


def _restarted(stream: BinaryIO) -> int:
    stream.truncate(0)
    return 0


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
