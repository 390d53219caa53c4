"""File trees of untrusted images: they agree with the unpacked image, and malformed input raises one kind of error."""

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.digest import digest_of
from shipwheel.errors import DamagedBlob, ImageError
from shipwheel.files.entry import parents
from shipwheel.oci.image import FileLayer, Image, ImageLayer, make_image
from shipwheel.oci.model import ContainerConfig, Descriptor
from shipwheel.oci.read.file_tree import FileTree, read_file_tree
from shipwheel.oci.read.layer_files import read_layer
from shipwheel.oci.read.layer_stream import Allowance
from shipwheel.oci.read.rootfs import Rootfs
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64

Entry = tuple[str, str, str]
"""(path, kind: f, d, s (symlink), h (hard link), c (device), content or target)."""

_TYPES = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "s": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "c": tarfile.CHRTYPE}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def tar(entries: Sequence[Entry], **fields: object) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", encoding="utf-8", errors="surrogateescape") as archive:
        for path, kind, text in entries:
            member = tarfile.TarInfo(path)
            member.type = _TYPES[kind]
            member.linkname = text if kind in "sh" else ""
            member.size = len(text) if kind == "f" else 0
            for name, value in fields.items():
                setattr(member, name, value)
            archive.addfile(member, io.BytesIO(text.encode() if kind == "f" else b""))
    return stream.getvalue()


def image(folder: Path, *layers: bytes) -> Image:
    found: list[ImageLayer] = []
    for data in layers:
        file = folder / digest_of(data)[7:]
        file.write_bytes(data)
        found.append(FileLayer(Descriptor("application/vnd.oci.image.layer.v1.tar", digest_of(data), len(data)), digest_of(data), file))
    return make_image(found, ContainerConfig(), AMD64, created=0)


def tree(folder: Path, store: Store, *layers: Sequence[Entry]) -> FileTree:
    return read_file_tree(image(folder, *map(tar, layers)), store, "base")


def test_replacing_a_directory_removes_its_content(tmp_path: Path, store: Store) -> None:
    below = [("a/x", "f", "1"), ("b/x", "f", "1"), ("c", "f", "1"), ("d", "f", "1")]
    above = [("a", "f", "2"), ("b", "s", "c"), ("c/x", "f", "2"), ("d", "c", "")]
    assert set(tree(tmp_path, store, below, above).segment.files) == {"a", "c/x"}
    within = [("a/x", "f", "1"), ("a", "f", "1"), ("b", "f", "1"), ("b/x", "f", "1")]
    assert set(tree(tmp_path, store, within).segment.files) == {"a", "b/x"}


def test_layers_and_whiteouts_apply_in_order(tmp_path: Path, store: Store) -> None:
    below = [("a/one", "f", "1"), ("a/two", "f", "2"), ("b/old", "f", "1"), ("c/d/e", "f", "1"), ("link", "s", "a"), ("f", "f", "1")]
    above = [("a/.wh.one", "f", ""), ("b/.wh..wh..opq", "f", ""), ("b/new", "f", "2"), ("c/d", "s", "../a"), ("f/now/directory", "f", "1")]
    found = tree(tmp_path, store, below, above)
    assert sorted(found.segment.files) == ["a/two", "b/new", "f/now/directory"]
    assert found.real("link/two") == "a/two"
    assert found.real("c/d/two") == "a/two"
    assert found.real("a/one") is None


def test_an_opaque_root_hides_all_lower_layers(tmp_path: Path, store: Store) -> None:
    found = tree(tmp_path, store, [("a/x", "f", "1"), ("b", "s", "a")], [(".wh..wh..opq", "f", ""), ("c", "f", "1")])
    assert set(found.segment.files) == {"c"} and not found.segment.links


@pytest.mark.parametrize("path", [".wh.", ".wh..", "a/.wh...", "../x", "a/../../x", "a//x"])
def test_rejects_a_path_outside_the_root(tmp_path: Path, store: Store, path: str) -> None:
    with pytest.raises(ImageError, match="leads outside the image"):
        tree(tmp_path, store, [(path, "f", "")])


