"""The closure over shared libraries, computed from an archive in a directory."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.debian_packages import fetching
from support.digests import ANY

from shipwheel.debian.archive import Archive
from shipwheel.debian.closure import Closure, close_over_libraries
from shipwheel.debian.downloads import load_segments
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.package_index import DebianPackageIndex
from shipwheel.files.elf import ElfObject
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.testing.debian import FakeArchive, make_deb, shared_object

AMD64 = Platform("linux", "amd64")
LIB = "usr/lib/x86_64-linux-gnu"


class _World:
    """A small suite. liba needs libb and libc; libc is in /lib as in old suites; a variant, a liar, a large package that nothing needs."""

    def __init__(self, root: Path) -> None:
        self.fake = FakeArchive(root / "mirror")
        self.store = Store(root / "store")
        self.rounds: list[list[str]] = []
        self.library("liba1", "liba.so.1", ["libb.so.2", "libc.so.6"])
        self.library("libb2", "libb.so.2", ["libc.so.6"], doc="b-common")
        self.library("libb2-extra", "libb.so.2", ["libhuge.so.1"])
        self.library("libc6", "libc.so.6", [], folder="lib/x86_64-linux-gnu")
        self.library("libhuge1", "libhuge.so.1", [])
        self.library("libblas3", "libblas.so.3", ["libc.so.6"], folder=f"{LIB}/blas")
        self.add("b-common", {"usr/share/doc/b-common/copyright": b"mine"}, [])
        self.library("libmagic1", "libmagic.so.1", [])
        self.add("libmagic-mgc", {"usr/lib/file/magic.mgc": b"magic"}, [])
        self.library("libqtweb6", "libqtweb.so.6", ["libqtcore.so.6"])
        self.library("libqtcore6", "libqtcore.so.6", ["libc.so.6"])
        self.library("libapp1", "libapp.so.1", ["libqtweb.so.6"])
        self.library("libcpp1", "libcpp.so.1", ["libstdc++.so.6"])
        self.library("libstdc++6", "libstdc++.so.6", ["libc.so.6"])
        self.add("liar", {f"{LIB}/other.so": shared_object("other.so")}, [f"{LIB}/libd.so.1"])
        self.fake.publish()

    def library(self, name: str, soname: str, needed: Sequence[str], *, folder: str = LIB, doc: str = "") -> None:
        files: dict[str, bytes | str] = {f"{folder}/{soname}.0": shared_object(soname, needed), f"{folder}/{soname}": f"{soname}.0"}
        if doc:
            files[f"usr/share/doc/{name}"] = doc
        self.add(name, files, [f"{folder}/{soname}", f"{folder}/{soname}.0"])

    def add(self, name: str, files: dict[str, bytes | str], contents: Sequence[str]) -> None:
        source = "b" if name in ("libb2", "b-common") else ""
        self.fake.add(make_deb(name, "1", files), (name, "1", "amd64"), contents=contents, source=source)

    def index(self) -> DebianPackageIndex:
        return Archive(self.fake.mirror, self.store, keyring=self.fake.keyring).package_index(suite_by_name("bookworm"), AMD64)

    def load(self, packages: Sequence[DebianPackage]) -> list[Segment]:
        self.rounds.append([package.name for package in packages])
        return load_segments(packages, fetching(self.fake.mirror, self.store), self.store)

    def close(self, *needed: str, seed: Sequence[str] = (), machine: str = "EM_X86_64", own: Sequence[str] = ()) -> Closure:
        """Return the closure for a wheel whose object needs these libraries, and which bundles its `own`."""
        index = self.index()
        found = [package for name in seed if (package := index.newest(name)) is not None]
        objects = (ElfObject("opt/venv/x.so", machine, needed=needed), *(ElfObject(f"opt/venv/own/{name}", machine, name) for name in own))
        wheel = Segment("k", "wheel", ANY, 0, 0, {item.path: 0 for item in objects}, {}, {}, objects)
        return close_over_libraries(found, index, AMD64, [wheel], self.load)


@pytest.fixture
def world(tmp_path: Path) -> _World:
    return _World(tmp_path)


def _names(closure: Closure) -> list[str]:
    return [package.name for package in closure.packages]


def test_follows_the_libraries_of_libraries(world: _World) -> None:
    closure = world.close("liba.so.1")
    assert _names(closure) == ["b-common", "liba1", "libb2", "libc6"]
    assert [segment.label for segment in closure.segments] == ["b-common 1", "liba1 1", "libb2 1", "libc6 1"]
    assert closure.unresolved == {}


def test_loads_all_packages_of_a_round_at_once(world: _World) -> None:
    world.close("liba.so.1")
    assert world.rounds == [[], ["liba1"], ["libb2", "libc6"], ["b-common"]]


def test_adds_nothing_to_a_complete_base(world: _World) -> None:
    assert _names(world.close("libc.so.6", seed=["libc6"])) == ["libc6"]


def test_lists_libraries_that_no_package_has(world: _World) -> None:
    closure = world.close("libcuda.so.1", "libc.so.6")
    assert {soname: [item.path for item in wanters] for soname, wanters in closure.unresolved.items()} == {
        "libcuda.so.1": ["opt/venv/x.so"]
    }


def test_drops_a_package_without_the_library(world: _World) -> None:
    closure = world.close("libd.so.1")
    assert _names(closure) == []
    assert list(closure.unresolved) == ["libd.so.1"]


def test_finds_libraries_of_update_alternatives(world: _World) -> None:
    closure = world.close("libblas.so.3")
    assert _names(closure) == ["libblas3", "libc6"]
    assert closure.unresolved == {}


def test_adds_the_data_that_a_library_requires(world: _World) -> None:
    assert _names(world.close("libmagic.so.1")) == ["libmagic-mgc", "libmagic1"]
    assert _names(world.close(seed=["libmagic1"])) == ["libmagic-mgc", "libmagic1"]


def test_a_wheel_s_library_does_not_serve_the_base(world: _World) -> None:
    assert _names(world.close("libc.so.6", seed=["liba1"], own=["libb.so.2", "libc.so.6"])) == ["b-common", "liba1", "libb2", "libc6"]


def test_drops_a_library_that_does_not_fit_the_wheel_s_copies(world: _World) -> None:
    closure = world.close("libqtweb.so.6", own=["libqtcore.so.6"])
    assert (_names(closure), list(closure.unresolved)) == ([], ["libqtweb.so.6"])
    # It fits a wheel without a copy of its own, and a package of the base.
    assert _names(world.close("libqtweb.so.6")) == ["libc6", "libqtcore6", "libqtweb6"]
    both = world.close("libqtweb.so.6", seed=["libapp1"], own=["libqtcore.so.6"])
    assert _names(both) == ["libapp1", "libc6", "libqtcore6", "libqtweb6"]
    later = world.close("libqtweb.so.6", "libapp.so.1", own=["libqtcore.so.6"])
    assert _names(later) == ["libapp1", "libc6", "libqtcore6", "libqtweb6"]


def test_any_copy_of_the_c_plus_plus_library_fits(world: _World) -> None:
    assert _names(world.close("libcpp.so.1", own=["libstdc++.so.6"])) == ["libc6", "libcpp1", "libstdc++6"]


def test_ignores_objects_for_other_machines(world: _World) -> None:
    closure = world.close("liba.so.1", machine="EM_AARCH64")
    assert (_names(closure), closure.unresolved) == ([], {})


def test_the_closure_does_not_depend_on_the_order(world: _World, tmp_path: Path) -> None:
    first = world.close("liba.so.1", "libblas.so.3", seed=["libb2", "libc6"])
    again = world.close("libblas.so.3", "liba.so.1", seed=["libc6", "libb2"])
    assert (first.packages, first.segments) == (again.packages, again.segments)
