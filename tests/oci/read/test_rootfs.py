"""Unpacking an image into a directory: layers replace each other, and nothing outside the directory changes."""

import errno
import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from shipwheel.digest import digest_of
from shipwheel.errors import ArchiveError, DamagedBlob, ImageError, ShipwheelError
from shipwheel.oci.image import FileLayer
from shipwheel.oci.model import Descriptor
from shipwheel.oci.read.layer_files import LayerFiles, read_layer
from shipwheel.oci.read.layer_stream import Allowance
from shipwheel.oci.read.rootfs import Rootfs
from shipwheel.store.contents import LAYER_FILES
from shipwheel.store.store import Store

Entry = tuple[str, str, str]
"""(path, kind: f, d, s (symlink), h (hard link), c (device), content or target)."""

_TYPES = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "s": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "c": tarfile.CHRTYPE}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def layer(folder: Path, entries: Sequence[Entry], mode: int = 0o755) -> FileLayer:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, kind, text in entries:
            member = tarfile.TarInfo(path)
            member.type, member.mode = _TYPES[kind], mode
            if kind in "sh":
                member.linkname = text
            member.size = len(text) if kind == "f" else 0
            archive.addfile(member, io.BytesIO(text.encode()))
    data = stream.getvalue()
    file = folder / digest_of(data)[7:20]
    file.write_bytes(data)
    return FileLayer(Descriptor("application/vnd.oci.image.layer.v1.tar", digest_of(data), len(data)), digest_of(data), file)


def files_of(made: FileLayer, store: Store) -> LayerFiles:
    return read_layer(made, store, Allowance())


def laid(folder: Path, store: Store, *layers: Sequence[Entry]) -> Path:
    root = folder / "inner" / "root"
    root.mkdir(parents=True)
    for entries in layers:
        Rootfs(root).apply(files_of(layer(folder, entries), store))
    return root


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_applies_layers_in_order(tmp_path: Path, store: Store) -> None:
    root = laid(
        tmp_path,
        store,
        [("a/one", "f", "1"), ("a/two", "f", "2"), ("b/x", "f", "x"), ("gone/deep/y", "f", "y"), ("dir/z", "f", "z"), ("file", "f", "")],
        [("a/.wh.one", "f", ""), ("a/two", "f", "22"), ("b/new", "f", "n"), ("b/.wh..wh..opq", "f", ""), (".wh.gone", "f", "")],
        [("dir", "s", "a"), ("file", "d", ""), ("file/below", "f", ""), ("hard", "h", "a/two")],
    )
    assert names(root) == {"a/two", "b/new", "dir", "file/below", "hard"}
    assert (root / "hard").read_text() == "22"


DELETIONS: list[Entry] = [("a/.wh.one", "f", ""), ("b/.wh..wh..opq", "f", ""), (".wh.c", "f", "")]


@pytest.mark.parametrize("after", [False, True])
def test_whiteouts_concern_lower_layers_wherever_they_are(tmp_path: Path, store: Store, after: bool) -> None:
    """Files of the same layer can "only be hidden by whiteout files in subsequent layers" (image-spec, layer.md)."""
    below = [(path, "f", "old") for path in ("a/one", "a/two", "b/old", "b/deep/old", "c/old", "c/deep/old")]
    written = [(path, "f", "new") for path in ("a/one", "b/new", "b/deep/new", "c/deep/new")]
    root = laid(tmp_path, store, below, [*written, *DELETIONS] if after else [*DELETIONS, *written])
    assert names(root) == {"a/one", "a/two", "b/new", "b/deep/new", "c/deep/new"}
    assert (root / "a/one").read_text() == "new"


