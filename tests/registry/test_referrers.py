"""Lists of referrers: whatever a registry answers instead of one, and several clients that add to one."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from shipwheel.digest import Digest, digest_of
from shipwheel.errors import FetchError
from shipwheel.events import Event
from shipwheel.oci.image import Blob, ImageIndex
from shipwheel.oci.model import MEDIA_TYPE_MANIFEST, Descriptor, Manifest, encode
from shipwheel.oci.reference import Reference
from shipwheel.registry.push import Push
from shipwheel.registry.referrers import add_referrer, fallback_tag, list_referrers
from shipwheel.registry.repository import Document, Repository
from shipwheel.store.store import Store
from shipwheel.testing.images import small_index
from shipwheel.testing.registry import FakeRegistry, Habits, RegistryFault

NAME, KIND = "team/app", "application/x-a"
EMPTY = b"{}"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.registry.transport.random.uniform", lambda *_: 0.001)


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    return small_index(Store(tmp_path / "store"))


def repository(registry: FakeRegistry) -> Repository:
    return Repository(Reference.parse(f"{registry.host}/{NAME}:1"))


def referrer(index: ImageIndex, number: int) -> Document:
    config = Descriptor("application/vnd.oci.empty.v1+json", digest_of(EMPTY), len(EMPTY))
    data = encode(Manifest(config, (), 2, MEDIA_TYPE_MANIFEST, {"n": str(number)}, artifact_type=KIND, subject=index.descriptor))
    return Document(Descriptor(MEDIA_TYPE_MANIFEST, digest_of(data), len(data)), data)


def put(registry: FakeRegistry, index: ImageIndex, *documents: Document) -> None:
    """Push the image, its referrers' blob and the referrers, without a list."""
    registry.add(NAME, EMPTY)
    registry.put(NAME, index.index, index.descriptor.media_type, "1")
    for document in documents:
        registry.put(NAME, document.data, MEDIA_TYPE_MANIFEST)


def listed(registry: FakeRegistry, index: ImageIndex) -> set[Digest]:
    with repository(registry) as repo:
        return {entry.digest for entry in list_referrers(repo, index.digest, KIND)}


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 405, 406, 410, 501])
def test_a_registry_without_an_api_has_a_list_under_a_tag(index: ImageIndex, status: int) -> None:
    with FakeRegistry(Habits(referrers=False, no_referrers=status)) as registry:
        document = referrer(index, 1)
        put(registry, index, document)
        assert listed(registry, index) == set()
        with repository(registry) as repo:
            add_referrer(repo, document)
        assert listed(registry, index) == {document.descriptor.digest}


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_registry_that_fails_is_no_registry_without_referrers(index: ImageIndex, status: int) -> None:
    with FakeRegistry() as registry:
        put(registry, index)
        registry.fault(RegistryFault("status", "GET", "/referrers/", 99, status, {"Retry-After": "0"}))
        with pytest.raises(FetchError, match="6 attempts"):
            listed(registry, index)


def test_an_answer_without_a_challenge_ends_nothing(index: ImageIndex, empty_home: Path) -> None:
    """The credential that Harbor 2.7 refuses at referrers is good for everything else."""
    (empty_home / ".docker").mkdir()
    with FakeRegistry(Habits(login="me:secret", referrers=False, no_referrers=401)) as registry:
        (empty_home / ".docker" / "config.json").write_text(f'{{"auths": {{"{registry.host}": {{"auth": "bWU6c2VjcmV0"}}}}}}')
        put(registry, index)
        with repository(registry) as repo:
            for _ in range(3):
                assert repo.manifest("1").descriptor.digest == index.digest
                assert list_referrers(repo, index.digest) == ()


def test_an_image_is_not_its_own_list(index: ImageIndex) -> None:
    """GitLab resolves `sha256-…` to the image, whose platforms are no referrers."""
    with FakeRegistry(Habits(referrers=False, digest_tags=True)) as registry:
        document = referrer(index, 1)
        put(registry, index, document)
        with repository(registry) as repo:
            assert list_referrers(repo, index.digest) == ()
            with pytest.raises(FetchError, match="stands for the image itself"):
                add_referrer(repo, document)
        assert not registry.received("PUT", "/manifests/")


