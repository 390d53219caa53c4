"""Layouts: created completely, updated in place, read again."""

import errno
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipwheel.errors import BuildError, DamagedBlob, ImageError, UsageError
from shipwheel.oci import layout
from shipwheel.oci.image import ImageIndex, make_index
from shipwheel.oci.layout import blob_path, read_layout, write_layout
from shipwheel.oci.validate.check import validate
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, ARM64, small_image, small_index, small_layer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "out" / "layout"


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def other_index(store: Store, text: str = "other") -> ImageIndex:
    return make_index([small_image(store, AMD64, [small_layer(store, {"etc/other": text}, text)])])


def test_creates_a_layout(store: Store, place: Path) -> None:
    index = small_index(store)
    entry = write_layout(index, place, store, name="team/app:v1")
    files = contents(place)
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (found,) = json.loads(files["index.json"])["manifests"]
    assert found["digest"] == index.digest == entry.digest
    assert found["annotations"]["org.opencontainers.image.ref.name"] == "v1"
    assert found["annotations"]["io.containerd.image.name"].endswith("/team/app:v1")
    assert len(files) == 2 + 8
    assert [path.name for path in place.parent.iterdir()] == ["layout"]
    assert place.stat().st_mode & 0o777 == 0o755
    assert {(place / path).stat().st_mode & 0o777 for path in files} == {0o644}
    assert [report.platform for report in validate(place).images] == ["linux/amd64", "linux/arm64"]


def test_one_platform_yields_a_manifest_without_an_index(store: Store, place: Path) -> None:
    entry = write_layout(small_index(store, [ARM64]), place, store, name=None)
    assert entry.media_type == "application/vnd.oci.image.manifest.v1+json"
    (found,) = json.loads((place / "index.json").read_bytes())["manifests"]
    assert found["platform"] == {"architecture": "arm64", "os": "linux"}
    assert "annotations" not in found


def test_bytes_do_not_depend_on_the_umask(store: Store, tmp_path: Path) -> None:
    write_layout(small_index(store), tmp_path / "one", store, name="app")
    before = os.umask(0o077)
    try:
        second = Store(tmp_path / "second store")
        write_layout(small_index(second), tmp_path / "two", second, name="app")
    finally:
        os.umask(before)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_accepts_an_empty_directory(store: Store, place: Path) -> None:
    place.mkdir(parents=True)
    write_layout(small_index(store), place, store, name=None)
    validate(place)


@pytest.mark.parametrize("kind", ["full directory", "file", "dangling link"])
def test_rejects_anything_else_and_leaves_it_alone(store: Store, place: Path, kind: str) -> None:
    place.parent.mkdir()
    if kind == "file":
        place.write_text("mine")
    elif kind == "dangling link":
        place.symlink_to("nowhere")
    else:
        place.mkdir()
        (place / "mine.txt").write_text("mine")
    with pytest.raises(UsageError) as caught:
        write_layout(small_index(store), place, store, name=None)
    assert "empty directory" in caught.value.hint
    assert [path.name for path in place.parent.iterdir()] == ["layout"]
    assert kind != "full directory" or contents(place) == {"mine.txt": b"mine"}


def test_writing_again_changes_no_file(store: Store, place: Path) -> None:
    write_layout(small_index(store), place, store, name="app:1")
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    write_layout(small_index(store), place, store, name="app:1")
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_adds_another_name_and_replaces_the_same_one(store: Store, place: Path) -> None:
    first, second = small_index(store), other_index(store)
    write_layout(first, place, store, name="app:1")
    write_layout(second, place, store, name="app:2")
    reader = read_layout(place)
    assert [name.rpartition("/")[2] for name in reader.names] == ["app:1", "app:2"]
    assert (reader.images("app:1").digest, reader.images("2").digest) == (first.digest, second.digest)
    third = other_index(store, "third")
    write_layout(third, place, store, name="app:2")
    reader = read_layout(place)
    assert reader.images("app:1").digest == first.digest
    assert reader.images("app:2").digest == third.digest
    report = validate(place)
    assert len(report.images) == 3
    assert report.notes == ()  # what only the replaced entry needed is gone


