"""Downloads against a server that fails on demand."""

import hashlib
import logging
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.disk import small_disk
from support.process import HANG_S
from support.programs import needs_root

from shipwheel.download import fetch as module
from shipwheel.download.fetch import Download, fetch, get, redacted
from shipwheel.download.race import ATTEMPTS
from shipwheel.errors import FetchError, IntegrityError, ShipwheelError, StoreError
from shipwheel.events import Event, Moved, StageFinished, StageStarted
from shipwheel.store import Store
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
    """The pauses between attempts, none of which is made."""
    made: list[float] = []
    monkeypatch.setattr("shipwheel.download.fetch.time", SimpleNamespace(sleep=made.append))
    monkeypatch.setattr(module._Meter, "wait", lambda self, seconds: made.append(seconds))
    return made


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def wanted(*urls: str, data: bytes = DATA, label: str = "a file", size: int | None = -1) -> Download:
    return Download(urls, digest(data), len(data) if size == -1 else size, label)


def leftovers(store: Store) -> int:
    """The bytes of all that is in the store."""
    return sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())


def test_every_file_once(index: PackageIndex, store: Store) -> None:
    paths = [index.add(f"f{number}", bytes([number]) * 100) for number in range(20)]
    items = [wanted(index.url + path, data=bytes([number]) * 100, label=path) for number, path in enumerate(paths)]
    fetch([*items, *items], store)
    fetch(items, store)
    assert [index.count(path) for path in paths] == [1] * 20
    assert all(store.read(item.digest) == bytes([number]) * 100 for number, item in enumerate(items))
    assert not list((store.root / "partial").iterdir())


def test_events_add_up(index: PackageIndex, store: Store) -> None:
    seen: list[Event] = []
    fetch([wanted(index.url + index.add("f", DATA), label="f")], store, seen.append)
    assert seen[0] == StageStarted("fetch", len(DATA), "bytes")
    assert isinstance(seen[-1], StageFinished)
    assert seen[-2] == Moved("fetch", digest(DATA), len(DATA), len(DATA))


def test_an_empty_file(index: PackageIndex, store: Store) -> None:
    fetch([wanted(index.url + index.add("f", b""), data=b"")], store)
    assert store.read(digest(b"")) == b""


@pytest.mark.parametrize("size", [-1, None])
def test_half_a_file_is_resumed(index: PackageIndex, store: Store, waits: list[float], size: int | None) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(times=1, cut=HALF))
    fetch([wanted(index.url + path, size=size)], store)
    assert store.read(digest(DATA)) == DATA
    assert index.sent(path) == len(DATA)
    assert index.requests[-1].headers["range"] == f"bytes={HALF}-"
    assert len(waits) == 1


