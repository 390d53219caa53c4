"""Targets: markers and tags depend on the target alone, and never on the host."""

import platform
import sys
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging import tags as packaging_tags
from packaging.markers import Marker, default_environment
from support.programs import skip_unless_complete

from shipwheel.locking.target import Target, python_tags
from shipwheel.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def test_markers_have_every_variable() -> None:
    assert set(default_environment()) <= set(Target(AMD64, "3.11.2", (2, 36)).markers())


@pytest.mark.parametrize(("target", "machine"), [(AMD64, "x86_64"), (ARM64, "aarch64")])
def test_markers_describe_the_target(target: Platform, machine: str) -> None:
    markers = Target(target, "3.9.2", (2, 31)).markers()
    text = (
        f"platform_machine == '{machine}' and python_version == '3.9' and python_full_version == '3.9.2' and sys_platform == 'linux' "
        "and os_name == 'posix' and platform_system == 'Linux' and implementation_name == 'cpython' and implementation_version == '3.9.2'"
    )
    assert Marker(text).evaluate(dict(markers))
    assert not Marker("extra == 'x'").evaluate(dict(markers))


def test_python_3_7_is_offered_wheels_with_the_abi_cp37m() -> None:
    # Until 3.7, the suffix stood for pymalloc, with which every release was built: no wheel has the ABI cp37.
    tags = {str(tag) for tag in Target(AMD64, "3.7.17", (2, 28)).tags()}
    assert "cp37-cp37m-manylinux_2_17_x86_64" in tags and "cp36-abi3-manylinux_2_17_x86_64" in tags
    assert not [tag for tag in tags if "-cp37-" in tag]
    assert "cp38-cp38-manylinux_2_17_x86_64" in {str(tag) for tag in Target(AMD64, "3.8.20", (2, 28)).tags()}
    assert ("cp37", "cp37m") in python_tags("3.7") and ("cp37", "cp37") not in python_tags("3.7")


def test_tags_equal_those_of_packaging_on_a_host_with_the_same_glibc() -> None:
    libc = platform.libc_ver()
    if sys.platform != "linux" or libc[0] != "glibc" or platform.machine() not in ("x86_64", "aarch64"):
        skip_unless_complete("the comparison needs a glibc host")
    major, minor = libc[1].split(".")[:2]
    here = Target(Platform.parse(platform.machine()), platform.python_version(), (int(major), int(minor)))
    theirs = list(packaging_tags.sys_tags())
    assert set(here.tags()) == set(theirs)

    # linux_<machine> names no libc: we rank it after all tags that do, and packaging may not.
    def with_libc(tags: Iterable[packaging_tags.Tag]) -> list[packaging_tags.Tag]:
        return [tag for tag in tags if not tag.platform.startswith("linux_")]

    assert with_libc(here.tags()) == with_libc(theirs)


@pytest.mark.parametrize("version", [(3, minor) for minor in range(6, 15)])
def test_native_tags_are_those_that_packaging_gives_a_release_build(version: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging_tags, "_get_config_var", lambda _name, _warn=False: None)
    monkeypatch.delattr(sys, "gettotalrefcount", raising=False)
    minor = f"3.{version[1]}"
    mine = Target(AMD64, f"{minor}.9", (2, 28)).tags()
    platforms = [name for name in dict.fromkeys(tag.platform for tag in mine) if name != "any"]
    theirs = list(packaging_tags.cpython_tags(version, platforms=platforms))
    assert list(mine[: len(theirs)]) == theirs
    assert {(tag.interpreter, tag.abi) for tag in theirs} <= python_tags(minor)


def test_tags_do_not_depend_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Target(ARM64, "3.13.5", (2, 41)).tags()
    monkeypatch.setattr(packaging_tags, "platform_tags", lambda: iter(["win_amd64"]))
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    # A target with another libc, because tags are cached.
    after = Target(ARM64, "3.13.5", (2, 40)).tags()
    assert [tag for tag in before if "2_41" not in tag.platform] == list(after)


@settings(deadline=None, max_examples=25)
@given(st.integers(17, 60), st.sampled_from([AMD64, ARM64]), st.integers(8, 15))
def test_a_newer_glibc_accepts_all_wheels_of_an_older_one(glibc: int, where: Platform, minor: int) -> None:
    older = Target(where, f"3.{minor}.0", (2, glibc)).tags()
    newer = Target(where, f"3.{minor}.0", (2, glibc + 1)).tags()
    assert set(older) < set(newer)
    assert len(set(newer)) == len(newer)
    assert not any(f"manylinux_2_{glibc + 1}_" in tag.platform for tag in older)
    assert {tag.platform.rsplit("_", 2)[-1] for tag in older if tag.platform != "any"} == {where.machine.rsplit("_", 1)[-1]}
    assert [tag for tag in newer if tag in set(older)] == list(older)


def test_tags_include_the_legacy_aliases() -> None:
    names = {tag.platform for tag in Target(AMD64, "3.11.2", (2, 36)).tags()}
    assert {"manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64", "any"} <= names
    assert {"manylinux1_aarch64", "manylinux2010_aarch64"}.isdisjoint(tag.platform for tag in Target(ARM64, "3.11.2", (2, 36)).tags())


def test_prints_platform_python_and_libc() -> None:
    assert str(Target(AMD64, "3.11.2", (2, 36))) == "linux/amd64, Python 3.11.2, glibc 2.36"


def test_a_musl_target_accepts_only_musl_wheels() -> None:
    """Those for its own version and for older ones of the same major version (PEP 656)."""
    target = Target(Platform("linux", "arm64"), "3.12.4", (1, 2), musl=True)
    platforms = list(dict.fromkeys(tag.platform for tag in target.tags() if tag.platform != "any"))
    assert platforms == ["musllinux_1_2_aarch64", "musllinux_1_1_aarch64", "musllinux_1_0_aarch64", "linux_aarch64"]
    assert str(target) == "linux/arm64, Python 3.12.4, musl 1.2"
