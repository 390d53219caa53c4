"""Which packages are added for the ones that the user names."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.debian_packages import fetching
from support.digests import ANY, sha256_of

from shipwheel.debian.archive import Archive
from shipwheel.debian.closure import close_over_libraries
from shipwheel.debian.downloads import load_segments
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.relations import Relation
from shipwheel.debian.seed import resolve_packages
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.testing.debian import FakeArchive, make_deb, shared_object

AMD64 = Platform("linux", "amd64")
LIB = "usr/lib/x86_64-linux-gnu"


class _World:
    """A program that depends on a library, a language and a helper; the library on data and a daemon; a script on its interpreter."""

    def __init__(self, root: Path) -> None:
        self.fake = FakeArchive(root / "mirror")
        self.store = Store(root / "store")
        self.program("ocr", "libocr5 (>= 5), ocr-eng (>= 1) | ocr-lang, ocr-osd, debconf (>= 0.5) | debconf-2.0, gone", ["libocr.so.5"])
        self.library("libocr5", "libocr.so.5", "libunused1, ocr-data, ocrd")
        self.library("libunused1", "libunused.so.1", "")
        self.data("ocr-eng", "")
        self.data("ocr-osd", "")
        self.data("ocr-data", "ocr-more, ocrd")
        self.data("ocr-more", "")
        self.data("debconf", "")
        self.program("ocrd", "", [])
        self.data("sql-client", "sql-client-15")
        self.data("sql-client-15", "perl:any | perl-small, libunused1 [linux-any]")
        self.program("perl", "perl-base (= 1)", [])
        self.program("perl-base", "", [])
        self.data("cron", "default-mailer | mailer, awk (>= 2), new-names")
        self.data("a-mailer", "", provides="mailer")
        self.data("the-mailer", "", provides="mailer, default-mailer")
        self.data("gawk", "", provides="awk (= 3)")
        self.data("mawk", "", provides="awk (= 2.1)", priority="required")
        self.data("old-awk", "", provides="awk (= 1.9), awk", priority="required")
        self.data("unversioned-awk", "", provides="awk", priority="required")
        self.data("new-names64", "", provides="new-names")
        self.data("picky", "sql-client (>= 2) | ocr-eng (= 1)")
        self.fake.publish()
        self.index = Archive(self.fake.mirror, self.store, keyring=self.fake.keyring).package_index(suite_by_name("bookworm"), AMD64)

    def program(self, name: str, depends: str, needed: Sequence[str]) -> None:
        self.fake.add(make_deb(name, "1", {f"usr/bin/{name}": shared_object("", needed)}), (name, "1", "amd64"), depends=depends)

    def library(self, name: str, soname: str, depends: str) -> None:
        deb = make_deb(name, "1", {f"{LIB}/{soname}": shared_object(soname)})
        self.fake.add(deb, (name, "1", "amd64"), contents=[f"{LIB}/{soname}"], depends=depends)

    def data(self, name: str, depends: str, *, provides: str = "", priority: str = "optional") -> None:
        deb = make_deb(name, "1", {f"usr/share/{name}/data": b"x"})
        self.fake.add(deb, (name, "1", "all"), depends=depends, provides=provides, priority=priority)

    def load(self, packages: Sequence[DebianPackage]) -> list[Segment]:
        return load_segments(packages, fetching(self.fake.mirror, self.store), self.store)

    def close(self, *names: str, named: Sequence[str] = ()) -> list[str]:
        seed = [package for name in (*names, *named) if (package := self.index.newest(name)) is not None]
        return [package.name for package in close_over_libraries(seed, self.index, AMD64, (), self.load, named=named).packages]


@pytest.fixture
def world(tmp_path: Path) -> _World:
    return _World(tmp_path)


def test_a_named_program_adds_its_data_and_that_of_its_library(world: _World) -> None:
    assert world.close(named=["ocr"]) == ["libocr5", "ocr", "ocr-data", "ocr-eng", "ocr-more", "ocr-osd"]


def test_a_virtual_package_is_resolved_as_apt_does(world: _World) -> None:
    assert world.close(named=["cron"]) == ["cron", "mawk", "new-names64", "the-mailer"]


def test_a_provider_that_is_there_is_enough(world: _World) -> None:
    assert world.close("a-mailer", "gawk", named=["cron"]) == ["a-mailer", "cron", "gawk", "new-names64"]


def test_the_depends_of_a_virtual_packages_provider_are_followed(world: _World) -> None:
    seed = resolve_packages(world.index, ["new-names", "cron"])
    closure = close_over_libraries(seed, world.index, AMD64, (), world.load, named=["new-names", "cron"])
    assert [package.name for package in closure.packages] == ["cron", "mawk", "new-names64", "the-mailer"]


def test_an_alternative_in_the_wrong_version_is_none(world: _World) -> None:
    assert world.close(named=["picky"]) == ["ocr-eng", "picky"]


def test_other_packages_add_only_libraries(world: _World) -> None:
    assert world.close("ocr") == ["libocr5", "ocr"]


def test_a_named_library_adds_data_and_no_daemon(world: _World) -> None:
    assert world.close(named=["libocr5"]) == ["libocr5", "ocr-data", "ocr-more"]


def test_a_package_without_elf_files_adds_all_its_depends(world: _World) -> None:
    assert world.close(named=["sql-client"]) == ["libunused1", "perl", "perl-base", "sql-client", "sql-client-15"]


def test_an_alternative_in_the_base_is_enough(world: _World) -> None:
    world.fake.add(make_deb("either", "1", {"usr/share/either": b"x"}), ("either", "1", "all"), depends="perl | ocrd")
    world.fake.publish()
    world.index = Archive(world.fake.mirror, world.store, keyring=world.fake.keyring).package_index(suite_by_name("bookworm"), AMD64)
    assert world.close("ocrd", named=["either"]) == ["either", "ocrd"]


def _names(groups: Sequence[Sequence[Relation]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(relation.name for relation in group) for group in groups)


def test_parses_depends(world: _World) -> None:
    package = world.index.newest("ocr")
    assert package is not None
    assert _names(world.index.depends(package)) == (
        ("libocr5",),
        ("ocr-eng", "ocr-lang"),
        ("ocr-osd",),
        ("debconf", "debconf-2.0"),
        ("gone",),
    )
    older = DebianPackage("perl", "0.5", "amd64", "", sha256_of(ANY), 0)
    assert _names(world.index.depends(older)) == (("perl-base",),)
    assert world.index.depends(DebianPackage("nowhere", "1", "amd64", "", sha256_of(ANY), 0)) == ()
    assert (world.index.is_library("libocr5"), world.index.is_library("ocr")) == (True, False)
