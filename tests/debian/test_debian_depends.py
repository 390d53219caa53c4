"""What named packages bring along, and what is said of libraries that are opened by name."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from shipwheel.debian.archive import Archive
from shipwheel.debian.closure import close_over_libraries
from shipwheel.debian.downloads import load_segments
from shipwheel.debian.optional_libraries import missing_optional_libraries, suggest_packages
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.package_index import PackageIndex
from shipwheel.files.elf import ElfObject
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.testing.debian import FakeArchive, make_deb, shared_object

AMD64 = Platform("linux", "amd64")
LIB = "usr/lib/x86_64-linux-gnu"


class _World:
    """ocr (a program) -> its library, its language, a helper; the library -> its data, a daemon; a script -> its interpreter."""

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
        self.fake.publish()
        self.index = Archive(self.fake.mirror, self.store, keyring=self.fake.keyring).package_index(suite_by_name("bookworm"), AMD64)

    def program(self, name: str, depends: str, needed: Sequence[str]) -> None:
        self.fake.add(make_deb(name, "1", {f"usr/bin/{name}": shared_object("", needed)}), (name, "1", "amd64"), depends=depends)

    def library(self, name: str, soname: str, depends: str) -> None:
        deb = make_deb(name, "1", {f"{LIB}/{soname}": shared_object(soname)})
        self.fake.add(deb, (name, "1", "amd64"), contents=[f"{LIB}/{soname}"], depends=depends)

    def data(self, name: str, depends: str) -> None:
        self.fake.add(make_deb(name, "1", {f"usr/share/{name}/data": b"x"}), (name, "1", "all"), depends=depends)

    def load(self, packages: Sequence[DebianPackage]) -> list[Segment]:
        return load_segments(packages, self.fake.mirror, self.store)

    def close(self, *names: str, named: Sequence[str] = ()) -> list[str]:
        seed = [package for name in (*names, *named) if (package := self.index.newest(name)) is not None]
        return [package.name for package in close_over_libraries(seed, self.index, AMD64, (), self.load, named=named).packages]


@pytest.fixture
def world(tmp_path: Path) -> _World:
    return _World(tmp_path)


def test_a_named_program_brings_its_data_and_its_librarys(world: _World) -> None:
    assert world.close(named=["ocr"]) == ["libocr5", "ocr", "ocr-data", "ocr-eng", "ocr-more", "ocr-osd"]


def test_what_is_not_named_brings_what_it_loads_and_no_more(world: _World) -> None:
    assert world.close("ocr") == ["libocr5", "ocr"]


def test_a_named_library_brings_data_and_no_daemon(world: _World) -> None:
    assert world.close(named=["libocr5"]) == ["libocr5", "ocr-data", "ocr-more"]


def test_a_package_of_no_objects_brings_all_it_depends_on(world: _World) -> None:
    assert world.close(named=["sql-client"]) == ["libunused1", "perl", "perl-base", "sql-client", "sql-client-15"]


def test_an_alternative_that_is_there_is_enough(world: _World) -> None:
    world.fake.add(make_deb("either", "1", {"usr/share/either": b"x"}), ("either", "1", "all"), depends="perl | ocrd")
    world.fake.publish()
    world.index = Archive(world.fake.mirror, world.store, keyring=world.fake.keyring).package_index(suite_by_name("bookworm"), AMD64)
    assert world.close("ocrd", named=["either"]) == ["either", "ocrd"]


def test_reading_depends(world: _World) -> None:
    package = world.index.newest("ocr")
    assert package is not None
    assert world.index.depends(package) == (("libocr5",), ("ocr-eng", "ocr-lang"), ("ocr-osd",), ("debconf", "debconf-2.0"), ("gone",))
    older = DebianPackage("perl", "0.5", "amd64", "", "", 0)
    assert world.index.depends(older) == (("perl-base",),)
    assert world.index.depends(DebianPackage("nowhere", "1", "amd64", "", "", 0)) == ()
    assert (world.index.is_library("libocr5"), world.index.is_library("ocr")) == (True, False)


def _segment(label: str, *objects: ElfObject, opens: tuple[str, ...] = ()) -> Segment:
    return Segment(label, label, "d", 0, 0, {item.path: 0 for item in objects}, {}, {}, objects, opens)


def _lacking(opens: tuple[str, ...], *others: Segment, base: tuple[Segment, ...] = ()) -> dict[str, tuple[str, ...]]:
    return missing_optional_libraries(base, [_segment("demo 1", opens=opens), *others])


def test_libraries_that_nothing_in_the_image_is_called() -> None:
    assert _lacking(("libocr.so.5", "ocr")) == {"opened:libocr.so.5": ("demo 1",), "opened:ocr": ("demo 1",)}
    base = _segment("libocr5 1", ElfObject(f"{LIB}/libocr.so.5.0", "EM_X86_64", "libocr.so.5"))
    assert _lacking(("libocr.so.5", "ocr"), base=(base,)) == {}
    bundled = _segment("ocr-binary 1", ElfObject("x/ocr_binary.libs/libocr-9b38f5e3.so.5.17", "EM_X86_64"))
    assert _lacking(("ocr",), bundled) == {}


def test_a_package_with_objects_is_not_asked() -> None:
    assert missing_optional_libraries((), [_segment("demo 1", ElfObject("x/demo.so", "EM_X86_64"), opens=("ocr",))]) == {}


def test_notes_say_what_to_add(world: _World) -> None:
    found = list(suggest_packages(_lacking(("libocr.so.5", "ocr", "unused", "libcuda.so.1")), world.index))
    assert [note.message for note in found] == ["demo 1 can open libocr.so.5, libunused.so.1 by name, and the image does not have them"]
    assert found[0].hint == 'If your app uses that feature, add to the settings: packages = ["libocr5", "libunused1"]'
    assert list(suggest_packages(_lacking(("cuda", "AudioToolbox")), world.index)) == []


def test_the_shortest_soname_is_taken() -> None:
    contents = b"libmagic.so.1\tlibmagic1\nlibmagic.so.1.0.0\tlibmagic1\nlibmagician.so.9\tlibmagician9\n"
    index = PackageIndex("test", [], lambda: contents)
    assert index.sonames("magic") == ("libmagic.so.1", "libmagic.so.1.0.0")
