"""The packages that a composed base starts from."""

from pathlib import Path

import pytest
from support.debian_packages import debian_package, index_of

from shipwheel.debian.archive import Archive
from shipwheel.debian.seed import (
    libc_version,
    python_version,
    resolve_packages,
    resolve_seed,
    seed_names,
    virtual_packages,
    wished_names,
)
from shipwheel.errors import LockError, UsageError
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import SUITES, suite_by_name
from shipwheel.testing.debian import FakeArchive, make_deb

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
BOOKWORM = suite_by_name("bookworm")


def test_resolves_the_seed_and_extra_packages() -> None:
    found = resolve_seed(index_of(*seed_names(BOOKWORM), "libmagic1", "other"), BOOKWORM, ["libmagic1"])
    names = [package.name for package in found]
    assert names == sorted({*seed_names(BOOKWORM), "libmagic1"})
    assert {"python3.11-minimal", "python3-distutils", "libc6"} <= set(names)


def test_only_older_suites_split_the_standard_library() -> None:
    assert [("python3-distutils" in seed_names(suite)) for suite in SUITES] == [True, True, False, False]


def test_reports_all_unknown_packages_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_seed(index_of(*seed_names(BOOKWORM), "libmagic1"), BOOKWORM, ["libmagic", "qqqq"])
    assert "libmagic (did you mean libmagic1" in caught.value.message
    assert "qqqq" in caught.value.message


def test_a_virtual_package_with_one_provider_stands_for_it() -> None:
    index = index_of("exim4-daemon-light", "postfix", provides={"exim4-daemon-light": "mail-transport-agent, default-mta"})
    assert [package.name for package in resolve_packages(index, ["default-mta", "postfix"])] == ["exim4-daemon-light", "postfix"]
    assert virtual_packages(index, ["default-mta", "postfix"]) == {"default-mta": "exim4-daemon-light"}


def test_a_virtual_package_with_several_providers_is_an_error_that_lists_them() -> None:
    index = index_of("exim4", "postfix", provides={"exim4": "mta", "postfix": "mta (= 2)"})
    with pytest.raises(UsageError, match="mta is a virtual package of Debian test: name one that provides it, exim4, postfix"):
        resolve_packages(index, ["mta"])
    assert wished_names(index, ["mta"]) == ((), ("mta",))


def test_a_package_of_the_name_comes_before_those_that_provide_it() -> None:
    index = index_of("awk", "gawk", provides={"gawk": "awk"})
    assert [package.name for package in resolve_packages(index, ["awk"])] == ["awk"]


def test_reads_versions_of_python_and_libc() -> None:
    packages = [
        debian_package("python3.11-minimal", "3.11.2-6+deb12u6"),
        debian_package("libc6", "2.36-9+deb12u10"),
        debian_package("zlib1g", "1:1.2-1"),
    ]
    assert (python_version(packages), libc_version(packages)) == ("3.11.2", (2, 36))
    assert python_version([debian_package("python3.14-minimal", "3.14.0~rc3-1")]) == "3.14.0"
    with pytest.raises(LockError, match="no interpreter"):
        python_version(packages[1:])
    with pytest.raises(LockError, match="no libc6"):
        libc_version(packages[2:])


@pytest.fixture
def fake(tmp_path: Path) -> FakeArchive:
    return FakeArchive(tmp_path / "mirror")


def test_resolves_the_seed_from_an_archive(fake: FakeArchive, tmp_path: Path) -> None:
    for name in seed_names(BOOKWORM):
        fake.add(make_deb(name, "3.11.2-1", {f"usr/share/x/{name}": b"x"}), (name, "3.11.2-1", "amd64"))
    fake.publish()
    index = Archive(fake.mirror, Store(tmp_path / "store"), keyring=fake.keyring).package_index(BOOKWORM, AMD64)
    seed = resolve_seed(index, BOOKWORM)
    assert (python_version(seed), libc_version(seed)) == ("3.11.2", (3, 11))
