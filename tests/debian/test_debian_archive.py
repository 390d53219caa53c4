"""The chain from a signed release to packages, against an archive in a folder."""

import gzip
import lzma
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shipwheel.debian.archive import Archive
from shipwheel.debian.package_index import PackageIndex
from shipwheel.debian.tables import contents_table, packages_table
from shipwheel.errors import ArchiveError, FetchError, IntegrityError, SignatureError, UsageError
from shipwheel.events import Event, Warned
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.suites import suite_by_name, suite_for
from shipwheel.testing.debian import FakeArchive, make_deb

AMD64 = Platform("linux", "amd64")
SUITE = suite_by_name("bookworm")


@pytest.fixture
def fake(tmp_path: Path) -> FakeArchive:
    made = FakeArchive(tmp_path / "mirror")
    for version, release in (("1.0-1", ""), ("1.0-1+deb12u2", "security"), ("1.0-1+deb12u1", "updates")):
        made.add(make_deb("liba1", version), ("liba1", version, "amd64"), release=release, contents=["usr/lib/x86_64-linux-gnu/liba.so.1"])
    made.add(make_deb("data", "2:1"), ("data", "2:1", "all"))
    made.publish()
    return made


def _archive(fake: FakeArchive, tmp_path: Path, events: list[Event] | None = None, *, allow_stale: bool = False) -> Archive:
    return Archive(
        fake.mirror, Store(tmp_path / "store"), (events if events is not None else []).append, keyring=fake.keyring, allow_stale=allow_stale
    )


def test_newest_of_all_releases_wins(fake: FakeArchive, tmp_path: Path) -> None:
    index = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    found = index.newest("liba1")
    assert found is not None
    assert (found.version, found.archive, found.source) == ("1.0-1+deb12u2", "debian-security", "liba1")
    assert index.newest("liba") is None
    assert index.newest("data") is not None


def test_providers(fake: FakeArchive, tmp_path: Path) -> None:
    index = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert index.providers("liba.so.1") == ("liba1",)
    assert index.providers("libb.so.1") == ()


def test_second_time_only_releases_are_read(fake: FakeArchive, tmp_path: Path) -> None:
    first = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert first.providers("liba.so.1")
    for path in fake.root.rglob("*.?z"):
        path.unlink()
    for path in fake.root.rglob("by-hash/*/*"):
        path.unlink()
    again = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert again.newest("liba1") == first.newest("liba1")
    assert again.providers("liba.so.1") == ("liba1",)


def test_bad_signature(fake: FakeArchive, tmp_path: Path) -> None:
    path = fake.folder("security") / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Debian", b"Origin: Nobody"))
    with pytest.raises(SignatureError, match="bookworm-security InRelease"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)


def test_release_of_another_suite(fake: FakeArchive, tmp_path: Path) -> None:
    fake.publish(codename="bullseye")
    with pytest.raises(SignatureError, match="'bullseye'"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)


def _replace(folder: Path, path: str, data: bytes) -> None:
    (folder / path).write_bytes(data)
    for name in (folder / path).parent.glob("by-hash/SHA256/*"):
        name.write_bytes(data)


def test_wrong_packages_file(fake: FakeArchive, tmp_path: Path) -> None:
    _replace(fake.folder(), "main/binary-amd64/Packages.xz", lzma.compress(b"Package: evil\n"))
    with pytest.raises(IntegrityError, match=r"bookworm main/binary-amd64/Packages\.xz"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)


def test_by_hash_comes_first(fake: FakeArchive, tmp_path: Path) -> None:
    for release in ("", "updates", "security"):
        (fake.folder(release) / "main/binary-amd64/Packages.xz").write_bytes(b"the next release, half copied")
    assert _archive(fake, tmp_path).package_index(SUITE, AMD64).newest("liba1") is not None


def test_mirror_without_by_hash(fake: FakeArchive, tmp_path: Path) -> None:
    for path in fake.root.rglob("by-hash/*/*"):
        path.unlink()
    assert _archive(fake, tmp_path).package_index(SUITE, AMD64).newest("liba1") is not None


def test_other_contents_is_a_hint_with_a_warning(fake: FakeArchive, tmp_path: Path) -> None:
    for name in (fake.folder() / "main").glob("by-hash/SHA256/*"):
        name.unlink()
    older = fake.folder() / "main/Contents-amd64.gz"
    older.write_bytes(gzip.compress(b"usr/lib/libc.so.9  libs/data,libs/gone\n"))
    events: list[Event] = []
    archive = _archive(fake, tmp_path, events)
    assert archive.package_index(SUITE, AMD64).providers("libc.so.9") == ("data",)
    (warning,) = [event for event in events if isinstance(event, Warned)]
    contents = f"Debian bookworm main/Contents-amd64.gz of {archive.mirror.debian}"
    assert warning.message == f"{contents} is not the file that its release lists: newer libraries may be missed"


