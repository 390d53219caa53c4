"""Several servers for one file: whatever they do, the right bytes come in, from those that give them, and it is said."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipwheel.download.fetch import Download, fetch
from shipwheel.download.servers import LIED, STALLED, Servers, server_of
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.events import Event, Warned
from shipwheel.store import Store
from shipwheel.testing.package_index import Fault, PackageIndex

DATA = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(20_000))  # 640 kB
LIES = DATA[:300_000] + bytes(1) + DATA[300_001:]
HALF = len(DATA) // 2
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@dataclass
class Net:
    """Some servers that all have the same files, and a store."""

    store: Store
    servers: list[PackageIndex]
    said: list[Event] = field(default_factory=list)

    def fetch(self, *paths: str, workers: int = 8) -> None:
        fetch([self.item(path) for path in paths or ("/files/f",)], self.store, self.said.append, workers=workers)

    def item(self, path: str) -> Download:
        data = DATA + path.encode() if path != "/files/f" else DATA
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return Download(tuple(server.url + path for server in self.servers), digest, len(data), path.rpartition("/")[2])

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.said if isinstance(event, Warned)]


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    monkeypatch.setattr("shipwheel.download.race._LONGEST_WAIT", 0.01)
    monkeypatch.setattr("shipwheel.download.race.PATIENCE", 0.3)
    with ExitStack() as stack:
        servers = [stack.enter_context(PackageIndex()) for _ in range(3)]
        for server in servers:
            server.add("f", DATA)
        yield Net(Store(tmp_path / "store"), servers)


def test_the_first_one_gives_it_and_nothing_is_said(net: Net) -> None:
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
def test_another_goes_on_where_the_first_stopped(net: Net, fault: Fault, what: str) -> None:
    net.servers[0].fault("/files/f", fault)
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    had = HALF if fault.stall or fault.cut else 0
    assert net.servers[1].requests[-1].headers.get("range") == (f"bytes={had}-" if had else None)
    assert net.servers[1].sent("/files/f") == len(DATA) - had
    assert net.warnings == [f"{net.servers[0].url} {what}"]


def test_slow_by_a_wide_margin(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    net.servers[0].fault("/files/f", Fault(rate=20_000))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    begun = int(net.servers[1].requests[-1].headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < begun < HALF
    assert net.warnings == [f"{net.servers[0].url} was slow with f"]


def test_a_silent_one_is_not_waited_for(net: Net) -> None:
    """Another is asked beside it, before its request ends; what both began comes together."""
    net.servers[0].fault("/files/f", Fault(rate=20_000))
    net.servers[1].fault("/files/f", Fault(stall=60))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert [server.count("/files/f") for server in net.servers] == [1, 1, 1]
    assert net.servers[0].trickled["/files/f"] < HALF


def test_of_two_that_were_asked_the_foremost_stays(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.download.race.GRACE", 0.2)
    for server, rate in zip(net.servers, (20_000, 400_000, 90_000), strict=True):
        server.fault("/files/f", Fault(rate=rate))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    slow, quick, fair = (server.trickled["/files/f"] for server in net.servers)
    assert quick > HALF > slow + fair


def test_a_slow_one_is_not_waited_for_after_a_lie(net: Net) -> None:
    net.servers[0].fault("/files/f", Fault(data=LIES))
    net.servers[1].fault("/files/f", Fault(rate=5_000))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert net.servers[1].trickled["/files/f"] < HALF
    assert not list((net.store.root / "partial").iterdir())
    assert [text for text in net.warnings if "gave other bytes" in text] == [
        f"{net.servers[0].url} gave other bytes than the lock says for f"
    ]


def test_who_was_right_is_asked_first_after_a_lie(net: Net) -> None:
    for server in net.servers:
        server.add("1", DATA + b"/files/1")
    net.servers[0].fault("/files/1", Fault(status=404))
    net.servers[1].fault("/files/1", Fault(status=404))
    net.servers[0].fault("/files/f", Fault(data=LIES))
    net.fetch("/files/1", "/files/f", workers=1)
    assert net.store.has(DIGEST)
    assert net.servers[1].count("/files/f") == 0, "the third one had given a right file"


def test_who_was_left_behind_does_not_empty_what_is_whole(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late 416 makes a download begin anew: but not one that others have ended."""
    net.store.partial(DIGEST).write_bytes(DATA[:1000])
    net.servers[0].fault("/files/f", Fault(late=1.0, status=416))
    monkeypatch.setattr("shipwheel.download.fetch.os.fsync", lambda _: time.sleep(1.5))
    net.fetch()
    assert net.store.read(DIGEST) == DATA


def test_a_new_beginning_for_one_that_is_asked_alone(net: Net) -> None:
    net.servers[0].fault("/files/f", Fault(data=LIES))
    net.servers[1].fault("/files/f", Fault(times=1, cut=HALF, then=Fault(times=1, status=416)))
    net.servers[2].fault("/files/f", Fault(status=404))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert not any("gave other bytes" in text and net.servers[1].url in text for text in net.warnings)