def test_a_tag_that_is_no_list_lists_nothing(index: ImageIndex) -> None:
    with FakeRegistry(Habits(referrers=False)) as registry:
        document = referrer(index, 1)
        put(registry, index, document)
        registry.put(NAME, document.data, MEDIA_TYPE_MANIFEST, fallback_tag(index.digest))
        assert listed(registry, index) == set()


class Meeting(Repository):
    """A repository in which other clients act between the reading and the writing of the list, one after another."""

    def __init__(self, registry: FakeRegistry, *others: Document) -> None:
        super().__init__(Reference.parse(f"{registry.host}/{NAME}:1"))
        self.registry = registry
        self.others = [*others]

    def put_manifest(self, document: Document, reference: str, condition: Mapping[str, str] | None = None) -> Mapping[str, str]:
        if self.others:
            with repository(self.registry) as other:
                add_referrer(other, self.others.pop())
        return super().put_manifest(document, reference, condition)


@pytest.mark.parametrize("first", [True, False], ids=["a new list", "an old list"])
def test_clients_that_meet_lose_no_entry_where_requests_can_be_conditional(index: ImageIndex, first: bool) -> None:
    documents = [referrer(index, number) for number in range(5)]
    with FakeRegistry(Habits(referrers=False, conditions=True)) as registry:
        put(registry, index, *documents)
        if not first:
            with repository(registry) as repo:
                add_referrer(repo, documents[4])
        with Meeting(registry, *documents[1:4]) as repo:
            add_referrer(repo, documents[0])
        assert listed(registry, index) == {document.descriptor.digest for document in documents[: 4 if first else 5]}


def test_an_entry_that_another_client_overwrote_is_added_again(index: ImageIndex) -> None:
    ours, theirs = referrer(index, 1), referrer(index, 2)

    class Overwritten(Repository):
        """A repository in which an older list replaces the first that is put."""

        puts = 0

        def put_manifest(self, document: Document, reference: str, condition: Mapping[str, str] | None = None) -> Mapping[str, str]:
            self.puts += 1
            headers = super().put_manifest(document, reference, condition)
            if self.puts == 1:
                registry.tags[NAME][reference] = before
            return headers

    with FakeRegistry(Habits(referrers=False)) as registry:
        put(registry, index, ours, theirs)
        with repository(registry) as repo:
            add_referrer(repo, theirs)
        before = registry.tags[NAME][fallback_tag(index.digest)]
        with Overwritten(Reference.parse(f"{registry.host}/{NAME}:1")) as repo:
            add_referrer(repo, ours)
            assert repo.puts == 2
        assert listed(registry, index) == {ours.descriptor.digest, theirs.descriptor.digest}


def test_a_list_that_is_overwritten_for_ever_is_an_error(index: ImageIndex) -> None:
    document = referrer(index, 1)
    with FakeRegistry(Habits(referrers=False)) as registry:
        put(registry, index, document)
        registry.fault(RegistryFault("status", "PUT", "/manifests/sha256-", 99, 412))
        with repository(registry) as repo, pytest.raises(FetchError, match="the list of referrers was overwritten"):
            add_referrer(repo, document)


def test_what_is_refused_where_it_is_optional_is_a_warning(index: ImageIndex) -> None:
    events: list[Event] = []
    document = referrer(index, 1)
    with FakeRegistry(Habits(artifacts=False)) as registry, repository(registry) as repo, Push(repo, events.append) as push:
        put(registry, index)
        with push.optional():
            push.blob(Blob(Descriptor("application/octet-stream", digest_of(EMPTY), len(EMPTY)), lambda: iter((EMPTY,))))
            push.wait_for_blobs()
            push.document(document)
    assert [type(event).__name__ for event in events if "records" in str(event)] == ["Warned"]
