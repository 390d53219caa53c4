"""The file in which a download's bytes come together."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import IntegrityError
from shipwheel.gather import Partial, Source
from shipwheel.transfer import Passing

DATA = bytes(range(256)) * 4


def source(url: str, partial: Partial, at: int) -> Source:
    return Source(url, partial, 0.0, at)


@given(
    before=st.integers(0, 1024),
    turns=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans(), st.integers(1, 300)), max_size=40),
)
def test_whoever_brings_it_in_whatever_pieces(before: int, turns: list[tuple[str, bool, int]]) -> None:
    stream = io.BytesIO(DATA[:before])
    partial = Partial(stream, len(DATA))
    running: dict[str, Source] = {}
    for url, from_the_start, size in turns:
        # A server without ranges begins at the start, another one where the file is.
        it = running.setdefault(url, source(url, partial, 0 if from_the_start else partial.have))
        partial.put(it, DATA[it.at : it.at + size], "f")
    assert stream.getvalue() == DATA[: partial.have]
    assert partial.have == max([before, *(it.at for it in running.values())])
    assert {giver for giver in partial.givers if giver} <= set(running)


def test_more_than_there_can_be() -> None:
    stream = io.BytesIO()
    partial = Partial(stream, 10)
    liar, other = source("http://a/f", partial, 0), source("http://b/f", partial, 0)
    partial.put(other, b"12345", "f")
    with pytest.raises(IntegrityError, match="more than 10 bytes"):
        partial.put(liar, b"x" * 11, "f")
    assert (stream.getvalue(), partial.have, partial.givers) == (b"", 0, [])
    with pytest.raises(Passing, match="gone"):
        partial.put(other, b"67890", "f")


def test_what_is_there_from_before_and_too_long() -> None:
    stream = io.BytesIO(b"x" * 11)
    assert (Partial(stream, 10).have, stream.getvalue()) == (0, b"")