def test_all_are_slow(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    for server in net.servers:
        server.fault("/files/f", Fault(rate=60_000 if server is net.servers[1] else 20_000))
        server.add("f", DATA[:50_000])
    wanted = Download(tuple(s.url + "/files/f" for s in net.servers), f"sha256:{hashlib.sha256(DATA[:50_000]).hexdigest()}", 50_000, "f")
    fetch([wanted], net.store, net.said.append)
    assert net.store.has(wanted.digest)
    assert sum(len(server.requests) for server in net.servers) <= 5


@pytest.mark.parametrize(
    "fault", [Fault(data=LIES), Fault(data=DATA + b"more"), Fault(data=DATA[:-1]), Fault(data=LIES, no_range=True), Fault(gzip=True)]
)
def test_a_lie_does_not_get_in(net: Net, fault: Fault) -> None:
    net.servers[0].fault("/files/f", fault)
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert len(net.warnings) == 1
    assert net.warnings[0].startswith(net.servers[0].url)


def test_a_lie_in_the_middle_of_what_others_gave(net: Net) -> None:
    net.servers[0].fault("/files/f", Fault(cut=HALF))
    net.servers[1].fault("/files/f", Fault(data=DATA[:-7] + b"hostile"))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert net.servers[2].requests[-1].headers.get("range") is None


def test_a_lie_in_the_part_that_another_began(net: Net) -> None:
    """The rest comes from an honest server; only the hash of the whole shows it."""
    net.servers[0].fault("/files/f", Fault(data=LIES, cut=HALF))
    net.servers[2].fault("/files/f", Fault(status=404))
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert any("gave other bytes" in text and net.servers[0].url in text for text in net.warnings)
    assert not any("gave other bytes" in text and net.servers[1].url in text for text in net.warnings)


def test_all_lie(net: Net) -> None:
    for server in net.servers:
        server.fault("/files/f", Fault(data=LIES))
    with pytest.raises(IntegrityError, match="gave other bytes than the lock says"):
        net.fetch()
    assert not net.store.has(DIGEST)
    assert net.store.partial(DIGEST).stat().st_size == 0
    assert len(net.warnings) == 3


def test_all_fail(net: Net) -> None:
    for server in net.servers:
        server.fault("/files/f", Fault(status=500))
    with pytest.raises(FetchError, match="answered 500"):
        net.fetch()


def test_what_is_known_of_a_server_holds_for_the_next_file(net: Net) -> None:
    paths = [f"/files/{number}" for number in range(12)]
    for server in net.servers:
        for path in paths:
            server.add(path.rpartition("/")[2], DATA + path.encode())
    net.servers[0].fault("/files/*", Fault(stall=60))
    net.servers[1].fault("/files/*", Fault(data=LIES))
    net.fetch(*paths, workers=2)
    assert all(net.store.has(net.item(path).digest) for path in paths)
    assert len(net.servers[0].requests) == 2, "one for each worker, until it was known"
    assert len(net.servers[1].requests) <= 4
    assert sorted(text.partition(" ")[0] for text in net.warnings) == sorted(server.url for server in net.servers[:2])


def test_what_was_there_from_before_is_not_trusted(net: Net) -> None:
    net.store.partial(DIGEST).write_bytes(LIES[:HALF])
    net.fetch()
    assert net.store.read(DIGEST) == DATA
    assert not net.warnings, "nobody knows who it was"


FAULTS = st.one_of(
    st.builds(Fault, status=st.sampled_from([404, 403, 500, 503])),
    st.builds(Fault, cut=st.integers(0, 5000), data=st.sampled_from([None, b"x" * 5000])),
    st.builds(Fault, data=st.sampled_from([b"", b"x" * 4999, b"x" * 5000, b"x" * 5001])),
    st.builds(Fault, no_range=st.just(True), times=st.integers(0, 2)),
    st.builds(Fault, shifted_range=st.just(True), cut=st.integers(0, 5000)),
    st.just(Fault(gzip=True)),
)


@given(faults=st.lists(FAULTS, min_size=2, max_size=2), honest=st.integers(0, 2), before=st.binary(max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_honest_server_is_enough(net: Net, faults: list[Fault], honest: int, before: bytes) -> None:
    data = hashlib.sha256(repr((faults, honest, before)).encode()).digest() * 157
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    faults.insert(honest, Fault())
    for server, fault in zip(net.servers, faults, strict=True):
        server.add("g", data)
        server.fault("/files/g", fault)
    net.store.partial(digest).write_bytes(before)
    fetch([Download(tuple(server.url + "/files/g" for server in net.servers), digest, len(data), "g")], net.store)
    assert net.store.read(digest) == data


@given(st.lists(st.tuples(st.sampled_from(["http://a/x", "http://b/x", "http://c/x"]), st.sampled_from([0, 1, STALLED, LIED])), max_size=8))
def test_the_order_keeps_every_address_and_puts_liars_last(events: list[tuple[str, int]]) -> None:
    servers = Servers()
    urls = ["http://a/1", "http://b/1", "http://c/1"]
    for url, rank in events:
        servers.failed(url, "did it", "f", rank)
    order = servers.order(urls)
    assert sorted(order) == urls
    liars = {server_of(url) for url, rank in events if rank == LIED}
    assert [server_of(url) in liars for url in order] == sorted(server_of(url) in liars for url in order)


def test_a_server_is_named_without_what_is_secret() -> None:
    assert server_of("https://me:secret@Host.example:8443/a?b") == "https://host.example:8443"
