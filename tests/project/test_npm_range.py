"""Ranges of npm: what its own documentation says of them (node-semver)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.project.npm_range import ANY, Version, allows, intervals, version_of


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("20", ["20.0.0", "20.19.4"], ["19.9.9", "21.0.0"]),
        ("v20.x", ["20.0.0"], ["21.0.0"]),
        ("20.11", ["20.11.5"], ["20.12.0"]),
        ("20.11.1", ["20.11.1"], ["20.11.2"]),
        ("=20.11.1", ["20.11.1"], ["20.11.0"]),
        (">=18", ["18.0.0", "99.0.0"], ["17.9.9"]),
        (">= 18.0.0", ["18.0.0"], ["17.9.9"]),
        (">18", ["19.0.0"], ["18.5.0"]),
        (">18.2.0", ["18.2.1"], ["18.2.0"]),
        ("<=18", ["18.20.0"], ["19.0.0"]),
        ("<=18.2.0", ["18.2.0"], ["18.2.1"]),
        (">=14 <21", ["14.0.0", "20.9.0"], ["21.0.0", "13.0.0"]),
        (">=14, <21", ["20.9.0"], ["21.0.0"]),
        ("14 - 20", ["14.0.0", "20.9.0"], ["21.0.0"]),
        ("1.2.3 - 2.3.4", ["2.3.4"], ["2.3.5", "1.2.2"]),
        ("^20.19.0 || >=22.12.0", ["20.19.0", "22.12.0", "24.0.0"], ["20.18.0", "22.11.0", "21.0.0"]),
        ("^18||^20", ["18.1.0", "20.1.0"], ["19.0.0"]),
        ("^0.10.3", ["0.10.9"], ["0.11.0"]),
        ("^0", ["0.9.0"], ["1.0.0"]),
        ("~20.11.3", ["20.11.9"], ["20.12.0", "20.11.2"]),
        ("~> 20", ["20.12.0"], ["21.0.0"]),
        ("", ["0.0.1", "99.0.0"], []),
        ("*", ["99.0.0"], []),
        ("x", ["99.0.0"], []),
        (">=20.0.0-rc.1", ["20.0.0"], ["19.0.0"]),
        ("lts/*", ["1.0.0", "99.0.0"], []),
    ],
)
def test_a_range_has_what_npm_says(text: str, inside: list[str], outside: list[str]) -> None:
    assert [each for each in inside if not allows(text, as_version(each))] == []
    assert [each for each in outside if allows(text, as_version(each))] == []


def as_version(text: str) -> Version:
    found = version_of(text)
    assert found is not None
    return found


def test_the_highest_alternative_comes_first() -> None:
    assert intervals("^18 || >=22.12.0 || ^20.19.0") == (((22, 12, 0), ANY[1]), ((20, 19, 0), (21, 0, 0)), ((18, 0, 0), (19, 0, 0)))
    assert intervals(">=20 <18") == ()


@pytest.mark.parametrize("text", ["latest", "lts/*", ">=18 and <20", "20 !!", "||x|", "node 20"])
def test_what_is_no_range_has_no_intervals(text: str) -> None:
    assert intervals(text) is None


@given(st.text(alphabet="0123456789.^~<>=|x* -v", max_size=40))
def test_any_text_gets_an_answer(text: str) -> None:
    found = intervals(text)
    assert found is None or all(low < high for low, high in found)


@pytest.mark.parametrize("text", ["20", "20.1", "20.1.x", "v20.1.0-rc.1", ""])
def test_only_three_numbers_are_a_version(text: str) -> None:
    assert version_of(text) is None