def test_stale(fake: FakeArchive, tmp_path: Path) -> None:
    fake.publish(date=datetime.now(UTC) - timedelta(days=25), valid=timedelta(days=7))
    events: list[Event] = []
    _archive(fake, tmp_path, events).package_index(SUITE, AMD64)
    assert sum(isinstance(event, Warned) and "18 days" in event.message for event in events) == 3
    fake.publish(date=datetime.now(UTC) - timedelta(days=100), valid=timedelta(days=7))
    with pytest.raises(SignatureError, match="out of date"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert _archive(fake, tmp_path, allow_stale=True).package_index(SUITE, AMD64).newest("liba1")


@pytest.mark.parametrize("release", ["updates", "security"])
def test_only_testing_may_lack_a_release(fake: FakeArchive, tmp_path: Path, release: str) -> None:
    (fake.folder(release) / "InRelease").unlink()
    with pytest.raises(FetchError, match=f"bookworm-{release}"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert _archive(fake, tmp_path).package_index(replace(SUITE, released=False), AMD64).newest("liba1")


def test_architecture_that_the_mirror_lacks(fake: FakeArchive, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="riscv64"):
        _archive(fake, tmp_path).package_index(SUITE, Platform("linux", "riscv64"))


def test_nothing_is_left_of_a_wrong_file(fake: FakeArchive, tmp_path: Path) -> None:
    path = "main/binary-amd64/Packages.xz"
    good = (fake.folder() / path).read_bytes()
    _replace(fake.folder(), path, b"x" * len(good))
    with pytest.raises(IntegrityError):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)
    _replace(fake.folder(), path, good)
    assert _archive(fake, tmp_path).package_index(SUITE, AMD64).newest("liba1")


def test_suites() -> None:
    assert (suite_for("3.11").codename, suite_for("3.9.18").codename, suite_for("3.14").released) == ("bookworm", "bullseye", False)
    with pytest.raises(UsageError) as caught:
        suite_for("3.12")
    assert all(version in caught.value.hint for version in ("3.9", "3.11", "3.13", "3.14"))
    with pytest.raises(UsageError):
        suite_by_name("sid")


def _index(*names: str, contents: bytes = b"") -> PackageIndex:
    table = b"".join(b"%b\t1\tamd64\tpool/x.deb\t%b\t1\t\n" % (name.encode(), b"0" * 64) for name in names)
    return PackageIndex("test", [("debian", table)], lambda: contents)


@pytest.mark.parametrize(
    ("soname", "packages", "first"),
    [
        ("libGL.so.1", "libgl1,libgl-dev", "libgl1"),
        ("libjpeg.so.62", "libjpeg62,libjpeg62-turbo", "libjpeg62-turbo"),
        ("libopenblas.so.0", "libopenblas0-openmp,libopenblas0-pthread,libopenblas0-serial", "libopenblas0-pthread"),
        ("libomp.so.5", "libomp5-13,libomp5-16,libomp5-9", "libomp5-16"),
        ("libavcodec.so.59", "libavcodec-extra59,libavcodec59", "libavcodec59"),
        ("libQt5Gui.so.5", "libqt5gui5-gles,libqt5gui5", "libqt5gui5"),
        ("libfoo.so", "libfoo-dev,libfoo-runtime-with-a-long-name", "libfoo-runtime-with-a-long-name"),
    ],
)
def test_which_of_several_providers(soname: str, packages: str, first: str) -> None:
    index = _index(*packages.split(","), contents=f"{soname}\t{packages}\n".encode())
    assert index.providers(soname)[0] == first
    assert sorted(index.providers(soname)) == sorted(packages.split(","))


def test_providers_that_the_suite_does_not_have() -> None:
    assert _index("libb", contents=b"liba.so.1\tlibgone,libb\n").providers("liba.so.1") == ("libb",)


def test_nearest_names() -> None:
    assert _index("libgl1", "libglx0", "zlib1g").similar_names("libglx")[:2] == ("libglx0", "libgl1")


def test_contents_keeps_loader_directories_only() -> None:
    lines = (
        "bin/ls  utils/coreutils",
        "lib64/ld-linux-x86-64.so.2  libs/libc6",
        "lib/x86_64-linux-gnu/libc.so.6  libs/libc6",
        "usr/lib/x86_64-linux-gnu/libGL.so.1\t\tlibs/libgl1",
        "usr/lib/x86_64-linux-gnu/libfoo.so  libdevel/libfoo-dev",
        "usr/lib/x86_64-linux-gnu/blas/libblas.so.3  libs/libblas3",
        "usr/lib/x86_64-linux-gnu/dri/swrast_dri.so  libs/libgl1-mesa-dri",
        "usr/lib/aarch64-linux-gnu/libx.so.1  libs/libx1-arm64-cross",
        "usr/lib32/liby.so.1  libs/lib32y1",
        "usr/lib/libz.so.1  contrib/libs/libz1,libs/libz2",
        "usr/share/lib/x86_64-linux-gnu/libq.so.1  libs/libq1",
        "usr/lib/x86_64-linux-gnu/libno.sometimes  libs/libno1",
    )
    data = gzip.compress("".join(f"{line}\n" for line in lines).encode())
    table = contents_table([data[:50], data[50:]], "x86_64-linux-gnu", "x").decode().splitlines()
    assert table == [
        "ld-linux-x86-64.so.2\tlibc6",
        "libGL.so.1\tlibgl1",
        "libblas.so.3\tlibblas3",
        "libc.so.6\tlibc6",
        "libfoo.so\tlibfoo-dev",
        "libz.so.1\tlibz1,libz2",
    ]


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_cut_off_tables(cut: int) -> None:
    with pytest.raises(ArchiveError, match="truncated"):
        packages_table([lzma.compress(b"Package: a\n" * 50)[:cut]], "x")
    with pytest.raises(ArchiveError, match="truncated"):
        contents_table([gzip.compress(b"usr/lib/a  b\n" * 50)[:cut]], "m", "x")


def test_damaged_tables() -> None:
    with pytest.raises(ArchiveError, match="damaged"):
        packages_table([b"no xz at all, but long enough to tell"], "x")
    with pytest.raises(ArchiveError, match="damaged"):
        contents_table([b"no gzip at all"], "m", "x")


def test_stanzas_that_lack_a_field_are_not_packages() -> None:
    full = "Package: a\nVersion: 1\nArchitecture: amd64\nFilename: f\nSHA256: s\nSize: 3\n"
    assert packages_table([lzma.compress(f"{full}\nPackage: b\nVersion: 1\n\n\n".encode())], "x") == b"a\t1\tamd64\tf\ts\t3\t\t\t\n"
