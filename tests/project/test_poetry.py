"""Poetry's constraints as PEP 440 specifiers, compared with the bounds that Poetry documents."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from shipwheel.errors import LockError
from shipwheel.project.metadata import read_group
from shipwheel.project.poetry import poetry_pythons, poetry_requirements


def one(value: Any) -> str:
    (found,) = poetry_requirements({"dependencies": {"python": "^3.8", "p": value}}, Path("/r"), (), (), main=True)
    Requirement(found)
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("^1.2.3", "p>=1.2.3,<2"),
        ("^0.2.3", "p>=0.2.3,<0.3"),
        ("^0.0.3", "p>=0.0.3,<0.0.4"),
        ("^0", "p>=0,<1"),
        ("~1.2.3", "p>=1.2.3,<1.3"),
        ("~1", "p>=1,<2"),
        ("~=1.2", "p~=1.2"),
        ("1.2", "p==1.2"),
        ("1.2.*", "p==1.2.*"),
        (">=1, <2", "p>=1,<2"),
        (">=1 <2", "p>=1,<2"),
        ("^ 1.2", "p>=1.2,<2"),
        (">= 1.2, < 2", "p>=1.2,<2"),
        ("1.x", "p==1.*"),
        ("*", "p"),
        ({"version": "^1", "extras": ["x"], "markers": "os_name == 'nt'"}, "p[x]>=1,<2 ; (os_name == 'nt')"),
        ({"version": "*", "python": "<3.11", "platform": "linux"}, "p ; (python_version < '3.11') and (sys_platform == 'linux')"),
        ({"git": "https://x.invalid/r.git", "tag": "v1", "subdirectory": "s"}, "p @ git+https://x.invalid/r.git@v1#subdirectory=s"),
        ({"path": "../x-lib"}, "p @ file:///x-lib"),
        ({"url": "https://x.invalid/p.zip"}, "p @ https://x.invalid/p.zip"),
    ],
)
def test_translates_constraints(value: object, expected: str) -> None:
    assert one(value) == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [("^3.8", (">=3.8,<4",)), ("~3.10", (">=3.10,<3.11",)), (">=3.8,<3.12", (">=3.8,<3.12",)), (">=3.8 <3.12", (">=3.8,<3.12",)),
     ("*", ("",)), ("3.11.*", ("==3.11.*",)), ("3.11", ("==3.11",)), ("^3.9 || ~3.6", (">=3.9,<4", ">=3.6,<3.7")),
     (">=3.8,!=3.9.7", (">=3.8,!=3.9.7",)), (">= 3.8", (">=3.8",)), ("^ 3.8 | = 3.7", (">=3.8,<4", "==3.7")), ("3.x", ("==3.*",))],
)  # fmt: skip
def test_translates_constraints_on_python(written: str, meant: tuple[str, ...]) -> None:
    assert poetry_pythons(written) == meant


@pytest.mark.parametrize("value", ["^1 || ^2", "what ever", "^x", "~", "latest"])
def test_rejects_what_pep_440_cannot_express(value: str) -> None:
    with pytest.raises(LockError, match=r"pyproject\.toml"):
        one(value)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=3), st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_a_caret_fixes_the_first_number_that_is_not_zero(base: list[int], other: list[int]) -> None:
    allowed = SpecifierSet(one(f"^{'.'.join(map(str, base))}").removeprefix("p"))
    place = next((index for index, number in enumerate(base) if number), len(base) - 1)
    low = base + [0] * (3 - len(base))
    expected = other >= low and other[: place + 1] == low[: place + 1]
    assert (Version(".".join(map(str, other))) in allowed) is expected


def test_adds_chosen_extras_and_groups() -> None:
    table = {
        "dependencies": {"a": "*", "b": {"version": "*", "optional": True}},
        "extras": {"x": ["b"]},
        "group": {"g": {"dependencies": {"c": [{"version": "1", "python": "<3.9"}, {"version": "2", "python": ">=3.9"}]}}},
        "dev-dependencies": {"d": "*"},
    }
    assert poetry_requirements(table, Path(), (), (), main=True) == ["a"]
    assert poetry_requirements(table, Path(), ("x",), ("dev",), main=True) == ["a", "b", "d"]
    assert poetry_requirements(table, Path(), (), ("g",), main=False) == [
        "c==1 ; (python_version < '3.9')",
        "c==2 ; (python_version >= '3.9')",
    ]
    with pytest.raises(LockError, match="no Poetry group 'h'"):
        poetry_requirements(table, Path(), (), ("h",), main=True)


def test_the_groups_for_the_command_are_those_of_the_lock() -> None:
    table = {"group": {"g": {"dependencies": {"c": {"version": "1", "extras": ["x"]}}}}, "dev-dependencies": {"d": "*", "python": "*"}}
    groups = [read_group({"tool": {"poetry": table}}, name) for name in ("g", "dev", "h")]
    assert groups == [("c[x]",), ("d",), ()]
