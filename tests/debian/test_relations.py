"""Relationship fields."""

import pytest

from shipwheel.debian.relations import Relation, parse_relations


def test_parses_versions_and_drops_qualifiers() -> None:
    found = parse_relations("libc6 (>= 2.36) [linux-any] <!nocheck>, python3:any (<<3.14) | python3-small,, x")
    assert found == (
        (Relation("libc6", ">=", "2.36"),),
        (Relation("python3", "<<", "3.14"), Relation("python3-small")),
        (Relation("x"),),
    )


@pytest.mark.parametrize(
    ("operator", "older", "same", "newer"),
    [
        ("<<", True, False, False),
        ("<=", True, True, False),
        ("=", False, True, False),
        (">=", False, True, True),
        (">>", False, False, True),
    ],
)
def test_compares_versions(operator: str, older: bool, same: bool, newer: bool) -> None:
    wanted = Relation("x", operator, "1.0-2")
    assert [wanted.allows(version) for version in ("1.0~rc1-9", "1.0-2", "1:0.1")] == [older, same, newer]


def test_an_entry_of_provides_without_a_version_satisfies_only_what_asks_for_none() -> None:
    assert Relation("x").is_provided_by(Relation("x"))
    assert not Relation("x", ">=", "1").is_provided_by(Relation("x"))
    assert Relation("x", ">=", "1").is_provided_by(Relation("x", "=", "1.2"))
    assert not Relation("y").is_provided_by(Relation("x"))
