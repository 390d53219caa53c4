"""Packages as file entries: what is rewritten, excluded and rejected."""

import lzma
import posixpath
import struct
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.digests import ANY, sha256_of

from shipwheel.debian import deb as deb_module
from shipwheel.debian.package import EXCLUDED, MERGED_DIRECTORIES, DebianPackage, DebSource, is_excluded, usr_merged
from shipwheel.errors import ArchiveError, DamagedBlob
from shipwheel.files.entry import EntryType, FileEntry, LazyContent, read_content
from shipwheel.files.segment import find_segment, make_segment
from shipwheel.store.store import Store
from shipwheel.testing.debian import make_deb, make_tar


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _source(store: Store, data: bytes, name: str = "a") -> DebSource:
    digest = store.add(data)
    return DebSource(DebianPackage(name, "1.0-1", "amd64", "pool/a.deb", sha256_of(digest), len(data)), store)


def _entries(store: Store, data: bytes) -> dict[str, FileEntry]:
    return {entry.path: entry for entry in _source(store, data).entries()}


def _info(name: str, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname = mode, kind, link
    return info


@pytest.mark.parametrize("compression", ["xz", "gz", "zst", ""])
def test_reads_every_compression(store: Store, compression: str) -> None:
    found = _entries(store, make_deb("a", "1.0-1", {"usr/bin/a": b"run", "etc/a.conf": b"x"}, compression=compression))
    assert read_content(found["usr/bin/a"].content) == b"run"
    assert (found["usr/bin/a"].mode, found["etc/a.conf"].mode) == (0o755, 0o644)
    assert sorted(found) == ["etc/a.conf", "usr/bin/a", "var/lib/dpkg/status.d/a", "var/lib/dpkg/status.d/a.md5sums"]


def test_keeps_names_with_a_backslash(store: Store) -> None:
    """Units of systemd have such names."""
    name = "usr/lib/thing/system-systemd\\x2dcryptsetup.slice"
    data = make_deb("a", "1.0-1", {name: b"[Slice]\n", "etc/link": f"/{name}"})
    found = _entries(store, data)
    assert read_content(found[name].content) == b"[Slice]\n"
    assert found["etc/link"].target == f"/{name}"
    assert name in make_segment(_source(store, data), store).files


def test_adds_metadata_for_scanners(store: Store) -> None:
    found = _entries(store, make_deb("a", "1.0-1", {"lib/x": b"1", "usr/share/man/man1/a.1.gz": b"2"}))
    assert read_content(found["var/lib/dpkg/status.d/a"].content).startswith(b"Package: a\nVersion: 1.0-1\nArchitecture: amd64\n")
    sums = read_content(found["var/lib/dpkg/status.d/a.md5sums"].content)
    assert sums == b"c4ca4238a0b923820dcc509a6f75849b  usr/lib/x\n"


def test_moves_paths_and_links_as_usr_merge_does(store: Store) -> None:
    files: dict[str, bytes | str] = {
        "lib/x86_64-linux-gnu/libc.so.6": b"",
        "lib64/ld.so": "/lib/x86_64-linux-gnu/libc.so.6",
        "lib/x86_64-linux-gnu/liba.so": "libc.so.6",
        "lib/x86_64-linux-gnu/libb.so": "../../usr/lib/libb.so.1",
        "usr/lib/libd.so": "../../lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib/libe.so": "x86_64-linux-gnu/libe.so.1",
        "etc/alternatives/x": "/bin/x",
        "etc/rmt": "../usr/sbin/rmt",
        "bin": "usr/bin",
        "lib64": "usr/lib64",
    }
    found = _entries(store, make_deb("a", "1", files))
    links = {path: entry.target for path, entry in found.items() if entry.type is EntryType.SYMLINK}
    assert links == {
        "usr/lib64/ld.so": "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib/x86_64-linux-gnu/liba.so": "libc.so.6",
        "usr/lib/x86_64-linux-gnu/libb.so": "../libb.so.1",
        "usr/lib/libd.so": "x86_64-linux-gnu/libc.so.6",
        "usr/lib/libe.so": "x86_64-linux-gnu/libe.so.1",
        "etc/alternatives/x": "/usr/bin/x",
        "etc/rmt": "../usr/sbin/rmt",
    }


_PART = st.sampled_from(["lib", "bin", "usr", "lib64", "etc", "x", "y"])
_PATHS = st.lists(_PART, min_size=2, max_size=4).map("/".join)


@given(path=_PATHS, target=_PATHS, absolute=st.booleans())
def test_links_lead_to_the_same_file(path: str, target: str, absolute: bool) -> None:
    source = DebSource(DebianPackage("a", "1", "amd64", "", sha256_of(ANY), 1), Store.__new__(Store))
    text = f"/{target}" if absolute else posixpath.relpath(target, posixpath.dirname(path))
    moved = source._target(path, usr_merged(path), text)
    assert moved.startswith("/") == absolute
    led = posixpath.normpath(posixpath.join("/", posixpath.dirname(usr_merged(path)), moved))
    assert led == f"/{usr_merged(target)}"


def test_normalizes_modes_and_keeps_hard_links(store: Store) -> None:
    members = [
        (_info("./bin/su", 0o4755), b"su"),
        (_info("./bin/again", 0o4755, tarfile.LNKTYPE, "./bin/su"), b""),
        (_info("./etc/shadow", 0o600), b"secret"),
        (_info("./tmp/", 0o1777, tarfile.DIRTYPE), b""),
        (_info("./var/mail/", 0o2775, tarfile.DIRTYPE), b""),
        (_info("./usr/lib/", 0o755, tarfile.DIRTYPE), b""),
        (_info("./", 0o755, tarfile.DIRTYPE), b""),
    ]
    found = _entries(store, make_deb("a", "1", members=members))
    assert (found["usr/bin/su"].mode, found["etc/shadow"].mode) == (0o755, 0o644)
    assert (found["usr/bin/again"].type, found["usr/bin/again"].target) == (EntryType.HARDLINK, "usr/bin/su")
    directories = {path: entry.mode for path, entry in found.items() if entry.type is EntryType.DIRECTORY}
    assert directories == {"tmp": 0o1777, "var/mail": 0o775}
    assert {(entry.uid, entry.gid) for entry in found.values()} == {(0, 0)}


@pytest.mark.parametrize(
    "path",
    [
        "usr/share/doc/a/changelog.gz",
        "usr/share/man/man1/a",
        "usr/share/locale/de/x.mo",
        "lib/systemd/system/a.service",
        "etc/cron.d/a",
        "etc/init.d/a",
    ],
)
def test_excludes_paths(store: Store, path: str) -> None:
    assert path not in (found := _entries(store, make_deb("a", "1", {path: b"x", "usr/a": b"y"})))
    assert usr_merged(path) not in found


@pytest.mark.parametrize(
    "path", ["usr/share/doc/a/copyright", "usr/lib/locale/C.utf8/LC_CTYPE", "usr/share/zoneinfo/Europe/Berlin", "etc/ssl/x"]
)
def test_includes_paths(path: str) -> None:
    assert not is_excluded(path)


def test_keeps_a_link_to_another_package_s_copyright(store: Store) -> None:
    assert _entries(store, make_deb("a", "1", {"usr/share/doc/a": "b"}))["usr/share/doc/a"].target == "b"


def test_excluded_paths_are_usr_merged() -> None:
    prefixes = [prefix for prefixes in EXCLUDED.values() for prefix in prefixes]
    assert all(prefix.partition("/")[0] not in MERGED_DIRECTORIES for prefix in prefixes)
    assert len(prefixes) == len(set(prefixes))


@pytest.mark.parametrize(
    "member",
    [
        _info("./../etc/passwd"),
        _info("./usr/../../x"),
        _info("/etc/passwd"),
        _info("./usr//x"),
        _info("./dev/sda", kind=tarfile.BLKTYPE),
        _info("./dev/tty", kind=tarfile.CHRTYPE),
        _info("./run/pipe", kind=tarfile.FIFOTYPE),
        _info("./usr/x", kind=tarfile.SYMTYPE, link="../../../etc"),
        _info("./usr/x", kind=tarfile.SYMTYPE, link=""),
        _info("./usr/x", kind=tarfile.LNKTYPE, link="../etc/passwd"),
        _info("./usr/x", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        _info("./usr/x", kind=tarfile.LNKTYPE, link="./usr/share/man/x"),
        _info("./usr/x", kind=tarfile.GNUTYPE_SPARSE),
    ],
    ids=lambda info: f"{info.name}-{info.type.decode()}-{info.linkname}",
)
def test_rejects_hostile_members(store: Store, member: tarfile.TarInfo) -> None:
    data = make_deb("a", "1", members=[(_info("./usr/ok"), b"ok"), (member, b"")])
    with pytest.raises(ArchiveError, match=r"a 1\.0-1"):
        make_segment(_source(store, data), store)


def test_rejects_a_path_that_comes_twice(store: Store) -> None:
    with pytest.raises(ArchiveError, match="twice"):
        make_segment(_source(store, make_deb("a", "1", {"lib/x": b"1", "usr/lib/x": b"2"})), store)


def test_rejects_a_decompression_bomb(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb_module.open_tar.__wrapped__, "__defaults__", (1 << 20,))  # type: ignore[attr-defined]
    source = _source(store, make_deb("a", "1", {"usr/zeros": bytes(8 << 20)}))
    with pytest.raises(ArchiveError, match="unpacks to more"):
        make_segment(source, store)


def test_rejects_a_bomb_in_the_control_archive(store: Store) -> None:
    data = make_deb("a", "1", {"x": b""})
    head = data.index(b"control.tar.xz")
    control = lzma.compress(make_tar([(_info("./md5sums"), bytes(65 << 20))]))
    size = int(data[head + 48 : head + 58])
    rest = data[head + 60 + size + size % 2 :]
    bomb = data[: head + 48] + f"{len(control):<10}`\n".encode() + control + b"\n" * (len(control) % 2) + rest
    with pytest.raises(ArchiveError, match="unpacks to more"):
        make_segment(_source(store, bomb), store)


@pytest.mark.parametrize("compression", ["xz", "gz", "zst", ""])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.97])
def test_rejects_a_truncated_package(store: Store, compression: str, part: float) -> None:
    data = make_deb("a", "1.0", {"usr/a": bytes(range(256)) * 64, "usr/b": b"b"}, compression=compression)
    with pytest.raises(ArchiveError, match=r"a 1\.0-1"):
        make_segment(_source(store, data[: int(len(data) * part)]), store)


