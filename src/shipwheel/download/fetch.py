"""Download files into the store: in parallel, resumed, retried, hashed, each from any of several servers."""

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import msgspec

from shipwheel.digest import Digest, hash_digest
from shipwheel.download.attempt import Context, PartialFile, is_local, local_path, read_local
from shipwheel.download.http import (
    MAX_ATTEMPTS,
    TransientError,
    back_off,
    raise_for_status,
    redacted,
    retries_exhausted,
    translate_errors,
    trusted_authorities,
)
from shipwheel.download.race import race
from shipwheel.download.servers import CORRUPT, Servers, server_of
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, Warned, silent
from shipwheel.store.file_lock import lock_file
from shipwheel.store.store import CHUNK, Store, store_write_error
from shipwheel.timeline import span

if TYPE_CHECKING:
    import httpx

__all__ = ["Download", "fetch", "fetch_bytes", "probe"]

T = TypeVar("T")

WORKERS = 8
"""Downloads at a time."""


class Download(msgspec.Struct, frozen=True):
    """A file to download from any of its URLs. `digest` is `sha256:<hex>`; `size` is in bytes, None if unknown."""

    urls: tuple[str, ...]
    digest: Digest
    size: int | None
    label: str


class _Interrupted(Exception):
    """The whole stage ends; partial downloads are kept."""


