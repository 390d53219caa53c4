"""Segments: deterministic tar bytes of one source, in whatever form its content comes."""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipwheel.errors import ArchiveError, DamagedBlob, UsageError
from shipwheel.files import segment as segments
from shipwheel.files.compress import Deflated, deflated
from shipwheel.files.entry import Content, EntryType, FileEntry, LazyContent, directory, file, symlink
from shipwheel.files.segment import Segment, find_segment, key_of, make_segment, source_date_epoch
from shipwheel.store.store import Store
from shipwheel.testing.images import EntriesSource


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make(store: Store, *entries: FileEntry, label: str = "pkg 1.0") -> Segment:
    return make_segment(EntriesSource(entries, label), store)


def unpacked(store: Store, segment: Segment) -> bytes:
    return b"".join(segments.uncompressed_chunks(segment, store))


def opened(data: bytes, size: int | None = None) -> LazyContent:
    def reopen() -> BinaryIO:
        return io.BytesIO(data)

    return LazyContent(len(data) if size is None else size, reopen)


def test_a_segment_is_a_tar_without_end_of_archive_blocks(store: Store) -> None:
    segment = make(store, file("a/one", b"1" * 700), symlink("a/two", "one"), file("a/empty", b""), directory("d", 0o700))
    data = unpacked(store, segment)
    assert len(data) == segment.unpacked_size
    assert len(data) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024)), mode="r:") as archive:
        assert archive.getnames() == ["a/one", "a/two", "a/empty"]  # directories are the layer's
        assert archive.extractfile("a/one").read() == b"1" * 700  # type: ignore[union-attr]
        assert {member.mtime for member in archive} == {source_date_epoch()}
    assert segment.files == {"a/one": zlib.crc32(b"1" * 700), "a/empty": 0}
    assert segment.links == {"a/two": "one"}
    assert list(segment.directories) == ["d"]


