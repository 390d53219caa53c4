"""Names that a person may have meant."""

import pytest

from shipwheel.similar import did_you_mean, similar_names


@pytest.mark.parametrize(
    ("name", "known", "similar"),
    [
        ("fastpai", ["fastapi", "flask"], ("fastapi",)),
        ("Scikit_Lern", ["scikit-learn"], ("scikit-learn",)),
        ("xyz", ["fastapi"], ()),
        ("a", [], ()),
    ],
)
def test_finds_names_that_differ_little(name: str, known: list[str], similar: tuple[str, ...]) -> None:
    assert similar_names(name, known) == similar


def test_asks_only_if_there_is_something_to_ask() -> None:
    assert did_you_mean("srever", ["server", "servers"]) == "Did you mean server or servers? "
    assert did_you_mean("buidl", ["build", "bundle", "unbundle"]) == "Did you mean build, bundle or unbundle? "
    assert did_you_mean("xyz", ["server"]) == ""