def test_keeps_the_blobs_of_other_names(store: Store, place: Path) -> None:
    for name in ("app:1", "app:2"):
        write_layout(small_index(store), place, store, name=name)
    write_layout(other_index(store), place, store, name="app:1")
    assert read_layout(place).images("app:2").digest == small_index(store).digest
    assert validate(place).notes == ()


def test_removes_nothing_from_an_unreadable_layout(store: Store, place: Path) -> None:
    first = small_index(store)
    write_layout(first, place, store, name="app:1")
    (place / blob_path(first.images[0].digest)).write_bytes(b"{}")
    count = len(contents(place))
    write_layout(other_index(store), place, store, name="app:1")
    assert len(contents(place)) == count + 3


def test_writes_a_missing_or_truncated_blob_again(store: Store, place: Path) -> None:
    index = small_index(store)
    write_layout(index, place, store, name=None)
    first, second = (place / blob_path(layer.descriptor.digest) for layer in index.images[0].layers)
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    write_layout(index, place, store, name=None)
    validate(place)


@pytest.mark.parametrize("existing", [False, True])
def test_a_damaged_part_leaves_the_old_layout(store: Store, place: Path, existing: bool) -> None:
    if existing:
        write_layout(other_index(store), place, store, name="app")
    before = contents(place) if existing else {}
    index = small_index(store)
    layer = small_layer(store, {"etc/platform": f"{ARM64}\n", "opt/app/main.py": "print('hello')\n"}, "app")
    store.path(layer.parts[1]).write_bytes(b"rubbish")
    with pytest.raises(DamagedBlob):
        write_layout(index, place, store, name="app")
    if existing:
        after = contents(place)
        assert {path: after[path] for path in before} == before
        assert not [path for path in after if "/." in path]
        validate(place)
    else:
        assert list(place.parent.iterdir()) == []
    write_layout(small_index(store), place, store, name="app")
    validate(place)


