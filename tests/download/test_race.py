"""The file in which a download's bytes come together."""

import io
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.download.race import Partial, Request, _Stopped
from shipwheel.download.transfer import Passing
from shipwheel.errors import IntegrityError

DATA = bytes(range(256)) * 4


def request(url: str, partial: Partial, at: int) -> Request:
    return Request(url, partial, 0.0, at)


@given(
    before=st.integers(0, 1024),
    turns=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans(), st.integers(1, 300)), max_size=40),
)
def test_whoever_brings_it_in_whatever_pieces(before: int, turns: list[tuple[str, bool, int]]) -> None:
    stream = io.BytesIO(DATA[:before])
    partial = Partial(stream, len(DATA))
    running: dict[str, Request] = {}
    for url, from_the_start, size in turns:
        # A server without ranges begins at the start, another one where the file is.
        it = running.setdefault(url, request(url, partial, 0 if from_the_start else partial.have))
        partial.put(it, DATA[it.at : it.at + size], "f")
    assert stream.getvalue() == DATA[: partial.have]
    assert partial.have == max([before, *(it.at for it in running.values())])
    assert {giver for giver in partial.givers if giver} <= set(running)


def test_more_than_there_can_be() -> None:
    stream = io.BytesIO()
    partial = Partial(stream, 10)
    liar, other = request("http://a/f", partial, 0), request("http://b/f", partial, 0)
    partial.put(other, b"12345", "f")
    with pytest.raises(IntegrityError, match="more than 10 bytes"):
        partial.put(liar, b"x" * 11, "f")
    assert (stream.getvalue(), partial.have, partial.givers) == (b"", 0, [])
    with pytest.raises(Passing, match="gone") as caught:
        partial.put(other, b"67890", "f")
    assert not caught.value.what, "nobody is to blame"
    partial.put(request("http://c/f", partial, 0), b"1234567890", "f")
    assert stream.getvalue() == b"1234567890"


def test_a_new_beginning_begins_at_the_start(tmp_path: Path) -> None:
    with TemporaryFile(dir=tmp_path) as stream:
        partial = Partial(stream, None)
        partial.put(request("a", partial, 0), b"12345", "f")
        partial.restart()
        partial.put(request("b", partial, 0), b"678", "f")
        stream.seek(0)
        assert stream.read() == b"678"


def test_a_request_that_was_dropped_changes_nothing() -> None:
    stream = io.BytesIO()
    partial = Partial(stream, 10)
    dropped = request("a", partial, 0)
    partial.put(dropped, b"12345", "f")
    partial.drop(dropped)
    with pytest.raises(_Stopped):
        partial.restart(dropped)
    with pytest.raises(_Stopped):
        partial.put(dropped, b"678901", "f")
    assert stream.getvalue() == b"12345"


def test_what_is_there_from_before_and_too_long() -> None:
    stream = io.BytesIO(b"x" * 11)
    assert (Partial(stream, 10).have, stream.getvalue()) == (0, b"")
