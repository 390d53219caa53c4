"""Debian version numbers, compared with the real dpkg where there is one."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import needs

from shipwheel.debian.version import upstream, version_key

ORDERED = (
    "0~~",
    "0~",
    "0",
    "0+b1",
    "1.0~rc1-1",
    "1.0-1",
    "1.0-1+deb12u1",
    "1.0-1.1",
    "1.0-9",
    "1.0-10",
    "1.0a-1",
    "1.0+dfsg-1",
    "1.0.1-1",
    "1:0.1-1",
    "2:0",
)

_CHARACTERS = "01239aZ.+~"
_UPSTREAM = st.text(_CHARACTERS + "-", max_size=8).map(lambda text: f"1{text}".rstrip("-"))
_VERSIONS = st.builds(
    lambda epoch, body, revision: f"{epoch}{body}{revision}",
    st.sampled_from(["", "0:", "1:", "10:"]),
    _UPSTREAM,
    st.one_of(st.just(""), st.text(_CHARACTERS, min_size=1, max_size=5).map(lambda text: f"-{text}")),
)


def test_sorts_versions() -> None:
    assert sorted(set(ORDERED), key=version_key) == list(ORDERED)


@pytest.mark.parametrize("same", [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.0", "1.00"), ("1.", "1.0")])
def test_different_spellings_are_equal(same: tuple[str, str]) -> None:
    assert version_key(same[0]) == version_key(same[1])


@pytest.mark.parametrize(
    ("version", "expected"), [("3.11.2-6+deb12u6", "3.11.2"), ("1:1.2.13.dfsg-1", "1.2.13.dfsg"), ("2.36", "2.36"), ("1-2-3", "1-2")]
)
def test_extracts_the_upstream_version(version: str, expected: str) -> None:
    assert upstream(version) == expected


@needs("dpkg")
@given(_VERSIONS, _VERSIONS)
@settings(max_examples=50, deadline=None)
def test_agrees_with_dpkg(left: str, right: str) -> None:
    ours = (version_key(left) > version_key(right)) - (version_key(left) < version_key(right))
    operator = {-1: "lt", 0: "eq", 1: "gt"}[ours]
    assert subprocess.run(["dpkg", "--compare-versions", left, operator, right], check=False).returncode == 0
