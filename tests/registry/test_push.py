"""Pushes into the fake registry: order, mounts, chunks, failures."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies
from msgspec.structs import replace
from support.digests import ANY

from shipwheel.digest import digest_of
from shipwheel.errors import DamagedBlob, FetchError, IntegrityError, ShipwheelError
from shipwheel.events import Event, StageFinished, StageStarted, format_size, silent
from shipwheel.oci.image import Blob, ImageIndex
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Manifest, encode
from shipwheel.oci.reference import Reference
from shipwheel.registry.push import Push, Traffic
from shipwheel.registry.referrers import fallback_tag, list_referrers
from shipwheel.registry.repository import Document, Repository
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, small_index
from shipwheel.testing.registry import FakeRegistry, Habits, RegistryFault


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def repository(registry: FakeRegistry, path: str = "team/app") -> Repository:
    return Repository(Reference.parse(f"{registry.host}/{path}:1"))


def push(registry: FakeRegistry, index: ImageIndex, store: Store, path: str = "team/app", blobs: tuple[Blob, ...] = ()) -> Traffic:
    with repository(registry, path) as repo, Push(repo, silent) as pushing:
        for blob in blobs:
            pushing.blob(blob, (f"{registry.host}/team/app",))
        pushing.images(index, store)
        pushing.finish(index, ("1", "latest"))
        return pushing.traffic


@pytest.mark.parametrize(
    "refusal", [(400, "TAG_INVALID"), (403, "DENIED"), (405, "UNSUPPORTED"), (409, "TAG_IMMUTABLE"), (412, "PRECONDITION")], ids=str
)
def test_a_tag_that_is_not_moved_is_an_error_with_the_way_on(store: Store, refusal: tuple[int, str]) -> None:
    with FakeRegistry(Habits(keeps_tags=refusal)) as registry:
        first, second = small_index(store, [AMD64]), small_index(store)
        push(registry, first, store)
        push(registry, first, store)
        with pytest.raises(FetchError) as caught:
            push(registry, second, store)
        name = f"{registry.host}/team/app"
        assert f"{name}:1 stands for another image ({first.digest})" in caught.value.message
        assert refusal[1] in caught.value.message and caught.value.status == refusal[0]
        assert f"`shipwheel copy {name}@{second.digest} {name}:NEWTAG`" in caught.value.hint
        assert registry.tags["team/app"]["1"] == first.digest
        with repository(registry) as repo, Push(repo, silent) as pushing:
            pushing.images(second, store)
            pushing.finish(second, ("2",))
            assert pushing.traffic.uploaded <= sum(len(image.manifest) for image in second.images) + len(second.index)
        assert registry.tags["team/app"]["2"] == second.digest


def test_the_upload_that_asks_for_permission_carries_the_first_blob(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = small_index(store, [AMD64])
        with Push(repo, silent) as pushing:
            pushing.check_permission()
            pushing.images(index, store)
            pushing.finish(index, ("1",))
        blobs = {layer.descriptor.digest for image in index.images for layer in image.layers}
        assert len(registry.received("POST")) == len(blobs) + 1 and not registry.received("DELETE")
        assert not registry.uploads and not registry.missing_blobs("team/app", index.digest)


def test_an_upload_that_the_registry_has_forgotten_is_started_again(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        index = small_index(store, [AMD64])
        with Push(repo, silent) as pushing:
            pushing.check_permission()
            registry.uploads.clear()
            pushing.images(index, store)
            pushing.finish(index, ("1",))
        assert not registry.missing_blobs("team/app", index.digest)


def test_an_old_upload_is_cancelled_and_carries_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.registry.upload._MAX_START_AGE_S", -1.0)
    with FakeRegistry() as registry, repository(registry) as repo:
        index = small_index(store, [AMD64])
        with Push(repo, silent) as pushing:
            pushing.check_permission()
            (asked,) = registry.uploads
            pushing.images(index, store)
            pushing.finish(index, ("1",))
        assert [seen.path.rpartition("/")[2] for seen in registry.received("DELETE")] == [asked]
        assert not registry.uploads and not registry.missing_blobs("team/app", index.digest)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=strategies.data())
def test_a_push_that_believes_a_manifest_ends_as_one_that_asks_for_everything(store: Store, data: strategies.DataObject) -> None:
    """Whatever the registry has lost, and whatever a manifest lists that it never had."""
    index = small_index(store)
    blobs = {blob.descriptor.digest: b"".join(blob.chunks()) for image in index.images for blob in image.blobs(store)}
    manifests = {image.digest for image in index.images}
    digests = strategies.sets(strategies.sampled_from(sorted(set(blobs) - manifests)))
    there, listed = data.draw(digests), data.draw(digests)
    with FakeRegistry() as registry, repository(registry) as repo:
        registry.blobs["team/app"] = {digest: blobs[digest] for digest in there}
        with Push(repo, silent, listed=lambda: frozenset(listed)) as pushing:
            pushing.images(index, store)
            pushing.configs(index)
            pushing.publish(index, "1")
        assert registry.tags["team/app"]["1"] == index.digest
        assert not registry.missing_blobs("team/app", index.digest)
        sent = sum(len(blobs[digest]) for digest in set(blobs) - there - manifests)
        documents = len(index.index) + sum(len(image.manifest) for image in index.images)
        # A manifest that was accepted before another was refused is put twice.
        assert sent + documents <= pushing.traffic.uploaded <= sent + 2 * documents
        assert pushing.traffic.present == sum(len(blobs[digest]) for digest in there)


def test_a_refused_tag_that_is_free_keeps_the_registrys_error(store: Store) -> None:
    with FakeRegistry() as registry:
        registry.fault(RegistryFault("status", method="PUT", path="manifests/1$", status=403))
        with pytest.raises(FetchError, match="answered 403") as caught:
            push(registry, small_index(store), store)
        assert "permission" in caught.value.hint


def blob_of(data: bytes, piece: int = 100_000) -> Blob:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(data), piece):
            yield data[start : start + piece]

    return Blob(Descriptor("application/octet-stream", digest_of(data), len(data)), chunks)


@pytest.fixture
def large() -> Blob:
    """A blob that the registry reads in several pieces."""
    return blob_of(os.urandom(1_000_001))


def has(registry: FakeRegistry, blob: Blob, path: str = "team/app") -> bool:
    return registry.blobs.get(path, {}).get(blob.descriptor.digest) == b"".join(blob.chunks())


def test_pushes_everything_and_tags_last(store: Store) -> None:
    index = small_index(store)
    with FakeRegistry() as registry:
        traffic = push(registry, index, store)
        assert registry.tags["team/app"] == {"1": index.digest, "latest": index.digest}
        assert registry.missing_blobs("team/app", index.digest) == []
        puts = [seen.path.rpartition("/")[2] for seen in registry.received("PUT", "/manifests/")]
        assert puts == [*(image.digest for image in index.images), index.digest, "1", "latest"]
        last_blob = max(number for number, seen in enumerate(registry.requests) if "/blobs/" in seen.path)
        first_manifest = min(number for number, seen in enumerate(registry.requests) if "/manifests/" in seen.path)
        assert last_blob < first_manifest
        assert not [seen for seen in registry.requests if seen.method == "DELETE"]
    assert traffic.present == traffic.mounted == 0
    assert traffic.uploaded == sum({blob.descriptor.digest: blob.descriptor.size for blob in index.blobs(store)}.values())


def test_a_second_push_sends_no_blobs(store: Store) -> None:
    index = small_index(store)
    with FakeRegistry() as registry:
        push(registry, index, store)
        posts = len(registry.received("POST"))
        traffic = push(registry, index, store)
        assert len(registry.received("POST")) == posts
    assert traffic.uploaded == len(index.index) + sum(len(image.manifest) for image in index.images)


def test_sends_each_digest_once(store: Store) -> None:
    index = small_index(store)
    with FakeRegistry() as registry:
        push(registry, index, store)
        commits = [seen.query for seen in registry.received("PUT", "/uploads/")]
    assert len(commits) == len(set(commits)) == len({layer.descriptor.digest for image in index.images for layer in image.layers}) + 2


def test_mounts_a_blob_from_another_repository(store: Store, large: Blob) -> None:
    index = small_index(store)
    with FakeRegistry() as registry:
        push(registry, index, store, blobs=(large,))
        traffic = push(registry, index, store, "team/other", blobs=(large,))
        assert has(registry, large, "team/other")
    assert traffic.mounted == large.descriptor.size


@pytest.mark.parametrize(
    "fault", [None, RegistryFault("status", "POST", "mount=", 99, 405), RegistryFault("status", "POST", "mount=", 99, 403)]
)
def test_uploads_a_blob_that_cannot_be_mounted(store: Store, large: Blob, fault: RegistryFault | None) -> None:
    index = small_index(store)
    with FakeRegistry(Habits(mounts=False)) as registry:
        if fault is not None:
            registry.fault(fault)
        push(registry, index, store, blobs=(large,))
        traffic = push(registry, index, store, "team/other", blobs=(large,))
        assert has(registry, large, "team/other")
        if fault is None:
            # A 202 response to the mount started the upload: no second POST for this blob.
            other = registry.received("POST", "^/v2/team/other/")
            assert sum("mount=" in seen.query for seen in other) == 1
            assert len(other) == 1 + len({layer.descriptor.digest for image in index.images for layer in image.layers}) + 2
    assert traffic.mounted == 0


@pytest.mark.parametrize(
    "fault",
    [
        RegistryFault("drop", "PUT", "/uploads/"),
        RegistryFault("no-answer", "PUT", "/uploads/"),
        RegistryFault("status", "PUT", "/uploads/", 1, 503, {"Retry-After": "0"}),
        RegistryFault("drop", "POST"),
        RegistryFault("no-answer", "PUT", "/manifests/", 2),
        RegistryFault("truncate", "PUT", "/manifests/", 2),
        RegistryFault("status", "HEAD", "/blobs/", 3, 502),
        RegistryFault("no-answer", "HEAD", "/blobs/", 2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.method}-{fault.status}",
)
def test_recovers_from_transient_faults(store: Store, large: Blob, fault: RegistryFault) -> None:
    index = small_index(store)
    with FakeRegistry() as registry:
        registry.fault(fault)
        push(registry, index, store, blobs=(large,))
        assert has(registry, large)
        assert registry.missing_blobs("team/app", registry.tags["team/app"]["1"]) == []


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (RegistryFault("status", "POST", "/uploads/", 99, 403), 403, "FAULT: it went wrong"),
        (RegistryFault("status", "PUT", "/manifests/", 99, 403), 403, "answered 403"),
        (RegistryFault("status", "PUT", "/uploads/", 99, 400), 400, "answered 400"),
        (RegistryFault("status", "PUT", "/manifests/sha256", 99, 500), None, "6 attempts"),
        (RegistryFault("status", "PUT", "/manifests/sha256", 99, 429, {"Retry-After": "3600"}), None, "answered 429"),
        (RegistryFault("status", "POST", "/uploads/", 99, 302, {"Location": "/v2/elsewhere"}), 404, "404"),
    ],
    ids=str,
)
def test_a_failed_push_leaves_no_tag(
    store: Store, monkeypatch: pytest.MonkeyPatch, fault: RegistryFault, status: int | None, words: str
) -> None:
    monkeypatch.setattr("shipwheel.registry.transport.random.uniform", lambda *_: 0.01)
    index = small_index(store)
    with FakeRegistry() as registry:
        registry.fault(fault)
        with pytest.raises(FetchError) as error:
            push(registry, index, store)
        assert not registry.tags
    assert words in error.value.message
    assert error.value.hint
    if "blobs could not" not in error.value.message:
        assert error.value.status == status


@pytest.mark.parametrize("size", [1_000, 1_000_001])
def test_does_not_commit_a_damaged_blob(store: Store, large: Blob, size: int) -> None:
    index = small_index(store)
    good = blob_of(os.urandom(size))

    def damaged() -> Iterator[bytes]:
        *most, last = good.chunks()
        yield from most
        yield last[:-1] + bytes([last[-1] ^ 1])
        raise DamagedBlob(good.descriptor.digest)

    with FakeRegistry() as registry:
        with pytest.raises(DamagedBlob):
            push(registry, index, store, blobs=(Blob(good.descriptor, damaged),))
        assert good.descriptor.digest not in registry.blobs.get("team/app", {})
        assert not registry.tags


def test_rejects_a_blob_that_is_too_short(store: Store) -> None:
    blob = blob_of(b"x" * 1000)
    with FakeRegistry() as registry, pytest.raises(IntegrityError, match="ended after"):
        push(registry, small_index(store), store, blobs=(Blob(replace_size(blob, 1001), blob.chunks),))


def replace_size(blob: Blob, size: int) -> Descriptor:
    return msgspec.structs.replace(blob.descriptor, size=size)


@pytest.mark.parametrize("api", [True, False])
def test_lists_a_document_as_a_referrer_of_its_subject(store: Store, api: bool) -> None:
    index = small_index(store)
    empty = blob_of(b"{}")
    with FakeRegistry(Habits(referrers=api)) as registry:
        push(registry, index, store)
        with repository(registry) as repo, Push(repo, silent) as pushing:
            pushing.blob(empty)
            pushing.wait_for_blobs()
            for number in range(3):
                data = encode(
                    Manifest(
                        msgspec.structs.replace(empty.descriptor, media_type="application/vnd.oci.empty.v1+json"),
                        (),
                        2,
                        MEDIA_TYPE_MANIFEST,
                        {"number": str(number)},
                        artifact_type="application/x-a" if number else "application/x-b",
                        subject=index.descriptor,
                    )
                )
                digest = digest_of(data)
                document = Document(Descriptor(MEDIA_TYPE_MANIFEST, digest, len(data)), data)
                pushing.document(document)
                pushing.document(document)
        with repository(registry) as repo:
            assert len(list_referrers(repo, index.digest)) == 3
            assert len(list_referrers(repo, index.digest, "application/x-a")) == 2
            assert list_referrers(repo, ANY) == ()
        assert (fallback_tag(index.digest) in registry.tags["team/app"]) is not api


@pytest.mark.parametrize("habits", [Habits(page=1), Habits(filters=False), Habits(page=1, filters=False)], ids=str)
def test_reads_all_pages_of_referrers_and_filters_them(store: Store, habits: Habits) -> None:
    with FakeRegistry(habits) as registry:
        for number in range(3):
            document = {"subject": {"digest": ANY}, "artifactType": f"application/x-{number % 2}", "n": number}
            registry.put("team/app", msgspec.json.encode(document), MEDIA_TYPE_MANIFEST)
        with repository(registry) as repo:
            assert len(list_referrers(repo, ANY)) == 3
            assert len(list_referrers(repo, ANY, "application/x-0")) == 2


def test_reports_start_and_traffic(store: Store) -> None:
    events: list[Event] = []
    index = small_index(store)
    with FakeRegistry() as registry, repository(registry) as repo, Push(repo, events.append) as pushing:
        pushing.images(index, store)
        pushing.finish(index, ())
        assert "team/app" not in registry.tags
    started = [event for event in events if isinstance(event, StageStarted)]
    assert [(event.stage, event.unit) for event in started] == [("push", "bytes")]
    size = format_size(sum({blob.descriptor.digest: blob.descriptor.size for blob in index.blobs(store)}.values()))
    assert [event.summary for event in events if isinstance(event, StageFinished)] == [f"pushed {size} (everything was new)"]


def test_sends_no_credentials_with_an_upload_to_another_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class FixedAuthorization:
        def header(self, scopes: tuple[str, ...]) -> str | None:
            return "Basic c2VjcmV0"

        def challenged(self, response: object, scopes: tuple[str, ...], sent: str | None) -> bool:
            return False

    index = small_index(store)
    with FakeRegistry() as elsewhere, FakeRegistry(Habits()) as registry:
        repo = Repository(Reference.parse(f"{registry.host}/team/app"), silent, FixedAuthorization())
        elsewhere.uploads["x"] = bytearray()
        registry.fault(
            RegistryFault(
                "status", "POST", times=99, status=202, headers={"Location": f"http://{elsewhere.host}/v2/team/app/blobs/uploads/x"}
            )
        )
        blob = blob_of(b"some bytes")
        with repo, Push(repo, silent) as pushing:
            pushing.blob(blob)
            pushing.wait_for_blobs()
        assert elsewhere.requests
        assert all("authorization" not in seen.headers for seen in elsewhere.requests)
        assert all(seen.headers["authorization"] == "Basic c2VjcmV0" for seen in registry.requests)
        assert index


def test_an_interrupted_push_ends_at_once(store: Store) -> None:
    with FakeRegistry() as registry, repository(registry) as repo:
        registry.fault(RegistryFault("status", "HEAD", times=99, status=503, headers={"Retry-After": "50"}))
        with pytest.raises(KeyboardInterrupt), Push(repo, silent) as pushing:
            pushing.images(small_index(store), store)
            raise KeyboardInterrupt


def test_raises_several_failures_as_one_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as registry:
        registry.fault(replace(RegistryFault("status", "POST", times=99, status=403)))
        with pytest.raises(ShipwheelError) as error:
            push(registry, small_index(store), store)
    assert "403" in error.value.message


def write_docker_config(home: Path, registry: FakeRegistry, login: str) -> None:
    auth = base64.b64encode(login.encode()).decode()
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))


def test_sends_credentials_after_a_challenge_only(store: Store, empty_home: Path) -> None:
    index = small_index(store)
    with FakeRegistry(Habits(login="me:secret")) as registry:
        write_docker_config(empty_home, registry, "me:secret")
        push(registry, index, store)
        assert registry.missing_blobs("team/app", index.digest) == []
        assert "authorization" not in registry.requests[0].headers


@pytest.mark.parametrize("login", ["me:wrong-secret", ""])
def test_hints_at_login_for_missing_and_wrong_credentials(store: Store, empty_home: Path, login: str) -> None:
    with FakeRegistry(Habits(login="me:secret")) as registry:
        if login:
            write_docker_config(empty_home, registry, login)
        with pytest.raises(FetchError) as error:
            push(registry, small_index(store), store)
        assert not registry.tags
    assert "secret" not in error.value.message + error.value.hint
    assert "login" in error.value.hint
