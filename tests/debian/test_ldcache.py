"""The loader's cache, read with the real ldconfig."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.digests import ANY
from support.programs import COMPLETE

from shipwheel.debian.ldcache import cached_libraries, ld_cache
from shipwheel.files.elf import ElfObject
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
LDCONFIG = shutil.which("ldconfig", path="/usr/sbin:/sbin")


def _read(cache: bytes, folder: Path) -> list[tuple[str, str, str]]:
    assert LDCONFIG is not None
    (folder / "cache").write_bytes(cache)
    ran = subprocess.run([LDCONFIG, "-p", "-C", str(folder / "cache")], capture_output=True, text=True, check=True, env={"LC_ALL": "C"})
    lines = [line.split() for line in ran.stdout.splitlines()[1:] if "=>" in line]
    return [(name, kind.strip("()"), path) for name, kind, _, path in lines]


@pytest.mark.skipif(LDCONFIG is None and not COMPLETE, reason="needs ldconfig")
@pytest.mark.parametrize(("platform", "kind"), [(AMD64, "libc6,x86-64"), (ARM64, "libc6,AArch64")])
def test_ldconfig_reads_the_cache(tmp_path: Path, platform: Platform, kind: str) -> None:
    names = ["libc.so.6", "libz.so.1", "libssl.so.1.1", "libssl.so.3", "ld-linux-x86-64.so.2", "libfoo.so.10", "libfoo.so.9"]
    rows = {name: f"/usr/lib/{platform.multiarch}/{name}" for name in names}
    found = _read(ld_cache(rows.items(), platform), tmp_path)
    assert sorted(found) == sorted((name, kind, path) for name, path in rows.items())


@pytest.mark.skipif(LDCONFIG is None and not COMPLETE, reason="needs ldconfig")
def test_ldconfig_reads_an_empty_cache(tmp_path: Path) -> None:
    assert _read(ld_cache({}.items(), AMD64), tmp_path) == []


def test_sorts_as_the_loader_expects() -> None:
    # In descending order, where a digit is greater than any letter and runs of digits are numbers.
    expected = ["lib1.so", "libaa.so", "liba.so.10", "liba.so.9", "liba.so"]
    cache = ld_cache([(name, f"/usr/lib/{name}") for name in reversed(expected)], AMD64)
    assert cache.endswith(b"".join(f"/usr/lib/{name}\0".encode() for name in expected))


@given(st.sets(st.from_regex(r"lib[a-z0-9+_-]{0,6}\.so(\.[0-9]{1,3}){0,3}", fullmatch=True), max_size=12))
@settings(max_examples=30, deadline=None)
def test_offsets_point_to_the_strings(names: set[str]) -> None:
    cache = ld_cache([(name, f"/usr/lib/{name}") for name in names], AMD64)
    found = set()
    for start in range(48, 48 + 24 * len(names), 24):
        key, value = (int.from_bytes(cache[start + at : start + at + 4], "little") for at in (4, 8))
        name, path = (cache[at : cache.index(b"\0", at)].decode() for at in (key, value))
        assert path == f"/usr/lib/{name}"
        found.add(name)
    assert found == names


def _segment(files: list[str], links: dict[str, str], elf: list[ElfObject]) -> Segment:
    return Segment("k", "l", ANY, 0, 0, dict.fromkeys(files, 0), links, {}, tuple(elf))


def test_lists_libraries_of_loader_directories() -> None:
    root = "usr/lib/x86_64-linux-gnu"
    elf = [
        ElfObject(f"{root}/libz.so.1.2.13", "EM_X86_64", "libz.so.1"),
        ElfObject(f"{root}/perl/auto/x.so", "EM_X86_64", "x.so"),
        ElfObject(f"{root}/dri/libdri.so.1", "EM_X86_64", "libdri.so.1"),
        ElfObject("usr/lib/liba.so.1", "EM_AARCH64", "liba.so.1"),
        ElfObject("usr/lib/libb.so.1", "EM_X86_64", "libb.so.1"),
    ]
    segment = _segment([item.path for item in elf], {f"{root}/libz.so.1": "libz.so.1.2.13", f"{root}/libz.so": "libz.so.1"}, elf)
    assert cached_libraries([segment], AMD64) == {"libz.so.1": f"/{root}/libz.so.1", "libb.so.1": "/usr/lib/libb.so.1"}
