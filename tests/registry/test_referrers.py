"""What refers to an image goes along with a copy if that is asked for, however registries keep it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipwheel.errors import ImageError
from shipwheel.events import Event, Warned, silent
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.model import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST, Descriptor, Index, Manifest, encode
from shipwheel.oci.reference import Reference
from shipwheel.registry import referrers as referrers_module
from shipwheel.registry.copy import Copied, copy
from shipwheel.registry.push import Push
from shipwheel.registry.repository import Repository, fallback_tag
from shipwheel.store import Store
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
    """In the source, without anything beside it."""
    store = Store(tmp_path / "store")
    made = small_index(store)
    with repository(source, NAME) as there, Push(there, silent) as pushing:
        pushing.images(made, store)
        pushing.finish(made, ("1",))
    return made


def repository(registry: FakeRegistry, name: str) -> Repository:
    return Repository(Reference.parse(f"{registry.host}/{name}"))


def attach(registry: FakeRegistry, subject: Descriptor | None, text: str, tag: str = "") -> Descriptor:
    """An artifact that refers to something, as a program puts it there that knows the registry's way."""
    data, empty = text.encode(), b"{}"
    layer = Descriptor("text/plain", registry.add(NAME, data), len(data))
    config = Descriptor("application/vnd.oci.empty.v1+json", registry.add(NAME, empty), len(empty))
    manifest = encode(Manifest(config, (layer,), 2, MEDIA_TYPE_MANIFEST, artifact_type="application/x-it", subject=subject))
    found = Descriptor(MEDIA_TYPE_MANIFEST, registry.put(NAME, manifest, MEDIA_TYPE_MANIFEST, tag), len(manifest))
    if subject is not None:
        listed(registry, subject.digest, found)
    return found


def listed(registry: FakeRegistry, subject: str, entry: Descriptor) -> None:
    """Puts an entry on the list that a registry without the API does not keep itself."""
    if not registry.habits.referrers:
        tag = fallback_tag(subject)
        with repository(registry, NAME) as there:
            before = there.referrers(subject)
        registry.put(NAME, encode(Index((*before, entry), 2, MEDIA_TYPE_INDEX)), MEDIA_TYPE_INDEX, tag)


def copied(source: FakeRegistry, target: FakeRegistry, *, referrers: bool = True, said: list[Event] | None = None) -> Copied:
    with repository(source, NAME) as there, repository(target, COPY) as place:
        reporter = silent if said is None else said.append
        return copy(there, "1", place, ("1",), reporter=reporter, referrers=referrers)


def referrers(registry: FakeRegistry, digest: str) -> set[str]:
    with repository(registry, COPY) as there:
        return {one.digest for one in there.referrers(digest)}


def test_what_refers_to_the_index_to_an_image_and_to_that_in_turn(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    record = attach(source, index.descriptor, "a record")
    attestation = attach(source, index.images[0].descriptor, "an attestation")
    signature = attach(source, attestation, "a signature of it")
    done = copied(source, target)
    assert done.descriptor.digest == index.digest
    assert target.tags[COPY]["1"] == index.digest
    found = [referrers(target, one) for one in (index.digest, index.images[0].digest, attestation.digest, index.images[1].digest)]
    assert found == [{record.digest}, {attestation.digest}, {signature.digest}, set()]
    for digest in (record.digest, attestation.digest, signature.digest, index.digest):
        assert target.lacking(COPY, digest) == []
    order = [seen.path.rpartition("/")[2] for seen in target.asked("PUT", "/manifests/")]
    assert order.index(index.digest) < order.index(record.digest) < order.index("1"), "who sees the tag finds all of it"


def test_cosign_s_tags(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    tags = {
        f"{fallback_tag(index.digest)}.{suffix}": attach(source, None, suffix, tag=f"{fallback_tag(index.digest)}.{suffix}")
        for suffix in ("sig", "att")
    }
    copied(source, target)
    assert {tag: target.tags[COPY][tag] for tag in tags} == {tag: one.digest for tag, one in tags.items()}


def test_it_is_left_where_it_is_unless_it_is_asked_for(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    attach(source, index.descriptor, "a record")
    before = len(source.seen)
    copied(source, target, referrers=False)
    assert referrers(target, index.digest) == set()
    assert set(target.tags[COPY]) == {"1"}
    assert not [seen for seen in source.seen[before:] if "/referrers/" in seen.path or "sha256-" in seen.path]


def test_a_second_copy_adds_nothing(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    attach(source, index.descriptor, "a record")
    copied(source, target)
    before = {name: set(documents) for name, documents in target.manifests.items()}
    assert copied(source, target).traffic.present
    assert {name: set(documents) for name, documents in target.manifests.items()} == before


def test_what_a_list_has_wrong_is_said_and_left_out(target: FakeRegistry, tmp_path: Path) -> None:
    with FakeRegistry(Habits(referrers=False)) as source:
        store = Store(tmp_path / "store")
        made = small_index(store)
        with repository(source, NAME) as there, Push(there, silent) as pushing:
            pushing.images(made, store)
            pushing.finish(made, ("1",))
        right = attach(source, made.descriptor, "right")
        other = attach(source, made.images[0].descriptor, "of something else")
        gone = Descriptor(MEDIA_TYPE_MANIFEST, f"sha256:{hashlib.sha256(b'gone').hexdigest()}", 4)
        odd = b'{"schemaVersion": 2, "mediaType": "application/x-odd"}'
        strange = Descriptor("application/x-odd", source.put(NAME, odd, "application/x-odd"), len(odd))
        for entry in (other, gone, strange):
            listed(source, made.digest, entry)
        said: list[Event] = []
        copied(source, target, said=said)
    assert referrers(target, made.digest) == {right.digest}
    assert referrers(target, made.images[0].digest) == {other.digest}, "it is found where it belongs"
    warnings = " ".join(event.message for event in said if isinstance(event, Warned))
    for one, why in ((other, "refers to something else"), (gone, "not there"), (strange, "is no image or image index")):
        assert f"{one.digest}, which is said to refer to {made.digest}, is not taken along" in warnings
        assert why in warnings


def test_a_chain_without_end(source: FakeRegistry, target: FakeRegistry, index: ImageIndex) -> None:
    last = index.descriptor
    for number in range(6):
        last = attach(source, last, str(number))
    with pytest.raises(ImageError, match="has no end"):
        copied(source, target)
    assert COPY not in target.tags


def test_more_than_anybody_has(source: FakeRegistry, target: FakeRegistry, index: ImageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers_module, "_MAX_DOCUMENTS", 5)
    for number in range(7):
        attach(source, index.descriptor, str(number))
    with pytest.raises(ImageError, match="has no end"):
        copied(source, target)
