"""Options of `shipwheel run` that are neither ports nor mounts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.engine.run_options import parse_engine_options, parse_memory
from shipwheel.errors import UsageError


@pytest.mark.parametrize(
    ("text", "amount"),
    [("512m", 512 << 20), ("2g", 2 << 30), ("1.5GiB", 3 << 29), ("1 kb", 1024), ("4096", 4096), ("10B", 10), ("1T", 1 << 40)],
)
def test_parses_an_amount_of_memory(text: str, amount: int) -> None:
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["", "0", "m", "-1g", "1e3", "1g --privileged", "٣m", "0.1b"])
def test_rejects_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(UsageError, match="not an amount of memory"):
        parse_memory(text)


def test_splits_options_for_the_engine() -> None:
    assert parse_engine_options(["--gpus=all", "--shm-size 1g", "--label 'a b'"]) == ("--gpus=all", "--shm-size", "1g", "--label", "a b")


@pytest.mark.parametrize("text", ["", "busybox", "--", "-- busybox", "'", "=--x"])
def test_rejects_what_would_not_be_an_option(text: str) -> None:
    with pytest.raises(UsageError, match="not an option"):
        parse_engine_options([text])


@given(st.text(max_size=30))
def test_an_option_comes_first_or_is_refused(text: str) -> None:
    try:
        words = parse_engine_options([text])
    except UsageError:
        return
    assert words[0].startswith("-")
