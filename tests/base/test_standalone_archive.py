"""The archive of a standalone CPython as file entries: what is included, where it goes, and what is rejected."""

import gzip
import io
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.digests import sha256, sha256_of

from shipwheel.base.standalone_archive import Standalone, StandaloneSource, interpreter_path, is_excluded, parse_filename
from shipwheel.errors import ArchiveError, DamagedBlob, ShipwheelError
from shipwheel.files.entry import EntryType, FileEntry, read_content
from shipwheel.files.segment import make_segment
from shipwheel.store.store import Store
from shipwheel.testing.standalone import invented_files, make_standalone, standalone_name

_FILES = invented_files("3.12")


def _source(data: bytes, root: Path) -> StandaloneSource:
    store = Store(root)
    return StandaloneSource(Standalone("3.12.1", "20240101", "x.tar.gz", sha256_of(store.add(data)), "amd64"), store)


def _entries(data: bytes, root: Path) -> dict[str, FileEntry]:
    return {entry.path: entry for entry in _source(data, root).entries()}


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b"x" if kind == tarfile.REGTYPE else b""


def test_includes_the_interpreter_and_its_library_only(tmp_path: Path) -> None:
    found = _entries(make_standalone(_FILES), tmp_path)
    assert sorted(found) == [
        "opt/python/bin/python",
        "opt/python/bin/python3",
        "opt/python/bin/python3.12",
        "opt/python/lib/libpython3.12.so",
        "opt/python/lib/libpython3.12.so.1.0",
        "opt/python/lib/python3.12/LICENSE.txt",
        "opt/python/lib/python3.12/encodings/__init__.py",
        "opt/python/lib/python3.12/lib-dynload/_ssl.cpython.so",
        "opt/python/lib/python3.12/os.py",
    ]
    program = found["opt/python/bin/python3.12"]
    assert (program.type, program.mode, program.uid, program.gid) == (EntryType.FILE, 0o755, 0, 0)
    assert found["opt/python/lib/python3.12/os.py"].mode == 0o644
    link = found["opt/python/bin/python3"]
    assert (link.type, link.target) == (EntryType.SYMLINK, "python3.12")


@pytest.mark.parametrize(
    "path", ["lib/python3.12/test/support/__init__.py", "lib/thread2.8.7/pkgIndex.tcl", "lib/python3.12/config-3.12-x86/Makefile"]
)
def test_excludes_paths(path: str) -> None:
    assert is_excluded(path)


@pytest.mark.parametrize(
    "path",
    ["lib/python3.12/unittest/case.py", "lib/python3.12/threading.py", "lib/python3.12/testing.py", "lib/libpython3.so", "bin/python3.12"],
)
def test_includes_paths(path: str) -> None:
    assert not is_excluded(path)


def test_reads_large_files_and_hard_links(tmp_path: Path) -> None:
    large = bytes(range(256)) * (80 << 10)
    data = make_standalone(
        {**_FILES, "lib/libpython3.so": large}, members=[_member("python/lib/other.so", tarfile.LNKTYPE, "python/lib/libpython3.so")]
    )
    source = _source(data, tmp_path)
    for entry in source.entries():
        if entry.path.endswith("libpython3.so"):
            assert read_content(entry.content) == large
        if entry.path.endswith("other.so"):
            assert (entry.type, entry.target) == (EntryType.HARDLINK, "opt/python/lib/libpython3.so")
    segment = make_segment(source, source.store)
    assert {item.path for item in segment.elf} >= {"opt/python/bin/python3.12", "opt/python/lib/libpython3.12.so.1.0"}


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (_member("../etc/passwd"), "is not allowed in an archive"),
        (_member("/etc/passwd"), "is not allowed in an archive"),
        (_member("python/lib/../../../etc/passwd"), "is not allowed in an archive"),
        (_member("etc/passwd"), "etc/passwd is not below python/"),
        (_member("pythonic"), "pythonic is not below python/"),
        (_member("python/lib/x", tarfile.SYMTYPE, "/etc"), "the link python/lib/x leads outside python/"),
        (_member("python/lib/x", tarfile.SYMTYPE, "../../x"), "the link python/lib/x leads outside python/"),
        (_member("python/lib/x", tarfile.SYMTYPE, ""), "the link python/lib/x leads outside python/"),
        (_member("python/lib/x", tarfile.LNKTYPE, "../shadow"), "is not allowed in an archive"),
        (_member("python/lib/x", tarfile.LNKTYPE, "python/lib/none"), "which is not in the image"),
        (_member("python/lib/x", tarfile.LNKTYPE, "python/bin/pip3"), "which is not in the image"),
        (_member("python/lib/x", tarfile.CHRTYPE), "is a device or another type of file"),
        (_member("python/lib/x", tarfile.FIFOTYPE), "is a device or another type of file"),
        (_member("python/bin/python3.12"), "it contains opt/python/bin/python3.12 twice"),
        (_member("python/lib/libpython3.12.so/x"), "is below opt/python/lib/libpython3.12.so, which is not a directory"),
    ],
)
def test_rejects_hostile_members(member: tuple[tarfile.TarInfo, bytes], says: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        _entries(make_standalone(_FILES, members=[member]), tmp_path)
    assert "Python 3.12.1 (standalone 20240101): " in caught.value.message
    assert says in caught.value.message
    assert caught.value.hint


def test_includes_only_the_interpreter_from_bin(tmp_path: Path) -> None:
    found = _entries(make_standalone(_FILES, members=[_member("python/bin/python3/x.py"), _member("python/bin/pydoc3")]), tmp_path)
    assert [path for path in found if "/bin/" in path] == [f"opt/python/bin/{name}" for name in ("python3.12", "python3", "python")]


def test_rejects_a_header_with_a_huge_size(tmp_path: Path) -> None:
    head = tarfile.TarInfo("python/lib/x")
    head.type, head.size = tarfile.XHDTYPE, 1 << 30
    data = gzip.compress(head.tobuf(tarfile.USTAR_FORMAT) + bytes(2 << 20), 1)
    with pytest.raises(ArchiveError, match="the archive is damaged"):
        _entries(data, tmp_path)


def test_rejects_a_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipwheel.base.standalone_archive._MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(ArchiveError, match="unpacks to more than 1048576 bytes"):
        _entries(make_standalone({**_FILES, "lib/zeros": bytes(2 << 20)}), tmp_path)
    monkeypatch.setattr("shipwheel.base.standalone_archive._MAX_MEMBERS", 10)
    with pytest.raises(ArchiveError, match="more than 10 members"):
        _entries(make_standalone(_FILES), tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"not an archive", gzip.compress(b"neither", mtime=0), make_standalone(_FILES)[:-40], make_standalone(_FILES)[:600]]
)
def test_rejects_damaged_archives(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"the archive is damaged|has no bin/python"):
        _entries(data, tmp_path)


