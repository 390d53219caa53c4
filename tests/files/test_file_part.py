"""Parts of files that are read when they are sliced."""

import io
from pathlib import Path
from typing import BinaryIO, cast

from hypothesis import given
from hypothesis import strategies as st

from shipwheel.files.file_part import ChunkReader, FilePart, OpenFile

DATA = bytes(range(256)) * 5


def test_a_part_has_the_length_and_slices_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    part, expected = FilePart(OpenFile(tmp_path / "file"), 100, 900), DATA[100:1000]
    assert len(part) == 900
    assert bytes(part) == expected
    for cut in (slice(None), slice(5, 10), slice(-3, None), slice(880, 2000), slice(7, 3)):
        assert part[cut] == expected[cut], cut


def test_a_part_beyond_the_end_has_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    assert FilePart(OpenFile(tmp_path / "file"), 1200, 900)[:] == DATA[1200:]


def test_a_part_outlives_the_name_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    part = FilePart(OpenFile(tmp_path / "file"), 0, len(DATA))
    (tmp_path / "file").unlink()
    assert part[:] == DATA


@given(st.lists(st.binary(max_size=9), max_size=9), st.integers(1, 12))
def test_chunks_are_one_stream(chunks: list[bytes], size: int) -> None:
    stream = io.BufferedReader(cast(io.RawIOBase, ChunkReader(iter(chunks))), 4)
    assert b"".join(iter(lambda: cast(BinaryIO, stream).read(size), b"")) == b"".join(chunks)
