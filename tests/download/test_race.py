"""Downloads from several servers, some of which fail, stall or send wrong bytes."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipwheel.digest import digest_of
from shipwheel.download.fetch import Download, fetch
from shipwheel.download.servers import CORRUPT, STALLED, Servers, server_of
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.events import Event, Warned
from shipwheel.store.store import Store
from shipwheel.testing.package_index import Fault, PackageIndex

DATA = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(20_000))  # 640 kB
WRONG = DATA[:300_000] + bytes(1) + DATA[300_001:]
HALF = len(DATA) // 2
DIGEST = digest_of(DATA)


@dataclass
class Net:
    """Three servers with the same files, and a store."""

    store: Store
    servers: list[PackageIndex]
    events: list[Event] = field(default_factory=list)

    def fetch(self, *paths: str, workers: int = 8) -> None:
        fetch([self.item(path) for path in paths or ("/files/f",)], self.store, self.events.append, workers=workers)

    def item(self, path: str) -> Download:
        data = DATA + path.encode() if path != "/files/f" else DATA
        digest = digest_of(data)
        return Download(tuple(server.url + path for server in self.servers), digest, len(data), path.rpartition("/")[2])

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warned)]


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    monkeypatch.setattr("shipwheel.download.http._MAX_WAIT_S", 0.01)
    monkeypatch.setattr("shipwheel.download.race._READ_TIMEOUT_S", 0.3)
    with ExitStack() as stack:
        servers = [stack.enter_context(PackageIndex()) for _ in range(3)]
        for server in servers:
            server.add("f", DATA)
        yield Net(Store(tmp_path / "store"), servers)


def test_asks_only_the_first_server_if_it_is_good(net: Net) -> None:
    net.fetch()
    assert [server.count("/files/f") for server in net.servers] == [1, 0, 0]
    assert not net.warnings


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (Fault(stall=60), "stalled with f"),
        (Fault(cut=HALF), "broke off f"),
        (Fault(status=503), "answered 503 for f"),
        (Fault(status=404), "does not have f"),
        (Fault(status=403), "answered 403 for f"),
    ],
)
def test_the_next_server_resumes_where_the_first_one_failed(net: Net, fault: Fault, what: str) -> None:
    net.servers[0].fault("/files/f", fault)
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    had = HALF if fault.stall or fault.cut else 0
    assert net.servers[1].requests[-1].headers.get("range") == (f"bytes={had}-" if had else None)
    assert net.servers[1].sent("/files/f") == len(DATA) - had
    assert net.warnings == [f"{net.servers[0].url} {what}"]


def test_leaves_a_server_that_is_slow_by_a_wide_margin(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    net.servers[0].fault("/files/f", Fault(rate=20_000))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    begun = int(net.servers[1].requests[-1].headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begun < HALF
    assert net.warnings == [f"{net.servers[0].url} was slow with f"]


def test_does_not_wait_for_a_silent_server(net: Net) -> None:
    """A third one joins before its request times out, and all complete the same file."""
    net.servers[0].fault("/files/f", Fault(rate=20_000))
    net.servers[1].fault("/files/f", Fault(stall=60))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert [server.count("/files/f") for server in net.servers] == [1, 1, 1]
    assert net.servers[0].throttled["/files/f"] < HALF


def test_keeps_only_the_fastest_of_several_servers(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.download.race._START_S", 0.2)
    for server, rate in zip(net.servers, (20_000, 400_000, 90_000), strict=True):
        server.fault("/files/f", Fault(rate=rate))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    slow, quick, fair = (server.throttled["/files/f"] for server in net.servers)
    assert quick > HALF > slow + fair


def test_does_not_wait_for_a_slow_server_after_wrong_bytes(net: Net) -> None:
    net.servers[0].fault("/files/f", Fault(data=WRONG))
    net.servers[1].fault("/files/f", Fault(rate=5_000))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert net.servers[1].throttled["/files/f"] < HALF
    assert not list((net.store.root / "partial").iterdir())
    assert [text for text in net.warnings if "sent wrong bytes" in text] == [f"{net.servers[0].url} sent wrong bytes for f"]


def test_asks_a_proven_server_first_after_wrong_bytes(net: Net) -> None:
    for server in net.servers:
        server.add("1", DATA + b"/files/1")
    net.servers[0].fault("/files/1", Fault(status=404))
    net.servers[1].fault("/files/1", Fault(status=404))
    net.servers[0].fault("/files/f", Fault(data=WRONG))
    net.fetch("/files/1", "/files/f", workers=1)
    assert net.store.has(DIGEST)
    assert net.servers[1].count("/files/f") == 0, "the third server had sent a right file before"


def test_a_late_416_does_not_discard_a_complete_file(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 416 restarts a download, but not one that other servers have completed."""
    net.store.partial(DIGEST).write_bytes(DATA[:1000])
    net.servers[0].fault("/files/f", Fault(late=1.0, status=416))
    monkeypatch.setattr("shipwheel.download.fetch.os.fsync", lambda _: time.sleep(1.5))
    net.fetch()
    assert net.store.read(DIGEST) == DATA


def test_restarts_a_separate_file_after_416(net: Net) -> None:
    net.servers[0].fault("/files/f", Fault(data=WRONG))
    net.servers[1].fault("/files/f", Fault(times=1, cut=HALF, then=Fault(times=1, status=416)))
    net.servers[2].fault("/files/f", Fault(status=404))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert not any("sent wrong bytes" in text and net.servers[1].url in text for text in net.warnings)


