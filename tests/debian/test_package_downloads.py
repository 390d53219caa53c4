"""Fetching packages and making their segments."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.debian_packages import debian_package, fetching

from shipwheel.debian.downloads import load_segments, package_downloads
from shipwheel.debian.mirror import DebianMirror
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.session import ArchiveSession
from shipwheel.errors import FetchError, IntegrityError, UsageError
from shipwheel.events import silent
from shipwheel.files.segment import Segment
from shipwheel.pipeline.downloads import Downloads
from shipwheel.project.read import read_project
from shipwheel.store.store import Store
from shipwheel.testing.debian import FakeArchive, make_deb


def test_a_security_update_may_have_moved_to_the_main_archive() -> None:
    mirror = DebianMirror("http://m/debian", "http://m/debian-security")
    main, security = package_downloads(
        [debian_package("a", "1"), debian_package("b", "2", "debian-security", "pool/updates/main/b/b.deb")], mirror
    )
    assert main.urls == ("http://m/debian/pool/main/x/x.deb",)
    assert security.urls == ("http://m/debian-security/pool/updates/main/b/b.deb", "http://m/debian/pool/main/b/b.deb")
    assert (main.digest, main.size) == (f"sha256:{'0' * 64}", 7)


@pytest.fixture
def fake(tmp_path: Path) -> FakeArchive:
    return FakeArchive(tmp_path / "mirror")


def load(fake: FakeArchive, packages: Sequence[DebianPackage], store: Store) -> list[Segment]:
    return load_segments(packages, fetching(fake.mirror, store), store)


def test_explains_how_to_renew_a_base_whose_package_is_gone(fake: FakeArchive, tmp_path: Path) -> None:
    gone = fake.add(make_deb("gone", "1", {"x": b"x"}), ("gone", "1", "amd64"))
    kept = fake.add(make_deb("kept", "1", {"x": b"x"}), ("kept", "1", "amd64"))
    (fake.root / "debian" / gone.filename).unlink()
    with pytest.raises(FetchError) as caught:
        load(fake, [gone, kept], Store(tmp_path / "store"))
    assert "gone_1.deb" in caught.value.message
    assert "--upgrade-base" in caught.value.hint
    assert "pylock.toml" in caught.value.hint


def test_explains_how_to_renew_a_base_if_several_packages_are_gone(fake: FakeArchive, tmp_path: Path) -> None:
    packages = [fake.add(make_deb(name, "1", {"x": b"x"}), (name, "1", "amd64")) for name in ("one", "two")]
    for package in packages:
        (fake.root / "debian" / package.filename).unlink()
    with pytest.raises(FetchError, match="no longer has a package") as caught:
        load(fake, packages, Store(tmp_path / "store"))
    assert "one_1.deb" in caught.value.message and "two_1.deb" in caught.value.message


def test_rejects_a_package_with_another_hash(fake: FakeArchive, tmp_path: Path) -> None:
    made = fake.add(make_deb("a", "1", {"x": b"x"}), ("a", "1", "amd64"))
    path = fake.root / "debian" / made.filename
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    store = Store(tmp_path / "store")
    with pytest.raises(IntegrityError, match=r"a_1\.deb"):
        load(fake, [made], store)
    assert not store.has(made.digest)


def test_fetches_a_damaged_package_again(fake: FakeArchive, tmp_path: Path) -> None:
    made = fake.add(make_deb("a", "1", {"x": b"x"}), ("a", "1", "amd64"))
    store = Store(tmp_path / "store")
    store.add((fake.root / "debian" / made.filename).read_bytes())
    store.path(made.digest).write_bytes(make_deb("a", "1", {"x": b"y"}))
    (segment,) = load(fake, [made], store)
    assert segment.label == "a 1"


def test_makes_segments_once(fake: FakeArchive, tmp_path: Path) -> None:
    made = fake.add(make_deb("a", "1", {"x": b"x"}), ("a", "1", "amd64"))
    store = Store(tmp_path / "store")
    first = load(fake, [made], store)
    (fake.root / "debian" / made.filename).unlink()
    store.discard(made.digest)
    assert load(fake, [made], store) == first


def test_packages_in_the_store_need_no_mirror(fake: FakeArchive, tmp_path: Path) -> None:
    """Many machines know of no mirror, and would look for one; those without a network have what a bundle brought."""
    made = fake.add(make_deb("a", "1", {"x": b"x"}), ("a", "1", "amd64"))
    store = Store(tmp_path / "store")
    store.add((fake.root / "debian" / made.filename).read_bytes())
    (tmp_path / "requirements.txt").touch()
    downloads = Downloads(read_project(tmp_path, launch=False), ArchiveSession("no URL", store, silent), store, silent, 1)
    assert [segment.label for segment in downloads.package_segments([made])] == ["a 1"]
    store.discard(made.digest)
    with pytest.raises(UsageError, match="mirror"):
        downloads.packages([made])