def test_a_hard_link_becomes_a_file(tmp_path: Path, store: Store) -> None:
    found = tree(tmp_path, store, [("etc/passwd", "f", "one:x:1:1::"), ("a/b", "h", "etc/passwd")], [("c", "h", "a/b")])
    assert found.segment.files["a/b"] == found.segment.files["etc/passwd"]
    assert found.real("a/b") == "a/b" and found.real("c") == "a/b"
    with pytest.raises(ImageError, match="leads outside the image"):
        tree(tmp_path, store, [("a", "h", "../../etc/shadow")])


def test_distinguishes_symbolic_links_from_hard_links(tmp_path: Path, store: Store) -> None:
    found = tree(tmp_path, store, [("p/x", "s", "y"), ("p/y", "s", "z"), ("p/z", "f", "1"), ("y", "f", "1")])
    assert found.real("p/x") == "p/z"


def test_accepts_names_that_are_not_utf_8(tmp_path: Path, store: Store) -> None:
    name = os.fsdecode(b"caf\xe9")
    made = image(tmp_path, tar([(name, "f", "1"), ("link", "s", name)]))
    assert set(read_file_tree(made, store, "base").segment.files) == {"caf\ufffd"}
    assert read_file_tree(made, store, "base") == read_file_tree(made, Store(tmp_path / "other"), "base"), "as it was remembered"


def test_ignores_a_text_that_is_too_long(tmp_path: Path, store: Store) -> None:
    found = tree(tmp_path, store, [("etc/passwd", "f", "x" * (300 << 10)), ("etc/group", "f", "staff:x:50:\n")])
    assert set(found.texts) == {"etc/group"} and "etc/passwd" in found.segment.files


