"""Downloads from one server that fails on demand."""

import hashlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.disk import small_disk
from support.process import HANG_S
from support.programs import needs_root

from shipwheel.digest import digest_of
from shipwheel.download import fetch as module
from shipwheel.download.fetch import Download, fetch, fetch_bytes
from shipwheel.download.http import MAX_ATTEMPTS, redacted
from shipwheel.errors import FetchError, IntegrityError, StoreError
from shipwheel.events import Event, Moved, StageFinished, StageStarted
from shipwheel.store.store import Store
from shipwheel.testing.package_index import Fault, PackageIndex

DATA = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(40_000))  # 1.28 MB
HALF = len(DATA) // 2


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as running:
        yield running


@pytest.fixture
def other() -> Iterator[PackageIndex]:
    with PackageIndex() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which are recorded instead of made."""
    made: list[float] = []
    monkeypatch.setattr("shipwheel.download.fetch.time", SimpleNamespace(sleep=made.append))
    monkeypatch.setattr(module._Progress, "wait", lambda self, seconds: made.append(seconds))
    return made


def download(*urls: str, data: bytes = DATA, label: str = "a file", size: int | None = -1) -> Download:
    return Download(urls, digest_of(data), len(data) if size == -1 else size, label)


def leftovers(store: Store) -> int:
    """Return the bytes of all files in the store."""
    return sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())


def test_fetches_every_file_once(index: PackageIndex, store: Store) -> None:
    paths = [index.add(f"f{number}", bytes([number]) * 100) for number in range(20)]
    items = [download(index.url + path, data=bytes([number]) * 100, label=path) for number, path in enumerate(paths)]
    fetch([*items, *items], store)
    fetch(items, store)
    assert [index.count(path) for path in paths] == [1] * 20
    assert all(store.read(item.digest) == bytes([number]) * 100 for number, item in enumerate(items))
    assert not list((store.root / "partial").iterdir())


def test_reports_progress(index: PackageIndex, store: Store) -> None:
    seen: list[Event] = []
    fetch([download(index.url + index.add("f", DATA), label="f")], store, seen.append)
    assert seen[0] == StageStarted("files", len(DATA), "bytes", detail=True)
    assert isinstance(seen[-1], StageFinished)
    assert seen[-2] == Moved("files", digest_of(DATA), len(DATA), len(DATA))


def test_fetches_an_empty_file(index: PackageIndex, store: Store) -> None:
    fetch([download(index.url + index.add("f", b""), data=b"")], store)
    assert store.read(digest_of(b"")) == b""


@pytest.mark.parametrize("size", [-1, None])
def test_resumes_half_a_file(index: PackageIndex, store: Store, waits: list[float], size: int | None) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(times=1, cut=HALF))
    fetch([download(index.url + path, size=size)], store)
    assert store.read(digest_of(DATA)) == DATA
    assert index.sent(path) == len(DATA)
    assert index.requests[-1].headers["range"] == f"bytes={HALF}-"
    assert len(waits) == 1


def test_a_transient_status_keeps_the_partial_file(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    store.partial(digest_of(DATA)).write_bytes(DATA[:HALF])
    index.fault(path, Fault(times=2, status=503))
    fetch([download(index.url + path)], store)
    assert [request.headers["range"] for request in index.requests] == [f"bytes={HALF}-"] * 3
    assert index.requests[-1].sent == len(DATA) - HALF


def test_starts_again_from_a_server_without_ranges(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    store.partial(digest_of(DATA)).write_bytes(DATA[:HALF])
    index.fault(path, Fault(no_range=True))
    fetch([download(index.url + path)], store)
    assert store.read(digest_of(DATA)) == DATA
    assert not waits


def test_accepts_a_response_with_another_range(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    store.partial(digest_of(DATA)).write_bytes(DATA[:HALF])
    index.fault(path, Fault(shifted_range=True))
    fetch([download(index.url + path)], store)
    assert store.read(digest_of(DATA)) == DATA


@pytest.mark.parametrize("size", [-1, None])
def test_restarts_a_partial_file_with_wrong_bytes(index: PackageIndex, store: Store, waits: list[float], size: int | None) -> None:
    path = index.add("f", DATA)
    for partial in (b"\0" * HALF, b"\0" * len(DATA), b"\0" * (len(DATA) + 5)):
        store.partial(digest_of(DATA)).write_bytes(partial)
        fetch([download(index.url + path, size=size)], store)
        assert store.read(digest_of(DATA)) == DATA
        store.discard(digest_of(DATA))


def test_does_not_fetch_a_complete_partial_file(index: PackageIndex, store: Store) -> None:
    path = index.add("f", DATA)
    store.partial(digest_of(DATA)).write_bytes(DATA)
    fetch([download(index.url + path)], store)
    assert index.count(path) == 0
    assert store.read(digest_of(DATA)) == DATA


@pytest.mark.parametrize("other_data", [DATA[:-1] + b"?", DATA + b"more", b"?" * len(DATA)])
def test_rejects_wrong_bytes(index: PackageIndex, store: Store, waits: list[float], other_data: bytes) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(data=other_data))
    with pytest.raises(IntegrityError, match=r"numpy 1\.0: ") as caught:
        fetch([download(index.url + path, label="numpy 1.0")], store)
    assert caught.value.hint
    assert not waits
    assert leftovers(store) == 0
    index.fault(path, Fault())
    fetch([download(index.url + path)], store)
    assert store.read(digest_of(DATA)) == DATA


def test_rejects_a_body_that_is_too_long(index: PackageIndex, store: Store) -> None:
    path = index.add("f", DATA)
    with pytest.raises(IntegrityError, match="more than 10 bytes"):
        fetch([Download((index.url + path,), digest_of(DATA), 10, "a file")], store)
    assert leftovers(store) == 0


def test_rejects_an_encoded_body(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", b"a" * 10_000)
    index.fault(path, Fault(gzip=True))
    with pytest.raises(FetchError):
        fetch([download(index.url + path, data=b"a" * 10_000)], store)
    assert not store.has(digest_of(b"a" * 10_000))
    assert {request.headers["accept-encoding"] for request in index.requests} == {"identity"}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_retries_a_transient_status(index: PackageIndex, store: Store, waits: list[float], status: int) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(times=MAX_ATTEMPTS - 1, status=status))
    fetch([download(index.url + path)], store)
    assert store.read(digest_of(DATA)) == DATA
    assert waits == sorted(waits)


def test_gives_up_after_the_last_attempt(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(status=500))
    with pytest.raises(FetchError, match=rf"a file: {index.url}/files/f: the server answered 500 \({MAX_ATTEMPTS} attempts\)") as caught:
        fetch([download(index.url + path)], store)
    assert caught.value.hint
    assert index.count(path) == MAX_ATTEMPTS
    assert len(waits) == MAX_ATTEMPTS - 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_does_not_retry_a_final_status(index: PackageIndex, store: Store, waits: list[float], status: int) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(status=status))
    with pytest.raises(FetchError, match=str(status)) as caught:
        fetch([download(index.url + path)], store)
    assert (caught.value.status, index.count(path)) == (status, 1)
    assert caught.value.not_found == (status in (404, 410))


def test_tries_the_next_url(index: PackageIndex, other: PackageIndex, store: Store, waits: list[float]) -> None:
    path = other.add("f", DATA)
    fetch([download(index.url + "/nowhere", other.url + path)], store)
    assert store.read(digest_of(DATA)) == DATA


def test_the_next_url_resumes_the_download(index: PackageIndex, other: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    other.add("f", DATA)
    index.fault(path, Fault(times=1, cut=HALF))
    index.fault(path, Fault(cut=HALF // MAX_ATTEMPTS))
    fetch([download(index.url + path, other.url + path)], store)
    assert store.read(digest_of(DATA)) == DATA
    assert index.sent(path) + other.sent(path) == len(DATA)


def test_reports_wrong_bytes_rather_than_a_missing_file(index: PackageIndex, store: Store) -> None:
    path = index.add("f", b"?" * len(DATA))
    with pytest.raises(IntegrityError):
        fetch([download(index.url + path, index.url + "/nowhere")], store)


@pytest.mark.parametrize(("header", "least", "most"), [("7", 7, 8), ("0", 0, 0), ("86400", 30, 33), ("\xb2", 0, 1), ("soon", 0, 1)])
def test_honours_retry_after(index: PackageIndex, store: Store, waits: list[float], header: str, least: float, most: float) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(times=1, status=429, headers={"Retry-After": header}))
    fetch([download(index.url + path)], store)
    assert len(waits) == 1
    assert least <= waits[0] <= most


def test_resumes_an_interrupted_download(index: PackageIndex, store: Store) -> None:
    path = index.add("f", DATA)

    def interrupt(event: Event) -> None:
        if isinstance(event, Moved):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch([download(index.url + path)], store, interrupt)
    kept = store.partial(digest_of(DATA)).stat().st_size
    assert 0 < kept < len(DATA)
    fetch([download(index.url + path)], store)
    assert store.read(digest_of(DATA)) == DATA
    assert index.requests[-1].headers["range"] == f"bytes={kept}-"


def test_an_interruption_ends_a_wait(index: PackageIndex, store: Store) -> None:
    good, bad = index.add("good", DATA), index.add("bad", b"?")
    index.fault(bad, Fault(status=503, headers={"Retry-After": "30"}))

    def interrupt(event: Event) -> None:
        if isinstance(event, Moved):
            while not index.count(bad):
                threading.Event().wait(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch([download(index.url + good), download(index.url + bad, data=b"?")], store, interrupt)
    assert index.count(bad) == 1


def test_reports_all_failures_at_once(index: PackageIndex, store: Store, waits: list[float]) -> None:
    good = index.add("good", DATA)
    items = [download(f"{index.url}/{name}", data=name.encode(), label=name) for name in ("one", "two", "three")]
    with pytest.raises(FetchError, match="3 files could not be fetched") as caught:
        fetch([*items, download(index.url + good)], store)
    assert all(f"{name}: " in caught.value.message for name in ("one", "two", "three"))
    assert not isinstance(caught.value, IntegrityError)
    assert caught.value.hint
    assert store.has(digest_of(DATA))


def test_raises_an_integrity_error_if_all_files_are_wrong(index: PackageIndex, store: Store) -> None:
    items = [download(index.url + index.add(name, b"?"), data=name.encode(), size=None, label=name) for name in ("one", "two")]
    with pytest.raises(IntegrityError, match="2 files"):
        fetch(items, store)


SECRET = "hunter2"


@pytest.mark.parametrize("path", ["/nowhere?token=hunter2", "/files/wrong", "/files/down"])
def test_no_error_contains_credentials(
    index: PackageIndex, store: Store, waits: list[float], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    index.add("wrong", b"?" * len(DATA))
    index.fault(index.add("down", DATA), Fault(status=503))
    address = index.url.replace("http://", f"http://user:{SECRET}@") + path
    with caplog.at_level(logging.WARNING), pytest.raises(FetchError) as caught:
        fetch([download(address)], store)
    with caplog.at_level(logging.WARNING), pytest.raises(FetchError) as also:
        fetch_bytes(address, label="list", limit=10)
    assert index.requests[0].headers["authorization"].startswith("Basic ")
    for error in (caught.value, also.value):
        assert SECRET not in error.message + error.hint + str(error) + caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "ftp://user:hunter2@127.0.0.1/f",
        "http://user:hunter2@127.0.0.1:no/f",
        "http://user:/hunter2@127.0.0.1/f",
        "http://[::1/f",
        "http://user:hunter2@a..b/f",
        "https://",
        "http://127.0.0.1:1/\x7f",
    ],
)
def test_rejects_an_invalid_url(store: Store, waits: list[float], url: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch([download(url, label="numpy 1.0")], store)
    assert SECRET not in caught.value.message
    assert "numpy 1.0" in caught.value.message
    assert caught.value.hint
    with pytest.raises(FetchError):
        fetch_bytes(url, label="a list")


def test_redacted_urls_have_no_password_or_query() -> None:
    assert redacted("https://user:p@ss@example.invalid:8443/a/b?token=x#y") == "https://example.invalid:8443/a/b"
    assert redacted("http://[::1]:80/a") == "http://[::1]:80/a"


def test_credentials_are_dropped_on_a_redirect_to_another_host(index: PackageIndex, other: PackageIndex, store: Store) -> None:
    path = other.add("f", DATA)
    index.add("f", DATA)
    index.fault(path, Fault(redirect=other.url + path))
    fetch([download(index.url.replace("http://", "http://user:pass@") + path)], store)
    assert store.read(digest_of(DATA)) == DATA
    assert "authorization" in index.requests[-1].headers
    assert "authorization" not in other.requests[-1].headers


def test_keeps_the_range_on_a_redirect(index: PackageIndex, other: PackageIndex, store: Store) -> None:
    path = other.add("f", DATA)
    index.fault(path, Fault(redirect=other.url + path))
    store.partial(digest_of(DATA)).write_bytes(DATA[:HALF])
    fetch([download(index.url + path)], store)
    assert other.sent(path) == len(DATA) - HALF


def test_fails_on_endless_redirects(index: PackageIndex, store: Store, waits: list[float]) -> None:
    index.fault("/loop", Fault(redirect="/loop"))
    with pytest.raises(FetchError):
        fetch([download(index.url + "/loop")], store)


@pytest.mark.parametrize("as_url", [True, False])
def test_copies_local_files(tmp_path: Path, store: Store, as_url: bool) -> None:
    path = tmp_path / "a file é.whl"
    path.write_bytes(DATA)
    address = path.as_uri() if as_url else str(path)
    fetch([download(address)], store)
    assert store.read(digest_of(DATA)) == DATA
    assert path.read_bytes() == DATA
    assert fetch_bytes(address, label="a list") == DATA
    with pytest.raises(FetchError, match="larger than 100 bytes"):
        fetch_bytes(address, label="a list", limit=100)


def test_fails_for_a_wrong_or_missing_local_file(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "f"
    with pytest.raises(FetchError, match="there is no file") as caught:
        fetch([download(path.as_uri())], store)
    assert caught.value.hint
    path.write_bytes(b"?")
    with pytest.raises(IntegrityError):
        fetch([download(path.as_uri())], store)
    assert leftovers(store) == 0


def test_names_the_local_file_that_cannot_be_read(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(DATA)
    opened: Callable[..., object] = Path.open

    def refuse(opened_path: Path, *rest: object) -> object:
        if opened_path == path:
            raise PermissionError(13, "Permission denied")
        return opened(opened_path, *rest)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FetchError, match="cannot be read: Permission denied"):
        fetch([download(path.as_uri())], store)


def test_fails_without_a_url(store: Store) -> None:
    with pytest.raises(FetchError, match="no URL"):
        fetch([download()], store)


def test_fails_if_nothing_listens(store: Store, waits: list[float]) -> None:
    with PackageIndex() as gone:
        url = gone.url
    with pytest.raises(FetchError, match="a file") as caught:
        fetch([download(f"{url}/f")], store)
    assert caught.value.status is None
    assert len(waits) == MAX_ATTEMPTS - 1


def test_resumes_after_a_stall(index: PackageIndex, store: Store, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    timeout = httpx.Timeout(600, read=1.0)
    monkeypatch.setattr(httpx, "Timeout", lambda *_, **__: timeout)
    path = index.add("f", DATA)
    index.fault(path, Fault(times=1, stall=3600))
    fetch([download(index.url + path)], store)
    assert store.read(digest_of(DATA)) == DATA
    assert int(index.requests[-1].headers["range"].removeprefix("bytes=").removesuffix("-")) >= HALF - 1


FETCH = """
import sys
from pathlib import Path
from shipwheel.download.fetch import Download, fetch
from shipwheel.store.store import Store
url, digest, size, root = sys.argv[1:]
sys.stdin.readline()
fetch([Download((url,), digest, int(size), "f")], Store(Path(root)))
"""


def test_two_processes_fetch_one_file_once(index: PackageIndex, store: Store) -> None:
    path = index.add("f", DATA)
    command = [sys.executable, "-c", FETCH, index.url + path, digest_of(DATA), str(len(DATA)), str(store.root)]
    jobs = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write(b"\n")
        job.stdin.close()
    assert [job.wait(HANG_S) for job in jobs] == [0, 0]
    assert index.sent(path) == len(DATA)
    assert store.read(digest_of(DATA)) == DATA
    assert not list((store.root / "partial").iterdir())


@needs_root
def test_fails_on_a_full_disk(index: PackageIndex, tmp_path: Path) -> None:
    path = index.add("f", DATA)
    with small_disk(tmp_path / "disk", "1m"):
        full = Store(tmp_path / "disk" / "store")
        with pytest.raises(StoreError, match="no space left") as caught:
            fetch([download(index.url + path)], full)
        assert caught.value.hint
        assert not full.has(digest_of(DATA))
        full.close()


def test_fails_on_a_simulated_full_disk(index: PackageIndex, store: Store) -> None:
    partial = store.partial(digest_of(DATA))
    partial.symlink_to("/dev/full")
    with pytest.raises(StoreError) as caught:
        fetch([download(index.url + index.add("f", DATA))], store)
    assert caught.value.hint
    assert not store.has(digest_of(DATA))


def test_fetch_bytes_retries_decodes_and_redirects(index: PackageIndex, other: PackageIndex, waits: list[float]) -> None:
    path = index.add("f", b"text")
    index.fault(path, Fault(times=2, status=502))
    assert fetch_bytes(index.url + path, label="a list") == b"text"
    index.fault(path, Fault(gzip=True))
    assert fetch_bytes(index.url + path, label="a list") == b"text"
    other.fault("/moved", Fault(redirect=index.url + path))
    assert fetch_bytes(other.url + "/moved", label="a list") == b"text"


def test_fetch_bytes_names_the_file_and_the_reason(index: PackageIndex, waits: list[float]) -> None:
    with pytest.raises(FetchError, match=f"the list: {index.url}/nowhere answered 404") as caught:
        fetch_bytes(index.url + "/nowhere", label="the list")
    assert caught.value.status == 404
    with pytest.raises(FetchError, match=r"the list: .* is larger than 100 bytes"):
        fetch_bytes(index.url + index.add("f", DATA), label="the list", limit=100)
    path = index.add("g", DATA)
    index.fault(path, Fault(cut=10))
    with pytest.raises(FetchError, match=f"{MAX_ATTEMPTS} attempts"):
        fetch_bytes(index.url + path, label="the list")


def test_fetch_bytes_limits_the_decoded_size(index: PackageIndex) -> None:
    path = index.add("bomb", b"\0" * 10_000_000)
    index.fault(path, Fault(gzip=True))
    with pytest.raises(FetchError, match="larger than 1000 bytes"):
        fetch_bytes(index.url + path, label="the list", limit=1000)


def test_uses_the_proxy_of_the_environment(index: PackageIndex, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = index.add("f", DATA)
    monkeypatch.setenv("HTTP_PROXY", index.url)
    fetch([download(f"http://files.invalid{path}")], store)
    assert index.requests[-1].headers["host"] == "files.invalid"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert fetch_bytes(index.url + path, label="a list") == DATA
