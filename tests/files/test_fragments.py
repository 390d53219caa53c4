"""Fragments of a gzip member: made of any deflate data, joined in any order, read by every reader."""

import gzip
import io
import subprocess
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import ArchiveError
from shipwheel.files import deflate_blocks
from shipwheel.files.compress import GZIP_HEADER, Deflated, deflated
from shipwheel.files.deflate_blocks import LastBlock, inflate_blocks, inflate_blocks_slowly
from shipwheel.files.fragments import Spliced, end_of_member, fragment, inflate_fragments
from shipwheel.files.libdeflate import compress

CONTENTS = st.one_of(
    st.binary(max_size=3000),
    st.builds(lambda data, times: data * times, st.binary(max_size=30), st.integers(0, 5000)),
    st.builds(lambda seed, size: __import__("random").Random(seed).randbytes(size).hex().encode(), st.integers(), st.integers(0, 60_000)),
)
STRATEGIES = st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw content and its deflate data: of any level and strategy, with flushes in between, and with what may follow the last code."""
    data = draw(CONTENTS)
    engine = zlib.compressobj(draw(st.integers(0, 9)), zlib.DEFLATED, -zlib.MAX_WBITS, draw(st.integers(1, 9)), draw(STRATEGIES))
    cut = draw(st.integers(0, len(data)))
    flush = draw(st.sampled_from([zlib.Z_NO_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK]))
    raw = engine.compress(data[:cut]) + (engine.flush(flush) if flush else b"") + engine.compress(data[cut:]) + engine.flush()
    return data, raw


def content(data: bytes, raw: bytes) -> Deflated:
    return Deflated(raw, len(data), zlib.crc32(data))


def spliced(it: Deflated) -> bytes:
    made = Spliced(it, "pkg: a/b")
    assert zlib.crc32(b"".join(made)) == it.crc32
    return b"".join(made.parts())


def member_of(parts: list[bytes], fragments: list[bytes]) -> bytes:
    data = b"".join(parts)
    return GZIP_HEADER + b"".join(fragments) + end_of_member(zlib.crc32(data), len(data))


@given(st.lists(streams() | st.builds(lambda data: (data, b""), CONTENTS), max_size=5))
def test_joined_fragments_are_one_member(parts: list[tuple[bytes, bytes]]) -> None:
    whole = b"".join(data for data, _ in parts)
    fragments = [spliced(content(data, raw)) if raw else fragment(data) for data, raw in parts]
    joined = member_of([data for data, _ in parts], fragments)
    assert zlib.decompress(joined, 31) == whole, "in one call, which ends with the first member"
    with gzip.open(io.BytesIO(joined)) as stream:
        assert stream.read() == whole
    assert b"".join(inflate_fragments(fragments, len(whole))) == whole


def inflated(blocks: "Iterator[bytes]") -> tuple[bytes, LastBlock]:
    pieces = []
    while True:
        try:
            pieces.append(next(blocks))
        except StopIteration as found:
            return b"".join(pieces), found.value


@pytest.fixture(params=["zlib-ng", "zlib"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use each of the libraries in turn."""
    if request.param == "zlib":
        monkeypatch.setattr("zlib_ng.zlib_ng.__file__", "not-a-library.so")
    forget()
    yield
    forget()


def forget() -> None:
    deflate_blocks._inflate_functions.cache_clear()
    deflate_blocks._idle.clear()


