"""A builder's root: unpacked once, with the target's tools under their plain names; what a build adds changes no other root."""

from pathlib import Path

from shipwheel.builder.interpreter import suite_python
from shipwheel.builder.root import unpack_builder
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.digest import sha256_of
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.debian import make_deb

ARM64 = Platform("linux", "arm64")
MULTIARCH = ARM64.multiarch
PYTHON = suite_python("3.13", MULTIARCH)


def package(store: Store, name: str, files: dict[str, bytes | str]) -> DebSource:
    deb = make_deb(name, "1", files)
    store.add(deb)
    return DebSource(DebianPackage(name, "1", "amd64", "pool/x.deb", sha256_of(deb), len(deb)), store)


def test_has_the_tools_under_their_plain_names_and_is_shared(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    core = [package(store, "gcc", {f"usr/bin/{MULTIARCH}-gcc": b"compiler", "usr/bin/dash": b"shell", "usr/bin/python3.13": b"python"})]
    added = [package(store, "libx-dev", {"usr/include/x.h": b"int x;", "usr/bin/x-config": b"#!/bin/sh"})]
    plain = unpack_builder(core, (), ARM64, PYTHON, store)
    more = unpack_builder(core, added, ARM64, PYTHON, store)
    programs = more.path / "usr" / "bin"
    assert {name: (programs / name).read_bytes() for name in ("gcc", "cc", "sh")} == {
        "gcc": b"compiler",
        "cc": b"compiler",
        "sh": b"shell",
    }
    assert (programs / "python3").readlink() == Path("/usr/bin/python3.13")
    assert (more.path / "usr/include/x.h").read_bytes() == b"int x;"
    assert not (plain.path / "usr/include").exists()
    assert (programs / "dash").samefile(plain.path / "usr" / "bin" / "dash"), "nothing is unpacked twice"
    assert unpack_builder(core, (), ARM64, PYTHON, store).path == plain.path


def test_a_package_that_replaces_a_file_does_not_change_the_shared_root(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    core = [package(store, "a", {"usr/bin/tool": b"old"})]
    plain = unpack_builder(core, (), ARM64, PYTHON, store)
    more = unpack_builder(core, [package(store, "b", {"usr/bin/tool": b"new"})], ARM64, PYTHON, store)
    assert ((plain.path / "usr/bin/tool").read_bytes(), (more.path / "usr/bin/tool").read_bytes()) == (b"old", b"new")


def test_plain_names_stay_the_targets_where_this_machine_has_compilers_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    core = [package(store, "cross", {f"usr/bin/{MULTIARCH}-{name}": f"target's {name}".encode() for name in ("gcc", "ld")})]
    own = [package(store, "rust", {f"usr/bin/{name}": f"own {name}".encode() for name in ("gcc", "ld")})]
    programs = unpack_builder(core, own, ARM64, PYTHON, store).path / "usr" / "bin"
    assert (programs / "gcc").read_bytes() == b"target's gcc"
    assert (programs / "ld").read_bytes() == b"own ld", "the compiler for this machine starts its linker by this name"
