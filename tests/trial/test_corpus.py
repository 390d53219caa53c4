"""Applications of tests/corpus in bubblewrap; `make corpus` runs them all."""

import pytest
from corpus_runner import CORPUS, expectations, try_app
from support.command import TEST_CACHE
from support.programs import needs

EXPECTED = expectations()


def test_every_application_has_an_expectation() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} == set(EXPECTED)


@pytest.mark.parametrize("name", [name for name, row in EXPECTED.items() if row.after not in ("serves", "runs", "ends")])
def test_what_does_not_work_in_the_end_has_a_reason(name: str) -> None:
    assert EXPECTED[name].reason
    assert EXPECTED[name].says


@pytest.mark.online
@needs("bwrap")
@pytest.mark.parametrize("name", ["writes-path-made-at-run-time", "setup-imports-dependency", "no-requirements"])
def test_an_application_does_what_is_expected(name: str) -> None:
    result = try_app(name, ("--engine", "bwrap"), TEST_CACHE)
    assert result.differences(EXPECTED[name]) == [], result.output
