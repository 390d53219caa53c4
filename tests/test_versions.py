"""Version specifiers that need no parser of all versions, and the names in requirements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from shipwheel.versions import requirement_name, satisfies_plainly

RELEASES = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
CLAUSES = st.tuples(st.sampled_from(["<=", ">=", "==", "!=", "~=", "<", ">", "==="]), RELEASES, st.sampled_from(["", ".*", "rc1", " "]))
SPECIFIERS = st.lists(CLAUSES.map("".join), max_size=3).map(", ".join)


@given(RELEASES, SPECIFIERS)
def test_says_what_packaging_says(version: str, specifier: str) -> None:
    found = satisfies_plainly(version, specifier)
    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier:
        assert found is None
        return
    assert found in (None, wanted.contains(version, prereleases=True))


@pytest.mark.parametrize(
    ("version", "specifier", "holds"),
    [
        ("3.13.5", ">=3.11", True),
        ("3.13.5", ">=3.11,<3.13", False),
        ("3.13.5", "~=3.11", True),
        ("3.13.5", "~=3.11.2", False),
        ("3.13.5", "== 3.13.*", True),
        ("3.13.5", "!=3.13.*, >=3", False),
        ("3.13", "==3.13.0", True),
        ("3.13.5", "", True),
        ("3.13.5", ">=3.11rc1", None),
        ("3.13.5", "^3.11", None),
        ("3.13.5", "~=3", None),
        ("3.13.5", ">=3.11.*", None),
        ("3.13.5", "===3.13.5", None),
        ("3.14.0rc1", ">=3.11", None),
    ],
)
def test_reads_releases_alone(version: str, specifier: str, holds: bool | None) -> None:
    assert satisfies_plainly(version, specifier) is holds


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Flask_Login==0.6", "flask-login"),
        (" ruamel.yaml[jinja2] >= 0.18 ; python_version < '4'", "ruamel-yaml"),
        ("shop @ git+https://x.invalid/shop", "shop"),
        ("six~=1.0", "six"),
        ("pip-tools.", "pip-tools"),
        ("-r base.txt", ""),
        ("./local", ""),
        ("_private", ""),
        ("", ""),
    ],
)
def test_knows_the_name_that_a_requirement_begins_with(text: str, name: str) -> None:
    assert requirement_name(text) == name