def test_limits_all_layers_of_an_image_together(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.oci.read.layer_stream.MAX_ENTRIES", 5)
    made = [layer(tmp_path, [(f"{name}{number}", "f", "") for number in range(3)]) for name in "ab"]
    read_layer(made[1], store, Allowance())
    allowance = Allowance()
    read_layer(made[0], store, allowance)
    for each in (made[1], layer(tmp_path, [(f"c{number}", "f", "") for number in range(3)])):
        with pytest.raises(ImageError, match="more than 5 entries"):
            read_layer(each, store, allowance)


def test_resolves_links_like_the_container(tmp_path: Path, store: Store) -> None:
    root = laid(
        tmp_path,
        store,
        [("usr/lib/a", "f", "a"), ("lib", "s", "usr/lib"), ("abs", "s", "/usr/lib")],
        [("lib/b", "f", "b"), ("abs/c", "f", "c")],
    )
    assert names(root) == {"usr/lib/a", "usr/lib/b", "usr/lib/c", "lib", "abs"}


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", "f", "x")],
        [("/evil", "f", "x")],
        [("a/../../evil", "f", "x")],
        [("out", "s", "../.."), ("out/evil", "f", "x")],
        [("out", "s", ".."), ("out/.wh.keep", "f", "")],
        [("out", "s", ".."), ("out/.wh..wh..opq", "f", "")],
        [(".wh...", "f", "")],
        [("evil", "h", "../../keep")],
        [("loop", "s", "loop"), ("loop/evil", "f", "x")],
        [("one", "s", "two"), ("two", "s", "one"), ("one/evil", "f", "x")],
        [("host", "s", "{outside}"), ("host/evil", "f", "x")],
        [("host", "s", "{outside}/keep"), ("host", "f", "x")],
        [("host", "s", "{outside}/keep"), ("link", "h", "host"), ("link", "f", "overwritten")],
    ],
)
def test_changes_nothing_outside_the_directory(tmp_path: Path, store: Store, entries: list[Entry]) -> None:
    outside = tmp_path / "inner"
    outside.mkdir()
    (outside / "keep").write_text("kept")
    (outside / "root").mkdir()
    (store.root / LAYER_FILES).mkdir(parents=True)
    apart = {outside / "root", store.root / LAYER_FILES}
    before = {path for path in tmp_path.rglob("*") if apart.isdisjoint(path.parents)}
    made = layer(tmp_path, [(path, kind, text.format(outside=outside)) for path, kind, text in entries])
    before.add(made.path)
    try:
        Rootfs(outside / "root").apply(files_of(made, store))
    except ShipwheelError as error:
        assert isinstance(error, ArchiveError | ImageError)
    assert (outside / "keep").read_text() == "kept"
    assert {path for path in tmp_path.rglob("*") if apart.isdisjoint(path.parents)} == before


def test_leaves_out_devices_and_set_user_id_bits(tmp_path: Path, store: Store) -> None:
    root = tmp_path / "root"
    root.mkdir()
    Rootfs(root).apply(files_of(layer(tmp_path, [("null", "c", ""), ("sudo", "f", "x")], mode=0o6755), store))
    assert names(root) == {"sudo"}
    assert (root / "sudo").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("target", ["nowhere", "folder"])
def test_rejects_a_hard_link_to_something_else(tmp_path: Path, store: Store, target: str) -> None:
    with pytest.raises(ArchiveError, match="hard link"):
        laid(tmp_path, store, [("folder", "d", ""), ("link", "h", target)])


def test_does_not_blame_the_image_for_a_damaged_blob(tmp_path: Path, store: Store) -> None:
    made = layer(tmp_path, [("file", "f", "text")])
    made.path.write_bytes(b"\x1f\x8b" + made.path.read_bytes()[2:])
    with pytest.raises(DamagedBlob):
        Rootfs(tmp_path / "root").apply(files_of(made, store))


def test_unpacked_images_share_the_files_of_their_layers(tmp_path: Path, store: Store) -> None:
    made = layer(tmp_path, [("a/file.py", "f", "text"), ("a/words", "f", "data"), ("a/link", "s", "file.py")], mode=0o640)
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
        Rootfs(root, own_data=root.name == "one").apply(files_of(made, store))
        made.path.unlink(missing_ok=True)
    first, second = (root / "a/file.py" for root in roots)
    assert first.samefile(second) and first.read_text() == "text"
    data = roots[0] / "a/words"
    assert (data.read_text(), data.stat().st_nlink, data.stat().st_mode & 0o777) == ("data", 1, 0o640)
    assert (roots[1] / "a/words").stat().st_nlink == 2
    assert first.stat().st_mode & 0o777 == 0o640
    assert (roots[1] / "a/link").read_text() == "text"


def test_a_layer_whose_index_never_got_to_the_disk_is_unpacked_again(tmp_path: Path, store: Store) -> None:
    made = layer(tmp_path, [("a/file.py", "f", "text")])
    files_of(made, store).close()
    index = next((store.root / LAYER_FILES).glob("*/index"))
    whole = index.read_bytes()
    index.write_bytes(b"")
    files_of(made, store).close()
    assert index.read_bytes() == whole


def test_unpacks_what_its_owner_may_not_read(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """/etc/shadow has such a mode in images of Fedora and its relatives; root may read it nevertheless."""
    monkeypatch.setattr("os.access", lambda path, _: bool(path.stat().st_mode & 0o400))
    monkeypatch.setattr("shutil.copy", lambda *_: pytest.fail("it was read"))
    root = tmp_path / "root"
    root.mkdir()
    Rootfs(root, own_data=True).apply(files_of(layer(tmp_path, [("etc/shadow", "f", "root")], mode=0), store))
    assert (root / "etc/shadow").stat().st_mode & 0o777 == 0


def test_a_file_system_without_hard_links_gets_copies(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    root = laid(tmp_path, store, [("file.py", "f", "text")])
    assert (root / "file.py").read_text() == "text" and (root / "file.py").stat().st_nlink == 1


def test_a_name_that_is_no_text_stays(tmp_path: Path, store: Store) -> None:
    root = laid(tmp_path, store, [("caf\udce9", "f", "x")])
    assert [os.fsencode(path.name) for path in root.iterdir()] == [b"caf\xe9"]
