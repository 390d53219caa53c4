"""A partial file that several attempts complete together."""

import io
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.download.attempt import Attempt, CancelledError, PartialFile
from shipwheel.download.http import TransientError
from shipwheel.errors import IntegrityError

DATA = bytes(range(256)) * 4


def attempt(url: str, file: PartialFile, position: int) -> Attempt:
    return Attempt(url, file, 0.0, position)


@given(
    before=st.integers(0, 1024),
    writes=st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans(), st.integers(1, 300)), max_size=40),
)
def test_bytes_are_right_whoever_sends_them_in_whatever_chunks(before: int, writes: list[tuple[str, bool, int]]) -> None:
    stream = io.BytesIO(DATA[:before])
    file = PartialFile(stream, len(DATA))
    running: dict[str, Attempt] = {}
    for url, from_start, size in writes:
        # A server without ranges starts at the beginning, another one where the file ends.
        it = running.setdefault(url, attempt(url, file, 0 if from_start else file.length))
        file.write(it, DATA[it.position : it.position + size], "f")
    assert stream.getvalue() == DATA[: file.length]
    assert file.length == max([before, *(it.position for it in running.values())])
    assert {url for url in file.contributors if url} <= set(running)


def test_rejects_more_bytes_than_the_size() -> None:
    stream = io.BytesIO()
    file = PartialFile(stream, 10)
    corrupt, other = attempt("http://a/f", file, 0), attempt("http://b/f", file, 0)
    file.write(other, b"12345", "f")
    with pytest.raises(IntegrityError, match="more than 10 bytes"):
        file.write(corrupt, b"x" * 11, "f")
    assert (stream.getvalue(), file.length, file.contributors) == (b"", 0, [])
    with pytest.raises(TransientError, match="restarted") as caught:
        file.write(other, b"67890", "f")
    assert not caught.value.summary, "not that server's fault"
    file.write(attempt("http://c/f", file, 0), b"1234567890", "f")
    assert stream.getvalue() == b"1234567890"


def test_restart_discards_all_bytes(tmp_path: Path) -> None:
    with TemporaryFile(dir=tmp_path) as stream:
        file = PartialFile(stream, None)
        file.write(attempt("a", file, 0), b"12345", "f")
        file.restart()
        file.write(attempt("b", file, 0), b"678", "f")
        stream.seek(0)
        assert stream.read() == b"678"


def test_a_cancelled_attempt_changes_nothing() -> None:
    stream = io.BytesIO()
    file = PartialFile(stream, 10)
    cancelled = attempt("a", file, 0)
    file.write(cancelled, b"12345", "f")
    file.cancel(cancelled)
    with pytest.raises(CancelledError):
        file.restart(cancelled)
    with pytest.raises(CancelledError):
        file.write(cancelled, b"678901", "f")
    assert stream.getvalue() == b"12345"


def test_discards_an_earlier_file_that_is_too_long() -> None:
    stream = io.BytesIO(b"x" * 11)
    assert (PartialFile(stream, 10).length, stream.getvalue()) == (0, b"")