@pytest.mark.usefixtures("library")
@given(streams())
def test_finds_the_last_block_with_and_without_a_library(stream: tuple[bytes, bytes]) -> None:
    data, raw = stream
    found = inflated(inflate_blocks(raw))
    assert found == inflated(inflate_blocks_slowly(raw))
    assert found[0] == data
    start, end = found[1].start, found[1].end
    assert raw[start // 8] >> start % 8 & 1, "the mark of the last block"
    assert 8 * len(raw) - 8 < end <= 8 * len(raw)


def test_a_machine_without_the_libraries_makes_the_same_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path("/bin/sh").resolve().read_bytes()
    it = deflated(data)
    expected = spliced(it), fragment(data), compress(data)
    monkeypatch.setattr("shipwheel.files.deflate_blocks._inflate_functions", lambda: None)
    monkeypatch.setattr("shipwheel.files.libdeflate._library", lambda: None)
    assert (spliced(it), fragment(data), compress(data)) == expected


def test_a_stream_that_is_not_read_to_its_end_disturbs_no_other() -> None:
    first, second = (deflated(bytes([number]) * 3_000_000) for number in (1, 2))
    one, two = iter(Spliced(first)), iter(Spliced(second))
    pieces = [next(one), next(two), next(one)]
    one.close()  # type: ignore[attr-defined]
    assert {piece[0] for piece in (pieces[0], pieces[2])} == {1} and {piece[0] for piece in (pieces[1], *two)} == {2}
    assert spliced(first)


def test_threads_do_not_disturb_each_other() -> None:
    contents = [bytes([number]) * (1000 * number) + b"end" for number in range(40)]
    expected = [(fragment(data), spliced(deflated(data))) for data in contents]
    forget()
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda data: (fragment(data), spliced(deflated(data))), contents)) == expected


def test_finds_a_library_that_another_thread_is_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import adds the module to its package last, after the module itself can be imported."""
    forget()
    monkeypatch.delattr("zlib_ng.zlib_ng")
    assert deflate_blocks._inflate_functions() is not None


def test_inflating_has_bounded_chunks() -> None:
    zeros = deflated(bytes(80 << 20))
    sizes = [len(piece) for piece in Spliced(zeros)]
    assert sum(sizes) == 80 << 20 and max(sizes) <= 4 << 20


@pytest.mark.parametrize("slow", [False, True], ids=["library", "slow"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda sound: Deflated(sound.raw, sound.size, sound.crc32 ^ 1),
        lambda sound: Deflated(sound.raw, sound.size + 1, sound.crc32),
        lambda sound: Deflated(sound.raw, sound.size - 1, sound.crc32),
        lambda sound: Deflated(sound.raw[:-1], sound.size, sound.crc32),
        lambda sound: Deflated(bytes(sound.raw) + b"!", sound.size, sound.crc32),
        lambda sound: Deflated(bytes(sound.raw) + bytes(sound.raw), sound.size, sound.crc32),
        lambda sound: Deflated(b"", sound.size, sound.crc32),
        lambda sound: Deflated(b"\xff" * 500, sound.size, sound.crc32),
        lambda sound: Deflated(deflated(bytes(1 << 20)).raw, sound.size, sound.crc32),
    ],
)
def test_rejects_damaged_data(damage: Callable[[Deflated], Deflated], slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else would damage the whole layer."""
    if slow:
        monkeypatch.setattr("shipwheel.files.deflate_blocks._inflate_functions", lambda: None)
    sound = deflated(b"some text " * 900)
    with pytest.raises(ArchiveError, match="pkg: a/b"):
        spliced(damage(sound))


@given(st.binary(max_size=400))
def test_any_bytes_are_rejected_or_become_a_fragment(raw: bytes) -> None:
    try:
        data, _ = inflated(inflate_blocks(raw))
    except zlib.error:
        return
    assert inflated(inflate_blocks_slowly(raw))[0] == data
    assert zlib.decompress(member_of([data], [spliced(content(data, raw))]), 31) == data


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data + fragment(b"x"), lambda data: b"", lambda data: b"\xff" * 50]
)
def test_rejects_damaged_fragments(damage: Callable[[bytes], bytes]) -> None:
    data = b"".join(bytes([number]) * 5000 for number in range(9))
    with pytest.raises(ArchiveError):
        b"".join(inflate_fragments([damage(fragment(data))], len(data)))


def test_rejects_the_end_of_a_member_among_fragments() -> None:
    """Readers would stop there."""
    whole = deflated(b"one" * 99)
    with pytest.raises(ArchiveError):
        b"".join(inflate_fragments([bytes(whole.raw)], whole.size))


def test_gzip_accepts_a_member_of_fragments(tmp_path: Path) -> None:
    parts = [b"one" * 5000, b"", b"two" * 70_000]
    (tmp_path / "joined.gz").write_bytes(member_of(parts, [fragment(parts[0]), fragment(b""), spliced(deflated(parts[2]))]))
    done = subprocess.run(["gzip", "-dc", "joined.gz"], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == b"".join(parts)
    assert not done.stderr