def test_reports_a_full_disk(store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = small_index(store)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(layout, "has_blob", full)
    with pytest.raises(BuildError, match="No space left") as caught:
        write_layout(index, place, store, name=None)
    assert str(place) in caught.value.message
    assert list(place.parent.iterdir()) == []


def test_updates_a_layout_that_another_process_created(store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_blobs = layout._write_blobs

    def overtaken(index: ImageIndex, directory: Path, store: Store, recheck: bool = False) -> None:
        monkeypatch.setattr(layout, "_write_blobs", write_blobs)
        write_layout(other_index(store), place, store, name="app:2")
        write_blobs(index, directory, store, recheck)

    monkeypatch.setattr(layout, "_write_blobs", overtaken)
    write_layout(small_index(store), place, store, name="app:1")
    validate(place)
    assert {entry.annotations[layout.ANNOTATION_REF_NAME] for entry in read_layout(place).entries} == {"1", "2"}
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("number", range(6))
def test_accepts_a_layout_that_appears_while_it_looks(
    store: Store, place: Path, monkeypatch: pytest.MonkeyPatch, number: int, empty: bool
) -> None:
    """Another process renames a complete layout into place, before the first look at the path, or the second, and so on."""
    place.parent.mkdir()
    if empty:
        place.mkdir()
    looks = 0
    stat = Path.stat

    def overtaken(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        nonlocal looks
        if path in (place, place / layout.LAYOUT):
            looks += 1
            if looks == number + 1:
                monkeypatch.undo()
                write_layout(other_index(store), place, store, name="app:2")
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", overtaken)
    layout.require_layout_or_empty(place)


def test_reports_an_unwritable_location(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError) as caught:
        write_layout(small_index(store), tmp_path / "file" / "layout", store, name=None)
    assert "space" not in caught.value.hint


def test_images_can_be_read_and_written_again(store: Store, place: Path, tmp_path: Path) -> None:
    write_layout(small_index(store), place, store, name="app:1")
    write_layout(read_layout(place).images(), tmp_path / "copy", Store(tmp_path / "empty"), name="app:1")
    assert contents(place) == contents(tmp_path / "copy")


def test_reads_a_layout_with_one_platform(store: Store, place: Path) -> None:
    index = small_index(store, [ARM64])
    write_layout(index, place, store, name=None)
    found = read_layout(place).images()
    assert (found.digest, found.images[0].platform) == (index.digest, ARM64)


def test_rejects_an_unknown_and_an_ambiguous_name(store: Store, place: Path) -> None:
    write_layout(small_index(store), place, store, name="app:1")
    write_layout(other_index(store), place, store, name="app:2")
    for name in (None, "app:3", "not a name!"):
        with pytest.raises(UsageError) as caught:
            read_layout(place).images(name)
        assert "app:1" in caught.value.hint and "--name" in caught.value.hint


def test_finds_an_image_by_its_digest(store: Store, place: Path) -> None:
    unnamed = small_index(store)
    write_layout(unnamed, place, store, name=None)
    write_layout(other_index(store), place, store, name="app:2")
    with pytest.raises(UsageError) as caught:
        read_layout(place).images()
    assert unnamed.digest in caught.value.hint and "app:2" in caught.value.hint
    assert read_layout(place).images(unnamed.digest).digest == unnamed.digest


def test_rejects_what_is_not_a_layout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an OCI image layout"):
        read_layout(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        read_layout(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}', "version"),
        ("oci-layout", b"[]", "is invalid"),
        ("index.json", b'{"manifests":3}', "is invalid"),
        ("index.json", b"{" * 100, "is invalid"),
        ("index.json", b" " * (5 << 20), "larger than"),
        ("index.json", b'{"manifests":[{"mediaType":"m","size":1,"digest":"sha256:../../../etc/passwd"}]}', "not a digest"),
        ("index.json", b'{"manifests":[{"mediaType":"m","size":1,"digest":"sha256:' + b"0" * 64 + b'"}]}', "cannot be read"),
    ],
)
def test_rejects_a_broken_layout(store: Store, place: Path, name: str, data: bytes, match: str) -> None:
    write_layout(small_index(store), place, store, name=None)
    (place / name).write_bytes(data)
    with pytest.raises(ImageError, match=match):
        read_layout(place).images()


def test_rejects_a_changed_document(store: Store, place: Path) -> None:
    index = small_index(store)
    write_layout(index, place, store, name=None)
    path = place / blob_path(index.images[0].config_descriptor.digest)
    path.write_bytes(path.read_bytes().replace(b"65532", b"00000"))
    with pytest.raises(ImageError, match=index.images[0].config_descriptor.digest):
        read_layout(place).images()


def test_recheck_writes_damaged_blobs_again(store: Store, place: Path) -> None:
    index = small_index(store)
    write_layout(index, place, store, name="app:v1")
    whole = contents(place)
    blobs = [path for path in (place / "blobs" / "sha256").iterdir() if path.stat().st_size]
    for path in blobs:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    write_layout(index, place, store, name="app:v1")
    assert contents(place) != whole
    write_layout(index, place, store, name="app:v1", recheck=True)
    assert contents(place) == whole
    validate(place)


def test_writers_that_meet_keep_every_image(store: Store, place: Path) -> None:
    """Two builds into one layout lost an image: each wrote the index.json that it had read before."""
    names = [f"app:{number}" for number in range(12)]
    start = threading.Barrier(len(names))

    def write(name: str) -> None:
        start.wait()
        write_layout(small_index(store) if name.endswith(("0", "3", "6", "9")) else other_index(store), place, store, name=name)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(write, names))
    validate(place)
    assert {entry.annotations[layout.ANNOTATION_REF_NAME] for entry in read_layout(place).entries} == {name[4:] for name in names}
    assert list(place.parent.iterdir()) == [place]


def test_a_writer_does_not_lose_the_blobs_that_another_replaces(store: Store, place: Path) -> None:
    write_layout(other_index(store), place, store, name="app:1")
    start = threading.Barrier(2)

    def write(name: str, index: ImageIndex) -> None:
        start.wait()
        write_layout(index, place, store, name=name)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ("app:1", "app:2"), (small_index(store), other_index(store))))
    validate(place)
    assert len(read_layout(place).entries) == 2