def test_an_answer_that_may_pass_keeps_what_was_fetched(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    store.partial(digest(DATA)).write_bytes(DATA[:HALF])
    index.fault(path, Fault(times=2, status=503))
    fetch([wanted(index.url + path)], store)
    assert [request.headers["range"] for request in index.requests] == [f"bytes={HALF}-"] * 3
    assert index.requests[-1].sent == len(DATA) - HALF


def test_a_server_without_ranges(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    store.partial(digest(DATA)).write_bytes(DATA[:HALF])
    index.fault(path, Fault(no_range=True))
    fetch([wanted(index.url + path)], store)
    assert store.read(digest(DATA)) == DATA
    assert not waits


def test_a_server_that_answers_another_range(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    store.partial(digest(DATA)).write_bytes(DATA[:HALF])
    index.fault(path, Fault(shifted_range=True))
    fetch([wanted(index.url + path)], store)
    assert store.read(digest(DATA)) == DATA


@pytest.mark.parametrize("size", [-1, None])
def test_a_partial_file_with_other_bytes_is_started_again(index: PackageIndex, store: Store, waits: list[float], size: int | None) -> None:
    path = index.add("f", DATA)
    for partial in (b"\0" * HALF, b"\0" * len(DATA), b"\0" * (len(DATA) + 5)):
        store.partial(digest(DATA)).write_bytes(partial)
        fetch([wanted(index.url + path, size=size)], store)
        assert store.read(digest(DATA)) == DATA
        store.discard(digest(DATA))


def test_a_whole_partial_file_is_not_fetched_again(index: PackageIndex, store: Store) -> None:
    path = index.add("f", DATA)
    store.partial(digest(DATA)).write_bytes(DATA)
    fetch([wanted(index.url + path)], store)
    assert index.count(path) == 0
    assert store.read(digest(DATA)) == DATA


@pytest.mark.parametrize("other_data", [DATA[:-1] + b"?", DATA + b"more", b"?" * len(DATA)])
def test_other_bytes(index: PackageIndex, store: Store, waits: list[float], other_data: bytes) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(data=other_data))
    with pytest.raises(IntegrityError, match=r"numpy 1\.0: ") as caught:
        fetch([wanted(index.url + path, label="numpy 1.0")], store)
    assert caught.value.hint
    assert not waits
    assert leftovers(store) == 0
    index.fault(path, Fault())
    fetch([wanted(index.url + path)], store)
    assert store.read(digest(DATA)) == DATA


def test_a_body_without_end_is_cut_off(index: PackageIndex, store: Store) -> None:
    path = index.add("f", DATA)
    with pytest.raises(IntegrityError, match="more than 10 bytes"):
        fetch([Download((index.url + path,), digest(DATA), 10, "a file")], store)
    assert leftovers(store) == 0


def test_compressed_on_the_way_is_not_what_was_asked_for(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", b"a" * 10_000)
    index.fault(path, Fault(gzip=True))
    with pytest.raises(FetchError):
        fetch([wanted(index.url + path, data=b"a" * 10_000)], store)
    assert not store.has(digest(b"a" * 10_000))
    assert {request.headers["accept-encoding"] for request in index.requests} == {"identity"}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass(index: PackageIndex, store: Store, waits: list[float], status: int) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(times=ATTEMPTS - 1, status=status))
    fetch([wanted(index.url + path)], store)
    assert store.read(digest(DATA)) == DATA
    assert waits == sorted(waits)


def test_an_answer_that_does_not_pass(index: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(status=500))
    with pytest.raises(FetchError, match=rf"a file: {index.url}/files/f: the server answered 500 \({ATTEMPTS} attempts\)") as caught:
        fetch([wanted(index.url + path)], store)
    assert caught.value.hint
    assert index.count(path) == ATTEMPTS
    assert len(waits) == ATTEMPTS - 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_an_answer_that_is_final(index: PackageIndex, store: Store, waits: list[float], status: int) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(status=status))
    with pytest.raises(FetchError, match=str(status)) as caught:
        fetch([wanted(index.url + path)], store)
    assert (caught.value.status, index.count(path)) == (status, 1)
    assert ("not there" in caught.value.hint) == (status in (404, 410))


def test_the_next_address_is_tried(index: PackageIndex, other: PackageIndex, store: Store, waits: list[float]) -> None:
    path = other.add("f", DATA)
    fetch([wanted(index.url + "/nowhere", other.url + path)], store)
    assert store.read(digest(DATA)) == DATA


def test_the_next_address_resumes_what_the_first_began(index: PackageIndex, other: PackageIndex, store: Store, waits: list[float]) -> None:
    path = index.add("f", DATA)
    other.add("f", DATA)
    index.fault(path, Fault(times=1, cut=HALF))
    index.fault(path, Fault(cut=HALF // ATTEMPTS))
    fetch([wanted(index.url + path, other.url + path)], store)
    assert store.read(digest(DATA)) == DATA
    assert index.sent(path) + other.sent(path) == len(DATA)


def test_wrong_bytes_are_worse_news_than_none(index: PackageIndex, store: Store) -> None:
    path = index.add("f", b"?" * len(DATA))
    with pytest.raises(IntegrityError):
        fetch([wanted(index.url + path, index.url + "/nowhere")], store)


@pytest.mark.parametrize(("header", "least", "most"), [("7", 7, 8), ("0", 0, 0), ("86400", 30, 33), ("\xb2", 0, 1), ("soon", 0, 1)])
def test_retry_after(index: PackageIndex, store: Store, waits: list[float], header: str, least: float, most: float) -> None:
    path = index.add("f", DATA)
    index.fault(path, Fault(times=1, status=429, headers={"Retry-After": header}))
    fetch([wanted(index.url + path)], store)
    assert len(waits) == 1
    assert least <= waits[0] <= most


def test_an_interrupted_download_goes_on(index: PackageIndex, store: Store) -> None:
    path = index.add("f", DATA)

    def interrupt(event: Event) -> None:
        if isinstance(event, Moved):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch([wanted(index.url + path)], store, interrupt)
    kept = store.partial(digest(DATA)).stat().st_size
    assert 0 < kept < len(DATA)
    fetch([wanted(index.url + path)], store)
    assert store.read(digest(DATA)) == DATA
    assert index.requests[-1].headers["range"] == f"bytes={kept}-"


def test_an_interruption_does_not_sit_out_a_pause(index: PackageIndex, store: Store) -> None:
    good, bad = index.add("good", DATA), index.add("bad", b"?")
    index.fault(bad, Fault(status=503, headers={"Retry-After": "30"}))

    def interrupt(event: Event) -> None:
        if isinstance(event, Moved):
            while not index.count(bad):
                threading.Event().wait(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch([wanted(index.url + good), wanted(index.url + bad, data=b"?")], store, interrupt)
    assert index.count(bad) == 1


def test_all_failures_at_once(index: PackageIndex, store: Store, waits: list[float]) -> None:
    good = index.add("good", DATA)
    items = [wanted(f"{index.url}/{name}", data=name.encode(), label=name) for name in ("one", "two", "three")]
    with pytest.raises(FetchError, match="3 files could not be fetched") as caught:
        fetch([*items, wanted(index.url + good)], store)
    assert all(f"{name}: " in caught.value.message for name in ("one", "two", "three"))
    assert not isinstance(caught.value, IntegrityError)
    assert caught.value.hint
    assert store.has(digest(DATA))


def test_all_wrong_is_an_integrity_error(index: PackageIndex, store: Store) -> None:
    items = [wanted(index.url + index.add(name, b"?"), data=name.encode(), size=None, label=name) for name in ("one", "two")]
    with pytest.raises(IntegrityError, match="2 files"):
        fetch(items, store)


SECRET = "hunter2"


@pytest.mark.parametrize("path", ["/nowhere?token=hunter2", "/files/wrong", "/files/down"])
def test_credentials_are_in_no_error(
    index: PackageIndex, store: Store, waits: list[float], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    index.add("wrong", b"?" * len(DATA))
    index.fault(index.add("down", DATA), Fault(status=503))
    address = index.url.replace("http://", f"http://user:{SECRET}@") + path
    with caplog.at_level(logging.WARNING), pytest.raises(FetchError) as caught:
        fetch([wanted(address)], store)
    with caplog.at_level(logging.WARNING), pytest.raises(FetchError) as also:
        get(address, label="list", limit=10)
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
def test_addresses_that_never_will_do(store: Store, waits: list[float], url: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch([wanted(url, label="numpy 1.0")], store)
    assert SECRET not in caught.value.message
    assert "numpy 1.0" in caught.value.message
    assert caught.value.hint
    with pytest.raises(FetchError):
        get(url, label="a list")


def test_redacted() -> None:
    assert redacted("https://user:p@ss@example.invalid:8443/a/b?token=x#y") == "https://example.invalid:8443/a/b"
    assert redacted("http://[::1]:80/a") == "http://[::1]:80/a"


def test_authorization_stays_with_its_host(index: PackageIndex, other: PackageIndex, store: Store) -> None:
    path = other.add("f", DATA)
    index.add("f", DATA)
    index.fault(path, Fault(redirect=other.url + path))
    fetch([wanted(index.url.replace("http://", "http://user:pass@") + path)], store)
    assert store.read(digest(DATA)) == DATA
    assert "authorization" in index.requests[-1].headers
    assert "authorization" not in other.requests[-1].headers


def test_a_range_survives_a_redirect(index: PackageIndex, other: PackageIndex, store: Store) -> None:
    path = other.add("f", DATA)
    index.fault(path, Fault(redirect=other.url + path))
    store.partial(digest(DATA)).write_bytes(DATA[:HALF])
    fetch([wanted(index.url + path)], store)
    assert other.sent(path) == len(DATA) - HALF


def test_redirects_without_end(index: PackageIndex, store: Store, waits: list[float]) -> None:
    index.fault("/loop", Fault(redirect="/loop"))
    with pytest.raises(FetchError):
        fetch([wanted(index.url + "/loop")], store)


@pytest.mark.parametrize("as_url", [True, False])
def test_local_files(tmp_path: Path, store: Store, as_url: bool) -> None:
    there = tmp_path / "a file é.whl"
    there.write_bytes(DATA)
    address = there.as_uri() if as_url else str(there)
    fetch([wanted(address)], store)
    assert store.read(digest(DATA)) == DATA
    assert there.read_bytes() == DATA
    assert get(address, label="a list") == DATA
    with pytest.raises(FetchError, match="larger than 100 bytes"):
        get(address, label="a list", limit=100)


def test_local_files_that_are_wrong_or_absent(tmp_path: Path, store: Store) -> None:
    there = tmp_path / "f"
    with pytest.raises(FetchError, match="there is no file") as caught:
        fetch([wanted(there.as_uri())], store)
    assert caught.value.hint
    there.write_bytes(b"?")
    with pytest.raises(IntegrityError):
        fetch([wanted(there.as_uri())], store)
    assert leftovers(store) == 0


def test_a_local_file_that_cannot_be_read_is_not_the_stores_fault(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "f"
    there.write_bytes(DATA)
    opened: Callable[..., object] = Path.open

    def refuse(path: Path, *rest: object) -> object:
        if path == there:
            raise PermissionError(13, "Permission denied")
        return opened(path, *rest)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FetchError, match="cannot be read: Permission denied"):
        fetch([wanted(there.as_uri())], store)


def test_no_address(store: Store) -> None:
    with pytest.raises(FetchError, match="no address"):
        fetch([wanted()], store)


def test_nothing_listens(store: Store, waits: list[float]) -> None:
    with PackageIndex() as gone:
        url = gone.url
    with pytest.raises(FetchError, match="a file") as caught:
        fetch([wanted(f"{url}/f")], store)
    assert caught.value.status is None
    assert len(waits) == ATTEMPTS - 1


def test_a_stalled_server_ends_in_an_error(index: PackageIndex, store: Store, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    timeout = httpx.Timeout(600, read=1.0)
    monkeypatch.setattr(httpx, "Timeout", lambda *_, **__: timeout)
    path = index.add("f", DATA)
    index.fault(path, Fault(times=1, stall=3600))
    fetch([wanted(index.url + path)], store)
    assert store.read(digest(DATA)) == DATA
    assert int(index.requests[-1].headers["range"].removeprefix("bytes=").removesuffix("-")) >= HALF - 1


def _fetch_in_process(url: str, root: str, ready: "Callable[[], object]", done: "multiprocessing.Queue[str]") -> None:
    ready()
    try:
        fetch([wanted(url)], Store(Path(root)))
        done.put("ok")
    except ShipwheelError as error:
        done.put(error.message)


def test_two_processes_fetch_one_file_once(index: PackageIndex, store: Store) -> None:
    path = index.add("f", DATA)
    context = multiprocessing.get_context("spawn")
    done: multiprocessing.Queue[str] = context.Queue()
    barrier = context.Barrier(2)
    jobs = [context.Process(target=_fetch_in_process, args=(index.url + path, str(store.root), barrier.wait, done)) for _ in range(2)]
    for job in jobs:
        job.start()
    assert [done.get(timeout=HANG_S) for _ in jobs] == ["ok", "ok"]
    for job in jobs:
        job.join()
    assert index.sent(path) == len(DATA)
    assert store.read(digest(DATA)) == DATA
    assert not list((store.root / "partial").iterdir())


@needs_root
def test_a_full_disk(index: PackageIndex, tmp_path: Path) -> None:
    path = index.add("f", DATA)
    with small_disk(tmp_path / "disk", "1m"):
        full = Store(tmp_path / "disk" / "store")
        with pytest.raises(StoreError, match="no space left") as caught:
            fetch([wanted(index.url + path)], full)
        assert caught.value.hint
        assert not full.has(digest(DATA))


def test_a_full_disk_simulated(index: PackageIndex, store: Store) -> None:
    partial = store.partial(digest(DATA))
    partial.symlink_to("/dev/full")
    with pytest.raises(StoreError) as caught:
        fetch([wanted(index.url + index.add("f", DATA))], store)
    assert caught.value.hint
    assert not store.has(digest(DATA))


def test_get(index: PackageIndex, other: PackageIndex, waits: list[float]) -> None:
    path = index.add("f", b"text")
    index.fault(path, Fault(times=2, status=502))
    assert get(index.url + path, label="a list") == b"text"
    index.fault(path, Fault(gzip=True))
    assert get(index.url + path, label="a list") == b"text"
    other.fault("/moved", Fault(redirect=index.url + path))
    assert get(other.url + "/moved", label="a list") == b"text"


def test_get_says_what_and_why(index: PackageIndex, waits: list[float]) -> None:
    with pytest.raises(FetchError, match=f"the list: {index.url}/nowhere answered 404") as caught:
        get(index.url + "/nowhere", label="the list")
    assert caught.value.status == 404
    with pytest.raises(FetchError, match=r"the list: .* is larger than 100 bytes"):
        get(index.url + index.add("f", DATA), label="the list", limit=100)
    path = index.add("g", DATA)
    index.fault(path, Fault(cut=10))
    with pytest.raises(FetchError, match=f"{ATTEMPTS} attempts"):
        get(index.url + path, label="the list")


def test_get_limits_what_unpacks(index: PackageIndex) -> None:
    path = index.add("bomb", b"\0" * 10_000_000)
    index.fault(path, Fault(gzip=True))
    with pytest.raises(FetchError, match="larger than 1000 bytes"):
        get(index.url + path, label="the list", limit=1000)


def test_the_proxy_of_the_environment(index: PackageIndex, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = index.add("f", DATA)
    monkeypatch.setenv("HTTP_PROXY", index.url)
    fetch([wanted(f"http://files.invalid{path}")], store)
    assert index.requests[-1].headers["host"] == "files.invalid"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert get(index.url + path, label="a list") == DATA