@given(position=st.integers(0, 1 << 16), value=st.integers(0, 255), compression=st.sampled_from(["xz", "gz", "zst", ""]))
def test_a_changed_byte_is_harmless_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, compression: str
) -> None:
    store = Store(tmp_path_factory.getbasetemp() / "fuzz")
    data = bytearray(make_deb("a", "1.0", {"usr/a": b"a" * 600, "lib/l": "/lib/m"}, compression=compression))
    data[position % len(data)] = value
    try:
        paths = [entry.path for entry in _source(store, bytes(data)).entries()]
    except ArchiveError:
        return
    assert all(not path.startswith("/") and ".." not in path.split("/") for path in paths)


def test_rejects_an_unknown_compression(store: Store) -> None:
    data = make_deb("a", "1.0", {"usr/a": b"a"}).replace(b"data.tar.xz", b"data.tar.br")
    with pytest.raises(ArchiveError, match="unknown compression"):
        make_segment(_source(store, data), store)


@pytest.mark.parametrize("damaged", [make_deb("a", "1.0", {"usr/a": b"b"}), make_deb("a", "1.0", {"usr/a": b"a"})[:-9], b"", b"x" * 99])
def test_discards_a_damaged_blob(store: Store, damaged: bytes) -> None:
    """It is fetched again then, whether or not it still looks like a package."""
    source = _source(store, make_deb("a", "1.0", {"usr/a": b"a"}))
    store.path(source.package.digest).write_bytes(damaged)
    with pytest.raises(DamagedBlob):
        make_segment(source, store)
    assert not store.has(source.package.digest)
    assert find_segment(source.key, store) is None


def test_streams_large_files(store: Store) -> None:
    content = struct.pack("<I", 7) * (5 << 20)
    entry = _entries_while_open(store, make_deb("a", "1.0", {"usr/large": content}, compression="gz"))
    assert entry == (len(content), content[:8])
    segment = make_segment(_source(store, make_deb("a", "1.0", {"usr/large": content}, compression="gz")), store)
    assert segment.unpacked_size > len(content)


def _entries_while_open(store: Store, data: bytes) -> tuple[int, bytes]:
    for entry in _source(store, data).entries():
        if entry.path == "usr/large":
            assert isinstance(entry.content, LazyContent)
            with entry.content.open() as stream:
                return entry.content.size, stream.read(8)
    raise AssertionError


def test_the_same_package_gives_the_same_segment(tmp_path: Path) -> None:
    data = make_deb("a", "1.0", {"usr/bin/a": b"a" * 5000, "usr/b": b"b"})
    made = []
    for name in ("one", "two"):
        store = Store(tmp_path / name)
        made.append(make_segment(_source(store, data), store))
    assert made[0] == made[1]