sizes = st.one_of(st.integers(0, 3000), st.sampled_from([511, 512, 513, 2047, 2048, 2049, 524288, 524289]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(given_sizes=st.lists(sizes, max_size=5), seed=st.integers(0, 255))
def test_uncompressed_bytes_do_not_depend_on_the_form_of_the_content(store: Store, given_sizes: list[int], seed: int) -> None:
    contents = [bytes([seed, number]) * (size // 2) + b"z" * (size % 2) for number, size in enumerate(given_sizes)]

    def form(kind: str, data: bytes) -> Content:
        if kind == "deflated":
            return deflated(data)
        return opened(data) if kind == "opened" else data

    results = set()
    for kind in ("bytes", "deflated", "opened"):
        entries = [FileEntry(f"dir/{number}", EntryType.FILE, 0o644, form(kind, data)) for number, data in enumerate(contents)]
        segment = make(store, *entries)
        data = unpacked(store, segment) if segment.size else b""
        results.add((data, tuple(segment.files.items())))
        assert segment.size == store.path(segment.digest).stat().st_size
    assert len(results) == 1


def test_the_bytes_do_not_depend_on_the_store(store: Store, tmp_path: Path) -> None:
    entries = [file("a", b"x" * 5000), FileEntry("b", EntryType.FILE, 0o755, deflated(b"y" * 5000))]
    assert make(store, *entries) == make(Store(tmp_path / "other"), *entries)


@pytest.mark.parametrize("path", ["../up", "/absolute", "a/../../b", "a//b", "", ".", "a\0b", "./../x"])
def test_rejects_a_path_outside_the_root(store: Store, path: str) -> None:
    with pytest.raises(ArchiveError, match=r"pkg 1\.0"):
        make(store, file(path, b"x"))
    assert not any((store.root / "tmp").iterdir())


def test_rejects_a_hard_link_outside_the_root(store: Store) -> None:
    with pytest.raises(ArchiveError, match="not allowed"):
        make(store, FileEntry("a", EntryType.HARDLINK, 0o644, target="../../etc/passwd"))


@pytest.mark.parametrize("second", [file("./a", b"y"), symlink("a", "b")])
def test_rejects_a_duplicate_path(store: Store, second: FileEntry) -> None:
    with pytest.raises(ArchiveError, match="a occurs twice"):
        make(store, file("a", b"x"), second)


@pytest.mark.parametrize("path", [".wh.uvicorn", "site/.wh..wh..opq", "site/.wh.dir/module.py", "./.wh..wh.plnk"])
@pytest.mark.parametrize("make_entry", [lambda path: file(path, b""), lambda path: symlink(path, "x"), lambda path: directory(path)])
def test_rejects_names_that_delete_files(store: Store, path: str, make_entry: Callable[[str], FileEntry]) -> None:
    with pytest.raises(ArchiveError, match=r"pkg 1\.0: .*\.wh\..*deletes files"):
        make(store, make_entry(path))
    assert make(store, file("a/.where", b""), file("a/b.wh.c", b"")).files.keys() == {"a/.where", "a/b.wh.c"}


def test_rejects_content_that_contradicts_its_size_or_checksum(store: Store) -> None:
    sound = deflated(b"q" * 9000)
    for content in (
        Deflated(sound.raw, sound.size, 7),
        Deflated(bytes(sound.raw) + b"tail", sound.size, sound.crc32),
        Deflated(sound.raw, 9001, sound.crc32),
        opened(b"short", size=9),
        opened(b"longer than it was", size=3),
    ):
        with pytest.raises(ArchiveError, match=r"pkg 1\.0: big"):
            make(store, FileEntry("big", EntryType.FILE, 0o644, content))


def test_records_elf_files_in_every_form(store: Store) -> None:
    data = Path("/bin/true").resolve().read_bytes()
    for content in (data, deflated(data), opened(data)):
        segment = make(store, FileEntry("bin/true", EntryType.FILE, 0o755, content), file("text", b"ELF, in a manner of speaking"))
        assert [one.path for one in segment.elf] == ["bin/true"]
        assert "libc.so.6" in segment.elf[0].needed


def test_a_damaged_elf_file_is_an_ordinary_file(store: Store) -> None:
    # As packages have them for their tests: no object, so that nothing is asked of it, and in the image as it is.
    data = Path("/bin/true").resolve().read_bytes()
    for bad in (data[:4], data[:100], data[:5000], b"\x7fELF" + b"\xff" * 5000, data[:40] + b"\xff" * 200 + data[240:]):
        for content in (bad, deflated(bad), opened(bad)):
            segment = make(store, FileEntry("testdata/bad.so", EntryType.FILE, 0o755, content), file("text", b"x"))
            assert segment.elf == ()
            assert segment.files["testdata/bad.so"] == zlib.crc32(bad)
            assert bad in unpacked(store, segment)


@pytest.mark.parametrize("size", [0, 9000, 3 << 20])
def test_records_ctypes_libraries_in_every_form(store: Store, size: int) -> None:
    data = b"# " + b"x" * size + b"\nctypes.CDLL(find_library('magic')); ffi.dlopen('libpq.so.5')\n"
    for content in (data, deflated(data), opened(data)):
        segment = make(store, FileEntry("app/magic.py", EntryType.FILE, 0o644, content), file("b.txt", data), file("c.py", b"pass"))
        assert (segment.ctypes_libraries, segment.elf) == (("libpq.so.5", "magic"), ())


def test_finds_a_segment_while_its_bytes_exist(store: Store) -> None:
    source = EntriesSource((file("a", b"x"),))
    assert find_segment(source.key, store) is None
    segment = make_segment(source, store)
    assert find_segment(source.key, store) == segment
    store.discard(segment.digest)
    assert find_segment(source.key, store) is None


def test_ignores_a_record_of_another_version(store: Store) -> None:
    store.put("segment", "k" * 64, b'{"key":"k","what":"is this"}')
    assert find_segment("k" * 64, store) is None


def test_keys_depend_on_the_time_and_on_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key_of("a", "b"), key_of("b", "a"), key_of("ab"), key_of("a", "b", "")}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert source_date_epoch() == 1700000000
    assert key_of("a", "b") not in keys
    assert len(keys) == 4


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "٣", "8589934592", "9" * 5000, " 5"])
def test_rejects_an_invalid_source_date_epoch(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        source_date_epoch()


@dataclass(frozen=True)
class Unreadable:
    key: str = "u" * 64
    label: str = "the project"

    def entries(self) -> Iterator[FileEntry]:
        yield file("a", b"x")
        raise PermissionError(13, "Permission denied", "/home/me/secret")


def test_does_not_blame_the_store_for_an_unreadable_project_file(store: Store) -> None:
    with pytest.raises(PermissionError):
        make_segment(Unreadable(), store)
    assert not any((store.root / "tmp").iterdir())


def test_notices_a_damaged_blob(store: Store) -> None:
    segment = make(store, file("a", b"x" * 5000))
    store.path(segment.digest).write_bytes(b"rubbish")
    with pytest.raises(DamagedBlob):
        store.read(segment.digest)


def test_segment_bytes_never_change(store: Store) -> None:
    segment = make(store, file("a/one", b"1" * 5000), FileEntry("b", EntryType.FILE, 0o755, deflated(b"2" * 5000)), symlink("c", "b"))
    # When these change, LAYOUT_VERSION has to.
    assert hashlib.sha256(unpacked(store, segment)).hexdigest() == "ea139db086e1911b13e53290a3127ab2a6b3dfe3ef86907dc92d75607d13e74a"
    assert segment.digest == "sha256:3bebbae1b4340982d2def7daaf6b6cd3147bbece1a3bb2a39d196248e81c71ea"


@pytest.mark.parametrize("damage", [b"", b"not gzip", None])
def test_discards_a_damaged_blob(tmp_path: Path, damage: bytes | None) -> None:
    store = Store(tmp_path)
    segment = make_segment(EntriesSource((file("a", b"x" * 9000),)), store)
    path = store.path(segment.digest)
    data = path.read_bytes()
    path.write_bytes(data[:-5] + b"xxxxx" if damage is None else damage)
    with pytest.raises(DamagedBlob):
        b"".join(segments.uncompressed_chunks(segment, store))
    assert not store.has(segment.digest)
