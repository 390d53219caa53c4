"""Copies with and without the images' referrers, on registries with and without an API for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shipwheel.digest import Digest, digest_of
from shipwheel.errors import ImageError
from shipwheel.events import Event, Warned, silent
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.model import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor, Index, Manifest, encode
from shipwheel.oci.reference import Reference
from shipwheel.registry.copy import CopyResult, copy
from shipwheel.registry.push import Push
from shipwheel.registry.referrers import fallback_tag, list_referrers
from shipwheel.registry.repository import Repository
from shipwheel.store.store import Store
from shipwheel.testing.images import small_index
from shipwheel.testing.registry import FakeRegistry, Habits

HABITS = {"with the API": Habits(referrers=True), "without it": Habits(referrers=False)}
NAME, COPY = "team/app", "copied/app"


@pytest.fixture(params=HABITS)
def source(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with FakeRegistry(HABITS[request.param]) as running:
        yield running


@pytest.fixture(params=HABITS)
def target(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with FakeRegistry(HABITS[request.param]) as running:
        yield running


@pytest.fixture
def index(source: FakeRegistry, tmp_path: Path) -> ImageIndex:
    """Images in the source, without referrers."""
    store = Store(tmp_path / "store")
    made = small_index(store)
    with repository(source, NAME) as repo, Push(repo, silent) as pushing:
        pushing.images(made, store)
        pushing.finish(made, ("1",))
    return made


def repository(registry: FakeRegistry, name: str) -> Repository:
    return Repository(Reference.parse(f"{registry.host}/{name}"))


def attach(registry: FakeRegistry, subject: Descriptor | None, text: str, tag: str = "") -> Descriptor:
    """Put an artifact with a subject, as a client of either kind of registry would."""
    data, empty = text.encode(), b"{}"
    layer = Descriptor("text/plain", registry.add(NAME, data), len(data))
    config = Descriptor("application/vnd.oci.empty.v1+json", registry.add(NAME, empty), len(empty))
    manifest = encode(Manifest(config, (layer,), 2, MEDIA_TYPE_MANIFEST, artifact_type="application/x-it", subject=subject))
    artifact = Descriptor(MEDIA_TYPE_MANIFEST, registry.put(NAME, manifest, MEDIA_TYPE_MANIFEST, tag), len(manifest))
    if subject is not None:
        add_to_list(registry, subject.digest, artifact)
    return artifact


def add_to_list(registry: FakeRegistry, subject: Digest, entry: Descriptor) -> None:
    """Add an entry to the list of referrers, if the registry does not keep it itself."""
    if not registry.habits.referrers:
        tag = fallback_tag(subject)
        with repository(registry, NAME) as repo:
            before = list_referrers(repo, subject)
        registry.put(NAME, encode(Index((*before, entry), 2, MEDIA_TYPE_INDEX)), MEDIA_TYPE_INDEX, tag)


def copy_image(source: FakeRegistry, target: FakeRegistry, *, referrers: bool = True, events: list[Event] | None = None) -> CopyResult:
    with repository(source, NAME) as repo, repository(target, COPY) as place:
        reporter = silent if events is None else events.append
        return copy(repo, "1", place, ("1",), reporter=reporter, referrers=referrers)


def referrers(registry: FakeRegistry, digest: Digest) -> set[str]:
    with repository(registry, COPY) as repo:
        return {one.digest for one in list_referrers(repo, digest)}


def test_copies_referrers_of_the_index_of_images_and_of_referrers(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    record = attach(source, index.descriptor, "a record")
    attestation = attach(source, index.images[0].descriptor, "an attestation")
    signature = attach(source, attestation, "a signature of it")
    done = copy_image(source, target)
    assert done.descriptor.digest == index.digest
    assert target.tags[COPY]["1"] == index.digest
    found = [referrers(target, one) for one in (index.digest, index.images[0].digest, attestation.digest, index.images[1].digest)]
    assert found == [{record.digest}, {attestation.digest}, {signature.digest}, set()]
    for digest in (record.digest, attestation.digest, signature.digest, index.digest):
        assert target.missing_blobs(COPY, digest) == []
    order = [seen.path.rpartition("/")[2] for seen in target.received("PUT", "/manifests/")]
    assert order.index(index.digest) < order.index(record.digest) < order.index("1"), "the tag comes last"


def test_copies_cosign_s_tags(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    tags = {
        f"{fallback_tag(index.digest)}.{suffix}": attach(source, None, suffix, tag=f"{fallback_tag(index.digest)}.{suffix}")
        for suffix in ("sig", "att")
    }
    copy_image(source, target)
    assert {tag: target.tags[COPY][tag] for tag in tags} == {tag: one.digest for tag, one in tags.items()}


def test_copies_no_referrers_by_default(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    attach(source, index.descriptor, "a record")
    before = len(source.requests)
    copy_image(source, target, referrers=False)
    assert referrers(target, index.digest) == set()
    assert set(target.tags[COPY]) == {"1"}
    assert not [seen for seen in source.requests[before:] if "/referrers/" in seen.path or "sha256-" in seen.path]


def test_a_second_copy_changes_nothing(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    attach(source, index.descriptor, "a record")
    copy_image(source, target)
    before = {name: set(documents) for name, documents in target.manifests.items()}
    assert copy_image(source, target).traffic.present
    assert {name: set(documents) for name, documents in target.manifests.items()} == before


def test_warns_of_invalid_entries_and_skips_them(target: FakeRegistry, tmp_path: Path) -> None:
    with FakeRegistry(Habits(referrers=False)) as source:
        store = Store(tmp_path / "store")
        made = small_index(store)
        with repository(source, NAME) as repo, Push(repo, silent) as pushing:
            pushing.images(made, store)
            pushing.finish(made, ("1",))
        right = attach(source, made.descriptor, "right")
        other = attach(source, made.images[0].descriptor, "of something else")
        gone = Descriptor(MEDIA_TYPE_MANIFEST, digest_of(b"gone"), 4)
        odd = b'{"schemaVersion": 2, "mediaType": "application/x-odd"}'
        strange = Descriptor("application/x-odd", source.put(NAME, odd, "application/x-odd"), len(odd))
        for entry in (other, gone, strange):
            add_to_list(source, made.digest, entry)
        events: list[Event] = []
        copy_image(source, target, events=events)
    assert referrers(target, made.digest) == {right.digest}
    assert referrers(target, made.images[0].digest) == {other.digest}, "the list of its own subject has it"
    warnings = " ".join(event.message for event in events if isinstance(event, Warned))
    for one, why in ((other, "refers to something else"), (gone, "does not exist"), (strange, "is not an image or image index")):
        assert f"skipped {one.digest}, which is listed as a referrer of {made.digest}" in warnings
        assert why in warnings


def test_rejects_a_long_chain_of_referrers(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    last = index.descriptor
    for number in range(6):
        last = attach(source, last, str(number))
    with pytest.raises(ImageError, match="too many referrers"):
        copy_image(source, target)
    assert COPY not in target.tags


def test_rejects_too_many_referrers(source: FakeRegistry, target: FakeRegistry, index: ImageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.registry.copy._MAX_DOCUMENTS", 5)
    for number in range(7):
        attach(source, index.descriptor, str(number))
    with pytest.raises(ImageError, match="too many referrers"):
        copy_image(source, target)
