"""The chain from a signed release to packages, read from an archive in a directory."""

import gzip
import lzma
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from shipwheel.debian.archive import Archive
from shipwheel.debian.mirror import DebianMirror
from shipwheel.errors import FetchError, IntegrityError, SignatureError
from shipwheel.events import Event, Warned
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
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


def _archive(
    fake: FakeArchive, tmp_path: Path, events: list[Event] | None = None, *, allow_stale: bool = False, as_of: date | None = None
) -> Archive:
    report = (events if events is not None else []).append
    return Archive(fake.mirror, Store(tmp_path / "store"), report, keyring=fake.keyring, allow_stale=allow_stale, as_of=as_of)


def test_the_newest_version_of_all_releases_wins(fake: FakeArchive, tmp_path: Path) -> None:
    index = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    found = index.newest("liba1")
    assert found is not None
    assert (found.version, found.archive, found.source) == ("1.0-1+deb12u2", "debian-security", "liba1")
    assert index.newest("liba") is None
    assert index.newest("data") is not None


def test_finds_the_providers_of_a_library(fake: FakeArchive, tmp_path: Path) -> None:
    index = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert index.providers("liba.so.1") == ("liba1",)
    assert index.providers("libb.so.1") == ()


def test_reads_only_releases_the_second_time(fake: FakeArchive, tmp_path: Path) -> None:
    first = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert first.providers("liba.so.1")
    for path in fake.root.rglob("*.?z"):
        path.unlink()
    for path in fake.root.rglob("by-hash/*/*"):
        path.unlink()
    again = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert again.newest("liba1") == first.newest("liba1")
    assert again.providers("liba.so.1") == ("liba1",)


def test_rejects_a_bad_signature(fake: FakeArchive, tmp_path: Path) -> None:
    path = fake.folder("security") / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Debian", b"Origin: Nobody"))
    with pytest.raises(SignatureError, match="bookworm-security InRelease"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)


def test_rejects_the_release_of_another_suite(fake: FakeArchive, tmp_path: Path) -> None:
    fake.publish(codename="bullseye")
    with pytest.raises(SignatureError, match="'bullseye'"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)


def _replace(folder: Path, path: str, data: bytes) -> None:
    (folder / path).write_bytes(data)
    for name in (folder / path).parent.glob("by-hash/SHA256/*"):
        name.write_bytes(data)


def test_rejects_a_packages_file_with_another_hash(fake: FakeArchive, tmp_path: Path) -> None:
    _replace(fake.folder(), "main/binary-amd64/Packages.xz", lzma.compress(b"Package: evil\n"))
    with pytest.raises(IntegrityError, match=r"bookworm main/binary-amd64/Packages\.xz"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)


def test_prefers_urls_by_hash(fake: FakeArchive, tmp_path: Path) -> None:
    for release in ("", "updates", "security"):
        (fake.folder(release) / "main/binary-amd64/Packages.xz").write_bytes(b"the next release, half copied")
    assert _archive(fake, tmp_path).package_index(SUITE, AMD64).newest("liba1") is not None


def test_accepts_a_mirror_without_by_hash(fake: FakeArchive, tmp_path: Path) -> None:
    for path in fake.root.rglob("by-hash/*/*"):
        path.unlink()
    assert _archive(fake, tmp_path).package_index(SUITE, AMD64).newest("liba1") is not None


