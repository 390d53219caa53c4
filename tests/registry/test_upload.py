"""Uploads of one blob: to registries with the habits of real ones, over connections that break, and when nothing helps."""

import os
from collections.abc import Iterator

import pytest

from shipwheel.digest import digest_of
from shipwheel.errors import DamagedBlob, FetchError
from shipwheel.oci.image import Blob
from shipwheel.oci.model import Descriptor
from shipwheel.oci.reference import Reference
from shipwheel.registry import upload
from shipwheel.registry.repository import Repository
from shipwheel.registry.upload import Uploader
from shipwheel.testing.real_registries import REAL_REGISTRIES, RealRegistry
from shipwheel.testing.registry import FakeRegistry, Habits, RegistryFault

NAME = "team/app"

pytestmark = pytest.mark.usefixtures("either_client")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.registry.transport.random.uniform", lambda *_: 0.001)


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 400 kB, and where these are too large of 100 and 10 kB."""
    monkeypatch.setattr(upload, "CHUNK_SIZES", (400_000, 100_000, 10_000))


def blob_of(data: bytes, piece: int = 50_000) -> Blob:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(data), piece):
            yield data[start : start + piece]

    return Blob(Descriptor("application/octet-stream", digest_of(data), len(data)), chunks)


def send(registry: FakeRegistry, *blobs: Blob) -> None:
    with Repository(Reference.parse(f"{registry.host}/{NAME}:1")) as repository:
        uploader = Uploader(repository, lambda *_: None)
        for blob in blobs:
            uploader.upload(blob)
            assert registry.blobs[NAME][blob.descriptor.digest] == b"".join(blob.chunks())


def ranges(registry: FakeRegistry) -> list[str]:
    return [seen.headers.get("content-range", "whole") for seen in registry.received("PATCH")]


def received(registry: FakeRegistry) -> int:
    return sum(seen.received for seen in registry.requests)


LARGE = os.urandom(1_000_001)
OF_6_MIB = os.urandom(6 << 20)


@pytest.mark.parametrize("real", REAL_REGISTRIES, ids=lambda real: real.name)
def test_every_registry_gets_a_blob_once(real: RealRegistry) -> None:
    """6 MiB are more than GHCR takes as a chunk and the proxy at all."""
    with FakeRegistry(real.habits) as registry:
        registry.blobs[NAME] = {}
        send(registry, blob_of(OF_6_MIB), blob_of(LARGE), blob_of(OF_6_MIB[1:]))
        sizes = 2 * len(OF_6_MIB) + len(LARGE)
        # The first of Pulp's blobs is sent twice.
        assert received(registry) <= sizes * 1.1 + (0 if real.habits.puts else len(OF_6_MIB))


def test_a_blob_is_one_request(chunks: None) -> None:
    with FakeRegistry() as registry:
        send(registry, blob_of(LARGE))
        assert [seen.method for seen in registry.requests] == ["POST", "PUT"]


@pytest.mark.parametrize("kind", ["drop", "no-answer"])
def test_continues_in_chunks_after_a_break(chunks: None, kind: str) -> None:
    with FakeRegistry() as registry:
        registry.fault(RegistryFault("drop", "PUT", "/uploads/"))
        registry.fault(RegistryFault(kind, "PATCH"))
        send(registry, blob_of(LARGE))
        resumed = {"drop": ["200000-599999", "600000-999999", "1000000-1000000"], "no-answer": ["400000-799999", "800000-1000000"]}[kind]
        assert ranges(registry) == ["0-399999", *resumed]
        assert received(registry) <= 1.5 * len(LARGE) + 400_000


def test_a_small_blob_is_sent_again_as_a_whole(chunks: None) -> None:
    with FakeRegistry() as registry:
        registry.fault(RegistryFault("drop", "PUT", "/uploads/"))
        send(registry, blob_of(b"x" * 300_000))
        assert [seen.method for seen in registry.requests] == ["POST", "PUT", "HEAD", "POST", "PUT"]


def test_a_lost_answer_costs_no_second_upload(chunks: None) -> None:
    with FakeRegistry() as registry:
        registry.fault(RegistryFault("no-answer", "PUT", "/uploads/"))
        send(registry, blob_of(LARGE))
        assert [seen.method for seen in registry.requests] == ["POST", "PUT", "HEAD"]


@pytest.mark.parametrize("kind", ["drop", "no-answer", "status"])
def test_a_commit_of_chunks_is_repeated_alone(chunks: None, kind: str) -> None:
    with FakeRegistry() as registry:
        registry.fault(RegistryFault("drop", "PUT", "/uploads/"))
        registry.fault(RegistryFault(kind, "PUT", "/uploads/", status=503))
        send(registry, blob_of(LARGE))
        assert len(registry.received("PATCH")) == 3


def test_the_smallest_chunk_is_respected(chunks: None) -> None:
    with FakeRegistry(Habits(least_chunk=500_000)) as registry:
        registry.fault(RegistryFault("drop", "PUT", "/uploads/"))
        send(registry, blob_of(LARGE))
        assert ranges(registry) == ["0-499999", "500000-999999", "1000000-1000000"]


@pytest.mark.parametrize("habits", [Habits(chunks=False), Habits(most_chunk=1000)], ids=str)
def test_where_chunks_are_refused_a_broken_blob_is_sent_as_a_whole(chunks: None, habits: Habits) -> None:
    with FakeRegistry(habits) as registry:
        registry.fault(RegistryFault("drop", "PUT", "/uploads/"))
        send(registry, blob_of(LARGE), blob_of(LARGE[1:]))
        assert ranges(registry) == ["0-399999"], "asked once"
        assert received(registry) <= 2.5 * len(LARGE) + 400_000


@pytest.mark.parametrize("limit", [450_000, 120_000, 10_000])
def test_a_limit_on_requests_is_found_once(chunks: None, limit: int) -> None:
    with FakeRegistry(Habits(most_body=limit)) as registry:
        send(registry, blob_of(LARGE))
        refused = len(registry.received("PUT")) + len(registry.received("PATCH"))
        with Repository(Reference.parse(f"{registry.host}/{NAME}:1")) as repository:
            uploader = Uploader(repository, lambda *_: None)
            uploader.upload(blob_of(LARGE[1:]))
            before = len(registry.requests)
            uploader.upload(blob_of(LARGE[2:]))
        accepted = [seen for seen in registry.requests[before:] if seen.method in ("PUT", "PATCH")]
        assert refused and sum(seen.received for seen in accepted) == len(LARGE) - 2
        assert all(seen.received or seen.method == "PUT" for seen in accepted)


def test_a_limit_below_every_chunk_is_the_error(chunks: None) -> None:
    with FakeRegistry(Habits(most_body=5000)) as registry, pytest.raises(FetchError) as raised:
        send(registry, blob_of(LARGE))
    assert raised.value.status == 413
    assert "does not accept files of this size" in raised.value.hint


def test_an_upload_that_stands_still_ends(chunks: None) -> None:
    with FakeRegistry() as registry:
        registry.fault(RegistryFault("status", "PUT|PATCH", "/uploads/", 999, 503))
        with pytest.raises(FetchError, match="6 attempts"):
            send(registry, blob_of(LARGE))
        # One PUT, then one chunk, which does not get on.
        assert len(registry.received("PUT")) == 1
        assert len(registry.received("PATCH")) == 6


def test_a_range_that_stands_still_is_not_believed(chunks: None) -> None:
    """ECR names the first chunk for ever. If a later one breaks, nobody knows how much of it arrived: the upload starts again, once."""
    with FakeRegistry(Habits(range_stands_still=True)) as registry:
        registry.fault(RegistryFault("drop", "PUT", "/uploads/"))
        registry.fault(RegistryFault("drop", "PATCH", after=1))
        send(registry, blob_of(LARGE))
        once = ["0-399999", "400000-799999"]
        assert ranges(registry) == [*once, "400000-799999", *once, "800000-1000000"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("size", [1_000, 1_000_001])
def test_a_damaged_blob_is_not_completed(chunks: None, size: int, method: str) -> None:
    good = blob_of(os.urandom(size))

    def damaged() -> Iterator[bytes]:
        *most, last = good.chunks()
        yield from most
        yield last[:-1] + bytes([last[-1] ^ 1])
        raise DamagedBlob(good.descriptor.digest)

    with FakeRegistry(Habits(puts=method == "PUT")) as registry:
        with pytest.raises(DamagedBlob):
            send(registry, Blob(good.descriptor, damaged))
        assert not registry.blobs
        assert all(seen.received < size for seen in registry.requests)