@pytest.mark.parametrize(
    "pax",
    [
        {"size": "-1024"},
        {"size": str(1 << 70)},
        {"uid": str(1 << 40)},
        {"gid": "-1"},
        {"path": "a\0b"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x", "GNU.sparse.realsize": str(1 << 60)},
        {"GNU.sparse.map": f"0,0,{1 << 60},0", "GNU.sparse.size": str(1 << 60)},
    ],
)
def test_rejects_headers_with_impossible_values(tmp_path: Path, store: Store, pax: dict[str, str]) -> None:
    data = tar([("file", "f", "1\n0\n0\n")], pax_headers=pax)
    with pytest.raises(ImageError, match="base: "):
        read_file_tree(image(tmp_path, data), store, "base")


def test_rejects_endlessly_nested_headers(tmp_path: Path, store: Store) -> None:
    block = tarfile.TarInfo("././@LongLink")
    block.type, block.size = tarfile.GNUTYPE_LONGNAME, 2
    data = (block.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")) * 5000 + bytes(1024)
    with pytest.raises(ImageError, match="cannot be read"):
        read_file_tree(image(tmp_path, data), store, "base")


def test_limits_the_number_of_entries(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.oci.read.layer_stream.MAX_ENTRIES", 5)
    with pytest.raises(ImageError, match="more than 5 entries"):
        tree(tmp_path, store, [(f"a{number}", "f", "") for number in range(3)], [(f"b{number}", "f", "") for number in range(3)])


def test_limits_how_often_files_replace_directories(tmp_path: Path, store: Store) -> None:
    with pytest.raises(ImageError, match="again and again"):
        tree(tmp_path, store, [("a", kind, "") for _ in range(1500) for kind in "df"])


def test_does_not_blame_the_store_for_a_damaged_layout(tmp_path: Path, store: Store) -> None:
    made = image(tmp_path, tar([("a", "f", "1")]))
    layer = made.layers[0]
    assert isinstance(layer, FileLayer)
    layer.path.write_bytes(b"x" * layer.descriptor.size)
    with pytest.raises(ImageError, match="does not match its digest"):
        read_file_tree(made, store, "base")


_PATHS = st.builds(lambda folders, last: "/".join((*folders, last)), st.lists(st.sampled_from("abc"), max_size=2), st.sampled_from("abc"))
_LINKS = st.builds(lambda folders, last: "/".join((*folders, last)), st.lists(st.sampled_from("abc"), max_size=2), st.sampled_from("lm"))
_WHITEOUTS = st.builds(
    lambda folders, last: "/".join((*folders, f".wh.{last}")), st.lists(st.sampled_from("abc"), max_size=2), st.sampled_from("abclm")
)
_OPAQUE = st.builds(lambda folders: "/".join((*folders, ".wh..wh..opq")), st.lists(st.sampled_from("abc"), max_size=2))
_ENTRIES = st.one_of(
    st.tuples(_PATHS, st.sampled_from("ffdc"), st.text("xy", max_size=3)),
    st.tuples(_PATHS | _LINKS, st.just("h"), _PATHS),
    st.tuples(_LINKS, st.just("s"), st.sampled_from(["/", "a", "../b"])),
)
_DELETIONS = st.tuples(_WHITEOUTS | _OPAQUE, st.just("f"), st.just(""))
_LAYERS = st.lists(st.lists(_ENTRIES | _ENTRIES | _DELETIONS, max_size=10), min_size=1, max_size=4)


def plain(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Turn hard links to anything but a file of the same layer into files."""
    have: set[str] = set()
    for path, kind, text in entries:
        have -= {path, *parents(path)}
        have = {one for one in have if not one.startswith(f"{path}/")}
        linked = kind == "h" and text in have
        if kind == "f" or kind == "h":
            have.add(path)
        yield (path, kind, text) if kind != "h" or linked else (path, "f", text)


@given(_LAYERS)
def test_agrees_with_the_unpacked_image(layers: list[list[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, store = Path(name), Store(Path(name) / "store")
        (folder / "root").mkdir()
        made = image(folder, *(tar([*plain(entries)]) for entries in layers))
        root = Rootfs(folder / "root")
        for layer in made.layers:
            root.apply(read_layer(layer, store, Allowance()))
        found = read_file_tree(made, store, "base")
        there = [(path.relative_to(folder / "root").as_posix(), path) for path in (folder / "root").rglob("*")]
        assert set(found.segment.files) == {path for path, file in there if file.is_file() and not file.is_symlink()}
        assert found.segment.links == {path: str(file.readlink()) for path, file in there if file.is_symlink()}
        assert set(found.segment.directories) <= {path for path, file in there if file.is_dir() and not file.is_symlink()}


@given(
    st.lists(
        st.one_of(_ENTRIES, st.tuples(st.text(min_size=1, max_size=200), st.sampled_from("fdshc"), st.text(max_size=120))), max_size=5
    ),
    st.dictionaries(
        st.sampled_from(["path", "linkpath", "size", "uid", "gid", "mtime", "hdrcharset", "GNU.sparse.map", "GNU.sparse.size"]),
        st.one_of(st.integers(-(1 << 70), 1 << 70).map(str), st.text(max_size=20)),
        max_size=3,
    ),
    st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_malformed_layers_raise_image_errors(entries: list[Entry], pax: dict[str, str], changes: list[tuple[int, int]], form: int) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, encoding="utf-8", errors="replace") as archive:
        for path, kind, text in entries:
            member = tarfile.TarInfo(path)
            member.type, member.linkname, member.pax_headers = _TYPES[kind], text if kind in "sh" else "", dict(pax)
            data = text.encode("utf-8", "replace") if kind == "f" else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    made = bytearray(stream.getvalue())
    for at, value in changes:
        made[at % len(made)] = value
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name) / "store")
        try:
            found = read_file_tree(image(Path(name), bytes(made)), store, "base")
        except (ImageError, DamagedBlob):
            return
        for path in (*found.segment.links, *found.segment.files):
            found.real(path)


def test_limits_links_and_names(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tree(tmp_path, store, [("a", "s", "b/" * 2000 + "a"), ("b", "s", "."), ("c", "s", "x/" * 400_000), ("d", "f", "")])
    assert found.real("a") is None and found.real("c") is None and found.real("b/b/d") == "d"
    chain = [(f"l{number}", "s", f"l{number + 1}") for number in range(45)]
    assert tree(tmp_path, store, [*chain, ("l45", "f", "")]).real("l4") is None, "as the kernel, which follows 40"
    monkeypatch.setattr("shipwheel.oci.read.file_tree._MAX_NAMES", 5000)
    with pytest.raises(ImageError, match="of names"):
        tree(tmp_path, store, [("x" * 100 + str(number), "f", "") for number in range(60)])
