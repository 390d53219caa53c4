"""Layers: concatenated segments, with every directory once."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shipwheel.digest import digest_of
from shipwheel.errors import ArchiveError, DamagedBlob
from shipwheel.files.compress import deflated
from shipwheel.files.entry import EntryType, FileEntry, Source, directory, file, read_content, symlink
from shipwheel.oci.layer import Compression, Layer, LayerSpec, find_layer, layer_chunks, layer_from_descriptor, make_layer
from shipwheel.store.store import Store
from shipwheel.testing.images import EntriesSource


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def spec(*sources: Sequence[FileEntry], name: str = "layer") -> LayerSpec:
    return LayerSpec(name, tuple(EntriesSource(tuple(entries), f"source {number}") for number, entries in enumerate(sources)))


@dataclass(frozen=True)
class Unreadable:
    """A source of which only the key is left."""

    source: Source
    label: str = "unreadable"

    @property
    def key(self) -> str:
        return self.source.key

    def entries(self) -> Iterator[FileEntry]:
        raise AssertionError("its segment is in the store")


def packed(layer: Layer, store: Store) -> bytes:
    return b"".join(layer_chunks(layer, store))


def contents(layer: Layer, store: Store) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed(layer, store))), mode="r:") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isreg()}  # type: ignore[union-attr]


def check(layer: Layer, store: Store) -> list[tarfile.TarInfo]:
    """Check what holds for every layer, and return its entries."""
    data = packed(layer, store)
    unpacked = gzip.decompress(data)
    assert layer.size == len(data)
    assert layer.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert layer.unpacked_size == len(unpacked)
    assert layer.diff_id == f"sha256:{hashlib.sha256(unpacked).hexdigest()}"
    assert unpacked[-1024:] == bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
        found = archive.getmembers()
        # Nothing is hidden behind end-of-archive blocks in the middle.
        assert archive.offset == len(unpacked) - 1024
    seen: set[str] = set()
    for member in found:
        parent = member.name.rpartition("/")[0]
        assert member.name not in seen
        assert not parent or parent in seen
        seen.add(member.name)
    return found


def test_directories_come_first_with_the_attributes_of_their_source(store: Store) -> None:
    layer = make_layer(
        spec(
            [file("opt/venv/lib/a.py", b"a"), directory("tmp", 0o1777)],
            [directory("opt/venv", 0o750, uid=5), file("opt/venv/lib/b.py", b"b" * 5000), directory("data/empty")],
        ),
        store,
    )
    found = check(layer, store)
    directories = {member.name: (member.mode, member.uid) for member in found if member.isdir()}
    assert directories == {
        "data": (0o755, 0),
        "data/empty": (0o755, 0),
        "opt": (0o755, 0),
        "opt/venv": (0o750, 5),
        "opt/venv/lib": (0o755, 0),
        "tmp": (0o1777, 0),
    }
    assert [member.isdir() for member in found] == sorted((member.isdir() for member in found), reverse=True)


files = st.dictionaries(
    st.lists(st.sampled_from(["d1", "d2", "d3"]), max_size=3).map(lambda parts: "/".join([*parts, "f"])),
    st.binary(max_size=9000),
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(trees=st.lists(files, min_size=1, max_size=4))
def test_any_layer_has_each_path_once_from_the_last_source_that_has_it(store: Store, trees: list[dict[str, bytes]]) -> None:
    sources = [
        [
            FileEntry(path, EntryType.FILE, 0o644 + number, deflated(b"." + data) if len(data) % 2 else b"." + data, uid=number)
            for path, data in tree.items()
        ]
        for number, tree in enumerate(trees)
    ]
    layer = make_layer(spec(*sources), store)
    expected = {entry.path: entry for source in sources for entry in source}
    found = {member.name: (member.mode, member.uid) for member in check(layer, store) if member.isreg()}
    assert found == {entry.path: (entry.mode, entry.uid) for entry in expected.values()}
    assert contents(layer, store) == {entry.path: read_content(entry.content) for entry in expected.values()}
    assert make_layer(spec(*sources), store) == layer


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [directory("only")],
        [file("top", b"x")],
        [file("a/b/c", b"x" * 5000)],
        [directory("a"), directory("a/b"), file("a/b/c", b"x" * 5000)],
        [file("a/b/c", b"x"), directory("a", 0o700)],
        [symlink("bin", "usr/bin")],
    ],
    ids=["nothing", "a directory", "no directory", "unnamed parents", "named parents", "a directory named late", "a symlink"],
)
def test_hashing_in_one_pass_or_two_yields_the_same_layer(store: Store, tmp_path: Path, entries: list[FileEntry]) -> None:
    fresh = make_layer(spec(entries), store)
    check(fresh, store)
    other = Store(tmp_path / "other")
    for source in spec(entries).sources:
        from shipwheel.files.segment import make_segment

        make_segment(source, other)
    assert make_layer(spec(entries), other) == fresh


def test_the_same_sources_yield_the_same_layer(store: Store, tmp_path: Path) -> None:
    sources = ([file("a", b"1" * 3000)], [file("b", b"2" * 3000)])
    first = make_layer(spec(*sources), store)
    second = make_layer(spec(*sources), Store(tmp_path / "other"))
    assert first == second
    assert first.key == spec(*sources).key


def test_the_key_depends_on_the_order_of_sources(store: Store) -> None:
    one, two = EntriesSource((file("a", b"1"),)), EntriesSource((file("b", b"2"),))
    forward, back = LayerSpec("l", (one, two)), LayerSpec("l", (two, one))
    assert forward.key != back.key
    assert make_layer(forward, store).digest != make_layer(back, store).digest


def test_finds_a_layer_only_with_all_of_its_parts(store: Store) -> None:
    wanted = spec([file("a", b"1" * 3000)], [file("b", b"2" * 3000)])
    assert find_layer(wanted, store) is None
    layer = make_layer(wanted, store)
    assert find_layer(wanted, store) == layer
    for part in layer.parts:
        store.discard(part)
        assert find_layer(wanted, store) is None
        assert make_layer(wanted, store) == layer


def test_ignores_a_record_of_another_version(store: Store) -> None:
    wanted = spec([file("a", b"1")])
    store.put("layer", wanted.key, b"[1, 2]")
    assert find_layer(wanted, store) is None


def test_discards_a_damaged_part_and_makes_it_again(store: Store) -> None:
    wanted = spec([file("a", b"1" * 3000)], [file("b", b"2" * 3000)])
    layer = make_layer(wanted, store)
    damaged = layer.parts[1]
    store.path(damaged).write_bytes(b"rubbish")
    with pytest.raises(DamagedBlob) as caught:
        packed(layer, store)
    assert caught.value.digest == damaged
    assert find_layer(wanted, store) is None
    assert make_layer(wanted, store) == layer
    check(layer, store)


def test_a_changed_source_makes_only_its_own_segment(store: Store) -> None:
    before = make_layer(spec([file("a", b"1" * 3000)], [file("b", b"2" * 3000)]), store)
    after = make_layer(spec([file("a", b"1" * 3000)], [file("b", b"3" * 3000)]), store)
    assert before.parts[:2] == after.parts[:2]
    assert before.parts[2] != after.parts[2]


def test_a_zstd_layer_has_the_same_content_and_another_key(store: Store, tmp_path: Path) -> None:
    sources = spec(
        [file("a/one", b"1" * 9000)], [FileEntry("a/two", EntryType.FILE, 0o644, deflated(b"2" * 9000)), symlink("link", "a/two")]
    )
    plain, packed_spec = make_layer(sources, store), replace(sources, compression=Compression.ZSTD)
    layer = make_layer(packed_spec, store)
    data = packed(layer, store)
    assert (layer.descriptor.media_type, layer.size) == ("application/vnd.oci.image.layer.v1.tar+zstd", len(data))
    assert layer.digest == digest_of(data) and layer.key == packed_spec.key != plain.key
    unpacked = zstandard.ZstdDecompressor().decompress(data)
    assert (layer.diff_id, layer.unpacked_size) == (plain.diff_id, plain.unpacked_size) == (digest_of(unpacked), len(unpacked))
    assert find_layer(packed_spec, store) == layer == make_layer(packed_spec, Store(tmp_path / "other"))
    assert layer_from_descriptor(packed_spec, layer.descriptor, layer.diff_id) is not None
    as_gzip = msgspec.structs.replace(layer.descriptor, media_type=plain.descriptor.media_type)
    assert layer_from_descriptor(packed_spec, as_gzip, layer.diff_id) is None


LONG = "/".join(["ünicode" * 8] * 6)


def test_replaced_files_are_left_out_whatever_is_beside_them(store: Store) -> None:
    """Nothing but the replaced file is lost: links, long names, owners, empty directories, large files."""
    kept = [
        directory("var/empty", 0o700, uid=7),
        file("a/first", b"1" * 5000),
        file(f"a/{LONG}", b"long", 0o600, uid=3_000_000, gid=4),
        FileEntry("a/hard", EntryType.HARDLINK, 0o644, target="a/first"),
        symlink("a/link", "x" * 150),
        file("a/last", b"large" * 5_000_000),
    ]
    layer = make_layer(spec([*kept[:3], file("tests/__init__.py", b"old" * 1000), *kept[3:]], [file("tests/__init__.py", b"new")]), store)
    expected = make_layer(spec(kept, [file("tests/__init__.py", b"new")]), store)
    assert layer.diff_id == expected.diff_id
    check(layer, store)


def test_the_last_source_wins_also_with_a_link(store: Store) -> None:
    layer = make_layer(spec([file("bin/tool", b"1")], [symlink("bin/tool", "other"), file("bin/other", b"2")]), store)
    assert {member.name: member.linkname for member in check(layer, store)} == {"bin": "", "bin/tool": "other", "bin/other": ""}


def test_replaces_files_of_segments_whose_source_is_gone(store: Store) -> None:
    """The segments may come from an earlier build, and the wheels may have been removed since."""
    first, second = spec([file("a", b"1" * 3000), file("same", b"1")], [file("same", b"2")]).sources
    make_layer(LayerSpec("first", (first,)), store)
    gone = Unreadable(first)
    assert contents(make_layer(LayerSpec("both", (gone, second)), store), store) == {"a": b"1" * 3000, "same": b"2"}


@pytest.mark.parametrize("reverse", [False, True])
def test_rejects_a_file_where_another_source_has_a_directory(store: Store, reverse: bool) -> None:
    sources = [[file("pkg/name", b"1")], [file("pkg/name/module.py", b"2")]]
    with pytest.raises(ArchiveError, match=r"source \d has a file pkg/name, and source \d has a directory there"):
        make_layer(spec(*(reversed(sources) if reverse else sources)), store)


def test_rejects_a_hard_link_to_a_replaced_file(store: Store) -> None:
    linked = [file("a", b"1"), FileEntry("b", EntryType.HARDLINK, 0o644, target="a")]
    with pytest.raises(ArchiveError, match="source 0: b is a hard link to a, which another package"):
        make_layer(spec(linked, [file("a", b"2")]), store)
