"""The builder of one target and the lock: a package that changed under its version is refused before anything is fetched."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.debian_packages import index_of
from support.digests import sha256

from shipwheel.builder.interpreter import suite_python
from shipwheel.builder.workshop import Workshop
from shipwheel.errors import IntegrityError
from shipwheel.locking.pylock import LockedDeb
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name

AMD64 = Platform("linux", "amd64")
ZEROS, OTHER = sha256("0" * 64), sha256("1" * 64)
NAMES = ("gcc", "g++", "gcc-14", "libc6-dev", "python3.13", "libpython3.13-dev", "libyaml-dev")


def workshop(folder: Path, *locked: LockedDeb) -> Workshop:
    archive: Any = SimpleNamespace(package_index=lambda _suite, _platform: index_of(*NAMES, depends={"gcc": "gcc-14"}))
    target = Target(AMD64, "3.13.5", (2, 41))

    def fetch(_packages: object) -> None:
        raise AssertionError("nothing is fetched")

    python = suite_python("3.13", AMD64.multiarch)
    return Workshop(suite_by_name("trixie"), AMD64, target, python, archive, fetch, Store(folder), locked)


def test_what_decides_is_named_with_its_digest(tmp_path: Path) -> None:
    found = workshop(tmp_path).deciders(["libyaml-dev"])
    assert sorted(found, key=lambda deb: deb.name) == [
        LockedDeb(name, "1", "amd64", ZEROS) for name in ("gcc-14", "libc6-dev", "libyaml-dev")
    ]


def test_a_package_that_changed_under_its_version_is_refused(tmp_path: Path) -> None:
    assert workshop(tmp_path, LockedDeb("gcc-14", "2", "amd64", OTHER)).deciders([]), "another version is another file"
    assert workshop(tmp_path, LockedDeb("gcc-14", "1", "arm64", OTHER)).deciders([]), "so is that of another processor"
    changed = workshop(tmp_path, LockedDeb("gcc-14", "1", "amd64", OTHER))
    for _ in range(2):
        with pytest.raises(IntegrityError, match=f"gcc-14 1 for amd64 has the sha256 {ZEROS} in the archive, and {OTHER} in the lock"):
            changed.root([])
    assert changed.used == {}, "it is not for other machines, either"