def fetch(
    downloads: Sequence[Download], store: Store, reporter: Reporter = silent, *, stage: str = "files", workers: int = WORKERS
) -> None:
    """Download the files that the store does not have. A download that was interrupted before is resumed.

    Raise one FetchError, or IntegrityError, that names every failed file.
    """
    missing = list({item.digest: item for item in downloads if not store.has(item.digest)}.values())
    if not missing:
        return
    total = sum(item.size or 0 for item in missing)
    reporter(StageStarted(stage, total, "bytes", detail=True))
    stop = threading.Event()
    failures: list[FetchError] = []
    servers = Servers()
    with _client() as client, ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        # Largest first, so that the stage does not end with a single long download.
        jobs = [
            pool.submit(_fetch_one, client, item, _Progress(stage, item, reporter, stop, store), servers, store)
            for item in sorted(missing, key=lambda item: -(item.size or 0))
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
    for warning in servers.warnings():
        reporter(Warned(warning, "" if failures else "Other servers sent these files instead."))
    _raise_all(failures)
    reporter(StageFinished(stage, f"{len(missing)} files, {total / 1e6:.1f} MB"))


def fetch_bytes(url: str, *, label: str, limit: int = 64 << 20) -> bytes:
    """Return the bytes of a small file. Raise FetchError if it cannot be fetched or has more than `limit` bytes."""
    if is_local(url):
        return _read_limited(read_local(local_path(url, label), label), url, label, limit)
    return _retried(lambda client: _get(client, url, label, limit), url, label)


def probe(urls: Iterable[str], label: str) -> None:
    """Raise FetchError unless one of the URLs answers with a file. No more than its start is read."""
    failures: list[FetchError] = []
    for url in urls:
        try:
            if is_local(url):
                next(read_local(local_path(url, label), label), b"")
            else:
                _retried(partial(_open, url=url, label=label), url, label)
        except FetchError as error:
            failures.append(error)
        else:
            return
    if failures:
        raise failures[-1]


def _retried(request: Callable[["httpx.Client"], T], url: str, label: str) -> T:
    with _client() as client:
        for number in range(1, MAX_ATTEMPTS + 1):
            try:
                return request(client)
            except TransientError as error:
                if number == MAX_ATTEMPTS:
                    raise retries_exhausted(url, label, error) from error
                back_off([error.retry_after], number, time.sleep)
    raise AssertionError("unreachable")


def _open(client: "httpx.Client", *, url: str, label: str) -> None:
    with translate_errors(url, label), client.stream("GET", url) as response:
        raise_for_status(response, label)


def _raise_all(failures: list[FetchError]) -> None:
    if not failures:
        return
    if len(failures) == 1:
        raise failures[0]
    kind = IntegrityError if all(isinstance(error, IntegrityError) for error in failures) else FetchError
    lines = "\n".join(f"  {error.message}" for error in sorted(failures, key=lambda error: error.message))
    not_found = any(error.not_found for error in failures)
    raise kind(f"{len(failures)} files could not be fetched:\n{lines}", hint=failures[0].hint, not_found=not_found)


def _client() -> "httpx.Client":
    import httpx

    return httpx.Client(
        verify=trusted_authorities(),
        follow_redirects=True,
        timeout=httpx.Timeout(30.0, connect=15.0),
        limits=httpx.Limits(max_connections=4 * WORKERS, max_keepalive_connections=2 * WORKERS),
        headers={"User-Agent": "shipwheel"},
    )


class _Progress(msgspec.Struct, frozen=True):
    """Reports the progress of one download, and ends it when the stage ends."""

    stage: str
    item: Download
    reporter: Reporter
    stop: threading.Event
    store: Store

    def __call__(self, done: int) -> None:
        # By digest, because the wheels of one package for two platforms share a label.
        self.reporter(Moved(self.stage, self.item.digest, done, self.item.size or 0))
        self.check()

    def check(self) -> None:
        if self.stop.is_set() or self.store.closed.is_set():
            raise _Interrupted

    def wait(self, seconds: float) -> None:
        self.stop.wait(seconds)
        self.check()


def _fetch_one(client: "httpx.Client", item: Download, progress: _Progress, servers: Servers, store: Store) -> None:
    """Let all servers complete one file together; if its digest is wrong, let each complete its own."""
    if not item.urls:
        raise FetchError(f"{item.label}: the lock has no URL for it", hint="Run `shipwheel lock` again.")
    context = Context(client, item.label, item.size, servers, progress)
    with span("download", item.label), _open_partial(store, item.digest) as stream:
        if store.has(item.digest):
            # Another process has fetched it in the meantime.
            store.partial(item.digest).unlink(missing_ok=True)
            return
        shared = PartialFile(stream, item.size)
        failures: list[FetchError] = []
        winner = race(context, dict.fromkeys(item.urls, shared), failures, lambda _: None)
        contributors = shared.contributors
        if winner is not None and (digest := _digest(stream)) != item.digest:
            winner = _race_separately(context, item, shared, store.partial(item.digest).parent, failures, digest)
            contributors = [winner] if winner else []
        if winner is None:
            # Wrong bytes are worse news than none.
            raise sorted(failures, key=lambda error: isinstance(error, IntegrityError))[-1]
        for url in filter(None, contributors):
            servers.record_success(url)
        stream.flush()
        os.fsync(stream.fileno())
        store.adopt(store.partial(item.digest), item.digest)


def _race_separately(
    context: Context, item: Download, shared: PartialFile, folder: Path, failures: list[FetchError], digest: Digest
) -> str | None:
    """Start again with one file for each URL, those first that contributed nothing so far, and return the URL with the right bytes.

    `digest` is what the servers' bytes had together.
    """
    contributors = list(shared.contributors)
    if len(contributors) == 1 and contributors[0]:
        failures.append(_wrong_bytes(context, item, contributors[0], digest))
    suspects = {server_of(url) for url in contributors}
    urls = [url for url in item.urls if [url] != contributors]
    urls.sort(key=lambda url: (not context.servers.is_proven(url), server_of(url) in suspects))
    shared.restart()
    with ExitStack() as stack:
        own = {url: PartialFile(stack.enter_context(TemporaryFile(dir=folder)), item.size) for url in urls[:-1]}
        files = {url: own.get(url, shared) for url in urls}

        def verify(url: str) -> IntegrityError | None:
            digest = _digest(files[url].stream)
            return _wrong_bytes(context, item, url, digest) if digest != item.digest else None

        winner = race(context, files, failures, verify)
        if winner is None or winner in own:
            shared.restart()
        if winner is None:
            return None
        if winner in own:
            own[winner].stream.seek(0)
            shutil.copyfileobj(own[winner].stream, shared.stream)
    others = {server_of(url): url for url in contributors if url and server_of(url) != server_of(winner)}
    if len(others) == 1 and "" not in contributors:
        _record_corrupt(context, item, *others.values())
    return winner


def _wrong_bytes(context: Context, item: Download, url: str, digest: Digest) -> IntegrityError:
    _record_corrupt(context, item, url)
    return IntegrityError(
        f"{item.label}: {redacted(url)} sent other bytes than the lock states (expected {item.digest}, got {digest})",
        hint="The download was discarded. Try again, or use another index or mirror; if it happens again, do not trust that server.",
    )


def _record_corrupt(context: Context, item: Download, url: str) -> None:
    """Record wrong bytes for the stage's warnings, unless there is only one server: then the error itself says it."""
    if len({server_of(each) for each in item.urls}) > 1:
        context.servers.record_failure(url, "sent wrong bytes for", item.label, CORRUPT)


@contextmanager
def _open_partial(store: Store, digest: Digest) -> Iterator[BinaryIO]:
    """Open the file that a download collects its bytes in, locked against other processes."""
    path = store.partial(digest)
    try:
        with path.open("a+b") as stream:
            lock_file(stream)
            # The time of its last use. Another download of the same file may have finished, and moved it.
            with suppress(FileNotFoundError):
                os.utime(path)
            yield stream
    except OSError as error:
        raise store_write_error(store.root, error) from error


def _digest(stream: BinaryIO) -> Digest:
    stream.flush()
    stream.seek(0)
    seen = hashlib.sha256()
    while data := stream.read(CHUNK):
        seen.update(data)
    return hash_digest(seen)


def _get(client: "httpx.Client", url: str, label: str, limit: int) -> bytes:
    with translate_errors(url, label), client.stream("GET", url) as response:
        raise_for_status(response, label)
        return _read_limited(response.iter_bytes(), url, label, limit)


def _read_limited(chunks: Iterator[bytes], url: str, label: str, limit: int) -> bytes:
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > limit:
            raise FetchError(f"{label}: {redacted(url)} is larger than {limit} bytes", hint="Check the address, or use another server.")
    return bytes(data)