def test_rejects_an_archive_of_another_python(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"it has no bin/python3\.12"):
        _entries(make_standalone(invented_files("3.10")), tmp_path)


def test_a_damaged_blob_is_reported_as_such(tmp_path: Path) -> None:
    source = _source(make_standalone(_FILES), tmp_path)
    path = source.store.path(source.build.digest)
    path.chmod(0o644)
    path.write_bytes(make_standalone({**_FILES, "lib/python3.12/os.py": b"evil\n"}))
    with pytest.raises(DamagedBlob):
        list(source.entries())


@given(rubbish=st.binary(max_size=600), place=st.integers(0, 12000), compressed=st.booleans())
def test_random_bytes_raise_only_our_errors(rubbish: bytes, place: int, compressed: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    plain = gzip.decompress(make_standalone(invented_files("3.12")))
    data = plain[:place] + rubbish + plain[place + len(rubbish) :] if compressed else rubbish
    with suppress(ShipwheelError):
        _entries(gzip.compress(data, 1, mtime=0) if compressed else data, tmp_path_factory.mktemp("store"))


def test_parses_file_names() -> None:
    found = parse_filename("cpython-3.12.8+20241219-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz", sha256("ab" * 32))
    assert found == Standalone(
        "3.12.8", "20241219", "cpython-3.12.8+20241219-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz", sha256("ab" * 32), "amd64"
    )
    assert (found.minor, found.label, found.digest) == ("3.12", "Python 3.12.8 (standalone 20241219)", f"sha256:{'ab' * 32}")
    assert interpreter_path("3.12") == "/opt/python/bin/python3.12"
    better = parse_filename(standalone_name("3.12.10", "20240101"))
    whole = parse_filename(standalone_name("3.12.8", "20241219", stripped=False))
    assert better is not None and whole is not None
    assert max([found, better, whole], key=lambda build: build.rank) == better
    assert whole.rank < found.rank


@pytest.mark.parametrize(
    "name",
    [
        "cpython-3.12.8+20241219-x86_64-unknown-linux-musl-install_only.tar.gz",
        "cpython-3.12.8+20241219-x86_64_v3-unknown-linux-gnu-install_only.tar.gz",
        "cpython-3.12.8+20241219-aarch64-apple-darwin-install_only.tar.gz",
        "cpython-3.12.8+20241219-x86_64-unknown-linux-gnu-debug-full.tar.zst",
        "cpython-3.14.0a1+20241219-x86_64-unknown-linux-gnu-install_only.tar.gz",
        "cpython-3.13.1+20241219-x86_64-unknown-linux-gnu-freethreaded-install_only.tar.gz",
        "../cpython-3.12.8+20241219-x86_64-unknown-linux-gnu-install_only.tar.gz",
    ],
)
def test_ignores_other_file_names(name: str) -> None:
    assert parse_filename(name) is None


def test_the_archives_of_these_tests_are_valid(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(make_standalone(_FILES))) as tar:
        assert "python/bin/python3.12" in tar.getnames()