def test_marks_an_unlisted_contents_file(fake: FakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (fake.folder() / "main").glob("by-hash/SHA256/*"):
        name.unlink()
    older = fake.folder() / "main/Contents-amd64.gz"
    older.write_bytes(gzip.compress(b"usr/lib/libc.so.9  libs/data,libs/gone\n"))
    events: list[Event] = []
    index = _archive(fake, tmp_path, events).package_index(SUITE, AMD64)
    marks = [index.may_miss_libraries]
    assert index.providers("libc.so.9") == ("data",)
    marks.append(index.may_miss_libraries)
    assert marks == [False, True], "before the file was needed, and after"
    assert not [event for event in events if isinstance(event, Warned)], "nobody can act on it as long as no library is missed"
    monkeypatch.setattr("shipwheel.debian.archive.contents_table", None)
    again = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert (again.providers("libc.so.9"), again.may_miss_libraries) == (("data",), True), "its table was made once"


def test_reads_an_unlisted_contents_file_once(fake: FakeArchive, tmp_path: Path) -> None:
    """Mirrors have another one for days. Each attempt to fetch the one in the release would take a whole file."""
    for name in (fake.folder() / "main").glob("by-hash/SHA256/*"):
        name.unlink()
    older = fake.folder() / "main/Contents-amd64.gz"
    older.write_bytes(gzip.compress(b"usr/include/a.h  libdevel/liba-dev\nusr/lib/liba.so.9  libs/liba1\n"))
    index = _archive(fake, tmp_path).package_index(SUITE, AMD64)
    found = [index.find_paths(rb"usr/include/a\.h")]
    older.unlink()
    found.append(index.find_paths(rb"usr/include/a\.h"))
    assert found == [{"usr/include/a.h": frozenset({"liba-dev"})}] * 2
    assert (index.providers("liba.so.9"), index.may_miss_libraries) == (("liba1",), True)


def test_warns_of_a_stale_release_and_rejects_an_old_one(fake: FakeArchive, tmp_path: Path) -> None:
    fake.publish(date=datetime.now(UTC) - timedelta(days=25), valid=timedelta(days=7))
    events: list[Event] = []
    _archive(fake, tmp_path, events).package_index(SUITE, AMD64)
    assert sum(isinstance(event, Warned) and "18 days" in event.message for event in events) == 3
    fake.publish(date=datetime.now(UTC) - timedelta(days=100), valid=timedelta(days=7))
    with pytest.raises(SignatureError, match="out of date"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert _archive(fake, tmp_path, allow_stale=True).package_index(SUITE, AMD64).newest("liba1")


def test_refuses_a_release_that_is_older_than_one_it_has_read(fake: FakeArchive, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    _archive(fake, tmp_path).package_index(SUITE, AMD64)
    fake.publish(date=now - timedelta(days=30))
    with pytest.raises(SignatureError, match="is known") as caught:
        _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert "another mirror" in caught.value.hint
    wanted = (now - timedelta(days=29)).date()
    assert _archive(fake, tmp_path, as_of=wanted).package_index(SUITE, AMD64).newest("liba1"), "a snapshot of the day that is wanted"
    with pytest.raises(SignatureError, match="is known"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)


def test_a_mirror_may_be_some_days_behind_another(fake: FakeArchive, tmp_path: Path) -> None:
    _archive(fake, tmp_path).package_index(SUITE, AMD64)
    fake.publish(date=datetime.now(UTC) - timedelta(days=6))
    assert _archive(fake, tmp_path).package_index(SUITE, AMD64).newest("liba1")


def test_takes_the_next_mirror_if_one_serves_an_older_release(fake: FakeArchive, tmp_path: Path) -> None:
    _archive(fake, tmp_path).package_index(SUITE, AMD64)
    shutil.copytree(fake.root, tmp_path / "current")
    fake.publish(date=datetime.now(UTC) - timedelta(days=30))
    current = DebianMirror(f"file://{tmp_path}/current/debian", f"file://{tmp_path}/current/debian-security")
    fake.mirror = replace(fake.mirror, fallbacks=(current,))
    events: list[Event] = []
    assert _archive(fake, tmp_path, events).package_index(SUITE, AMD64).newest("liba1")
    assert [event for event in events if isinstance(event, Warned) and "trying another Debian mirror" in event.message]


@pytest.mark.parametrize("release", ["updates", "security"])
def test_only_testing_may_lack_a_release(fake: FakeArchive, tmp_path: Path, release: str) -> None:
    (fake.folder(release) / "InRelease").unlink()
    with pytest.raises(FetchError, match=f"bookworm-{release}"):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)
    assert _archive(fake, tmp_path).package_index(replace(SUITE, released=False), AMD64).newest("liba1")


def test_reports_an_architecture_that_the_mirror_lacks(fake: FakeArchive, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="riscv64"):
        _archive(fake, tmp_path).package_index(SUITE, Platform("linux", "riscv64"))


def test_keeps_nothing_of_a_wrong_file(fake: FakeArchive, tmp_path: Path) -> None:
    path = "main/binary-amd64/Packages.xz"
    good = (fake.folder() / path).read_bytes()
    _replace(fake.folder(), path, b"x" * len(good))
    with pytest.raises(IntegrityError):
        _archive(fake, tmp_path).package_index(SUITE, AMD64)
    _replace(fake.folder(), path, good)
    assert _archive(fake, tmp_path).package_index(SUITE, AMD64).newest("liba1")


@pytest.mark.parametrize(
    ("codename", "removed", "version"),
    [("bullseye", True, "1"), ("bullseye", False, "1+deb11u1"), ("bookworm", True, "1+deb11u1")],
    ids=["removed", "still there", "a supported suite never loses its updates"],
)
def test_an_old_suite_does_without_security_updates_that_the_mirror_has_removed(
    tmp_path: Path, codename: str, removed: bool, version: str
) -> None:
    fake, events = FakeArchive(tmp_path / "mirror", codename), list[Event]()
    fake.add(make_deb("libc6", "1"), ("libc6", "1", "amd64"))
    fake.add(make_deb("libc6", "1+deb11u1"), ("libc6", "1+deb11u1", "amd64"), release="security")
    fake.publish()
    if removed:
        shutil.rmtree(fake.root / "debian-security" / "pool")
    found = _archive(fake, tmp_path, events).package_index(suite_by_name(codename), AMD64).newest("libc6")
    assert found is not None
    assert found.version == version
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert bool(warned) is (version == "1")