def test_completes_although_every_server_is_slow(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    for server in net.servers:
        server.fault("/files/f", Fault(rate=60_000 if server is net.servers[1] else 20_000))
        server.add("f", DATA[:50_000])
    wanted = Download(tuple(s.url + "/files/f" for s in net.servers), digest_of(DATA[:50_000]), 50_000, "f")
    fetch([wanted], net.store, net.events.append)
    assert net.store.has(wanted.digest)
    assert sum(len(server.requests) for server in net.servers) <= 5


@pytest.mark.parametrize(
    "fault", [Fault(data=WRONG), Fault(data=DATA + b"more"), Fault(data=DATA[:-1]), Fault(data=WRONG, no_range=True), Fault(gzip=True)]
)
def test_rejects_wrong_bytes(net: Net, fault: Fault) -> None:
    net.servers[0].fault("/files/f", fault)
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert len(net.warnings) == 1
    assert net.warnings[0].startswith(net.servers[0].url)


def test_rejects_wrong_bytes_behind_right_ones(net: Net) -> None:
    net.servers[0].fault("/files/f", Fault(cut=HALF))
    net.servers[1].fault("/files/f", Fault(data=DATA[:-7] + b"hostile"))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert net.servers[2].requests[-1].headers.get("range") is None


def test_finds_the_server_of_a_wrong_first_part(net: Net) -> None:
    """The rest comes from another server, so only the hash of the whole file shows that something is wrong."""
    net.servers[0].fault("/files/f", Fault(data=WRONG, cut=HALF))
    net.servers[2].fault("/files/f", Fault(status=404))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert any("sent wrong bytes" in text and net.servers[0].url in text for text in net.warnings)
    assert not any("sent wrong bytes" in text and net.servers[1].url in text for text in net.warnings)


def test_fails_if_every_server_sends_wrong_bytes(net: Net) -> None:
    for server in net.servers:
        server.fault("/files/f", Fault(data=WRONG))
    with pytest.raises(IntegrityError, match="sent other bytes than the lock states"):
        net.fetch()
    assert not net.store.has(DIGEST)
    assert net.store.partial(DIGEST).stat().st_size == 0
    assert len(net.warnings) == 3


def test_fails_if_every_server_fails(net: Net) -> None:
    for server in net.servers:
        server.fault("/files/f", Fault(status=500))
    with pytest.raises(FetchError, match="answered 500"):
        net.fetch()


def test_remembers_a_bad_server_for_the_next_file(net: Net) -> None:
    paths = [f"/files/{number}" for number in range(12)]
    for server in net.servers:
        for path in paths:
            server.add(path.rpartition("/")[2], DATA + path.encode())
    net.servers[0].fault("/files/*", Fault(stall=60))
    net.servers[1].fault("/files/*", Fault(data=WRONG))
    net.fetch(*paths, workers=2)
    assert all(net.store.has(net.item(path).digest) for path in paths)
    assert len(net.servers[0].requests) == 2, "one for each worker, before the failure was recorded"
    assert len(net.servers[1].requests) <= 4
    assert sorted(text.partition(" ")[0] for text in net.warnings) == sorted(server.url for server in net.servers[:2])


def test_restarts_after_wrong_bytes_of_an_earlier_run(net: Net) -> None:
    net.store.partial(DIGEST).write_bytes(WRONG[:HALF])
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert not net.warnings, "nobody knows which server it was"


FAULTS = st.one_of(
    st.builds(Fault, status=st.sampled_from([404, 403, 500, 503])),
    st.builds(Fault, cut=st.integers(0, 5000), data=st.sampled_from([None, b"x" * 5000])),
    st.builds(Fault, data=st.sampled_from([b"", b"x" * 4999, b"x" * 5000, b"x" * 5001])),
    st.builds(Fault, no_range=st.just(True), times=st.integers(0, 2)),
    st.builds(Fault, shifted_range=st.just(True), cut=st.integers(0, 5000)),
    st.just(Fault(gzip=True)),
)


@given(faults=st.lists(FAULTS, min_size=2, max_size=2), honest=st.integers(0, 2), before=st.binary(max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_honest_server_is_enough(net: Net, faults: list[Fault], honest: int, before: bytes) -> None:
    data = hashlib.sha256(repr((faults, honest, before)).encode()).digest() * 157
    digest = digest_of(data)
    faults.insert(honest, Fault())
    for server, fault in zip(net.servers, faults, strict=True):
        server.add("g", data)
        server.fault("/files/g", fault)
    net.store.partial(digest).write_bytes(before)
    fetch([Download(tuple(server.url + "/files/g" for server in net.servers), digest, len(data), "g")], net.store)
    assert net.store.read(digest) == data


@given(
    st.lists(st.tuples(st.sampled_from(["http://a/x", "http://b/x", "http://c/x"]), st.sampled_from([0, 1, STALLED, CORRUPT])), max_size=8)
)
def test_ranks_corrupt_servers_last(events: list[tuple[str, int]]) -> None:
    servers = Servers()
    urls = ["http://a/1", "http://b/1", "http://c/1"]
    for url, rank in events:
        servers.record_failure(url, "stalled with", "f", rank)
    order = servers.ranked(urls)
    assert sorted(order) == urls
    corrupt = {server_of(url) for url, rank in events if rank == CORRUPT}
    assert [server_of(url) in corrupt for url in order] == sorted(server_of(url) in corrupt for url in order)


def test_the_name_of_a_server_has_no_password() -> None:
    assert server_of("https://me:secret@Host.example:8443/a?b") == "https://host.example:8443"
