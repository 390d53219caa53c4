"""A build's access to Debian's archive."""

from pathlib import Path

import pytest

from shipwheel.debian.session import ArchiveSession
from shipwheel.errors import UsageError
from shipwheel.events import silent
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.testing.debian import FakeArchive, make_deb

AMD64 = Platform("linux", "amd64")
BOOKWORM = suite_by_name("bookworm")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeArchive:
    archive = FakeArchive(tmp_path / "mirror")
    archive.add(make_deb("a", "1", {"x": b"x"}), ("a", "1", "amd64"))
    archive.publish()
    monkeypatch.setattr("shipwheel.debian.release.archive_keyring", lambda: archive.keyring)
    return archive


def test_reads_an_index_once(fake: FakeArchive, tmp_path: Path) -> None:
    session = ArchiveSession(fake.mirror.debian, Store(tmp_path / "store"), silent)
    index = session.package_index(BOOKWORM, AMD64)
    assert index.newest("a") is not None
    assert session.package_index(BOOKWORM, AMD64) is index


def test_chooses_one_mirror(fake: FakeArchive, tmp_path: Path) -> None:
    session = ArchiveSession(fake.mirror.debian, Store(tmp_path / "store"), silent)
    assert session.choose_mirror().debian == fake.mirror.debian
    assert session.choose_mirror() is session.open().mirror


def test_needs_no_mirror_before_it_is_used(tmp_path: Path) -> None:
    session = ArchiveSession("not a URL", Store(tmp_path / "store"), silent)
    with pytest.raises(UsageError):
        session.open()
