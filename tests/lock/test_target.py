"""Targets: markers and tags are the target's, whatever the host is."""

import platform
import sys
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging import tags as packaging_tags
from packaging.markers import Marker, default_environment

from shipwheel.lock.target import Target
from shipwheel.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def test_every_variable_is_given() -> None:
    assert set(default_environment()) <= set(Target(AMD64, "3.11.2", (2, 36)).markers())


@pytest.mark.parametrize(("target", "machine"), [(AMD64, "x86_64"), (ARM64, "aarch64")])
def test_markers_are_the_targets(target: Platform, machine: str) -> None:
    markers = Target(target, "3.9.2", (2, 31)).markers()
    text = (
        f"platform_machine == '{machine}' and python_version == '3.9' and python_full_version == '3.9.2' and sys_platform == 'linux' "
        "and os_name == 'posix' and platform_system == 'Linux' and implementation_name == 'cpython' and implementation_version == '3.9.2'"
    )
    assert Marker(text).evaluate(dict(markers))
    assert not Marker("extra == 'x'").evaluate(dict(markers))


def test_tags_are_packagings_own_for_the_same_glibc() -> None:
    libc = platform.libc_ver()
    if sys.platform != "linux" or libc[0] != "glibc" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("the comparison needs a glibc host")
    major, minor = libc[1].split(".")[:2]
    here = Target(Platform.parse(platform.machine()), platform.python_version(), (int(major), int(minor)))
    theirs = list(packaging_tags.sys_tags())
    assert set(here.tags()) == set(theirs)

    # linux_<machine> says nothing of the libc it needs: ours comes after all that do, whatever packaging's place for it is.
    def said(tags: Iterable[packaging_tags.Tag]) -> list[packaging_tags.Tag]:
        return [tag for tag in tags if not tag.platform.startswith("linux_")]

    assert said(here.tags()) == said(theirs)


def test_a_host_with_another_glibc_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Target(ARM64, "3.13.5", (2, 41)).tags()
    monkeypatch.setattr(packaging_tags, "platform_tags", lambda: iter(["win_amd64"]))
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    # Another libc, so that nothing comes out of the cache.
    after = Target(ARM64, "3.13.5", (2, 40)).tags()
    assert [tag for tag in before if "2_41" not in tag.platform] == list(after)


@settings(deadline=None, max_examples=25)
@given(st.integers(17, 60), st.sampled_from([AMD64, ARM64]), st.integers(8, 15))
def test_a_newer_glibc_takes_what_an_older_one_takes(glibc: int, where: Platform, minor: int) -> None:
    older = Target(where, f"3.{minor}.0", (2, glibc)).tags()
    newer = Target(where, f"3.{minor}.0", (2, glibc + 1)).tags()
    assert set(older) < set(newer)
    assert len(set(newer)) == len(newer)
    assert not any(f"manylinux_2_{glibc + 1}_" in tag.platform for tag in older)
    assert {tag.platform.rsplit("_", 2)[-1] for tag in older if tag.platform != "any"} == {where.machine.rsplit("_", 1)[-1]}
    assert [tag for tag in newer if tag in set(older)] == list(older)


def test_legacy_aliases() -> None:
    names = {tag.platform for tag in Target(AMD64, "3.11.2", (2, 36)).tags()}
    assert {"manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64", "any"} <= names
    assert {"manylinux1_aarch64", "manylinux2010_aarch64"}.isdisjoint(tag.platform for tag in Target(ARM64, "3.11.2", (2, 36)).tags())


def test_text() -> None:
    assert str(Target(AMD64, "3.11.2", (2, 36))) == "linux/amd64, Python 3.11.2, glibc 2.36"


def test_a_musl_target_takes_musl_wheels_alone() -> None:
    """PEP 656: those of its own version and older ones of the same major version."""
    target = Target(Platform("linux", "arm64"), "3.12.4", (1, 2), musl=True)
    platforms = list(dict.fromkeys(tag.platform for tag in target.tags() if tag.platform != "any"))
    assert platforms == ["musllinux_1_2_aarch64", "musllinux_1_1_aarch64", "musllinux_1_0_aarch64", "linux_aarch64"]
    assert str(target) == "linux/arm64, Python 3.12.4, musl 1.2"
