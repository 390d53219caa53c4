"""Compressing, and inflating deflate data and gzip members."""

import gzip
import hashlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import ArchiveError
from shipwheel.files import compress
from shipwheel.files.compress import GZIP_HEADER, Deflated, deflated, gunzip, inflate, member

contents = st.one_of(st.binary(max_size=3000), st.builds(lambda data, times: data * times, st.binary(max_size=30), st.integers(0, 5000)))
levels = st.integers(0, 9)


def raw_deflate(data: bytes, level: int = 6) -> Deflated:
    engine = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Deflated(engine.compress(data) + engine.flush(), len(data), zlib.crc32(data))


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(data=contents)
def test_members_are_valid_gzip(data: bytes) -> None:
    assert gzip.decompress(member(data)) == data
    assert b"".join(inflate(deflated(data))) == data


@given(data=contents, level=levels)
def test_inflates_data_of_another_compressor(data: bytes, level: int) -> None:
    assert b"".join(inflate(raw_deflate(data, level))) == data


@given(parts=st.lists(contents, max_size=6), size=st.integers(1, 4000))
def test_gunzip_accepts_any_chunks(parts: list[bytes], size: int) -> None:
    stream = b"".join(member(part) for part in parts)
    assert b"".join(gunzip(pieces(stream, size))) == b"".join(parts) == (gzip.decompress(stream) if stream else b"")


def test_compressed_bytes_never_change() -> None:
    data = bytes(range(256)) * 300 + b"shipwheel" * 1000
    assert hashlib.sha256(member(data)).hexdigest() == "1d7916f6e766b31a26f9e6926163cb97e3535bf7d565a5118d7679f60bb6d568"


def test_inflating_has_bounded_chunks() -> None:
    zeros = raw_deflate(bytes(80 << 20), 9)
    sizes = [len(piece) for piece in inflate(zeros)]
    assert sum(sizes) == 80 << 20
    assert max(sizes) <= 4 << 20


@pytest.mark.parametrize("whole", [True, False], ids=["in one call", "in pieces"])
@pytest.mark.parametrize("size", [5, 5000])
class TestHostile:
    @pytest.fixture(autouse=True)
    def way(self, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        if not whole:
            monkeypatch.setattr(compress, "MAX_WHOLE", 0)

    def refuse(self, content: Deflated) -> None:
        with pytest.raises(ArchiveError, match="pkg: a/b"):
            for _ in inflate(content, "pkg: a/b"):
                pass

    def test_sound(self, size: int) -> None:
        assert b"".join(inflate(raw_deflate(b"x" * size))) == b"x" * size

    def test_other_checksum(self, size: int) -> None:
        sound = raw_deflate(b"x" * size)
        self.refuse(Deflated(sound.raw, sound.size, sound.crc32 ^ 1))

    @pytest.mark.parametrize("change", [-1, 1, 1000])
    def test_other_size(self, size: int, change: int) -> None:
        sound = raw_deflate(b"x" * size)
        self.refuse(Deflated(sound.raw, sound.size + change, sound.crc32))

    @pytest.mark.parametrize("cut", [1, 2, 5])
    def test_cut_off(self, size: int, cut: int) -> None:
        sound = raw_deflate(b"x" * size)
        self.refuse(Deflated(sound.raw[:-cut], sound.size, sound.crc32))

    def test_bytes_after_the_end(self, size: int) -> None:
        sound = raw_deflate(b"x" * size)
        self.refuse(Deflated(bytes(sound.raw) + b"!", sound.size, sound.crc32))

    def test_a_second_member_hidden_behind_the_right_trailer(self, size: int) -> None:
        sound = raw_deflate(b"x" * size)
        trailer = struct.pack("<II", sound.crc32, size)
        self.refuse(Deflated(bytes(sound.raw) + trailer + GZIP_HEADER + bytes(sound.raw), sound.size, sound.crc32))

    def test_rubbish(self, size: int) -> None:
        self.refuse(Deflated(b"\xff" * size, size, 0))


def with_checksum(prefix: bytes, wanted: int) -> bytes:
    """Return the prefix and four bytes that give it this CRC-32, which is linear in them."""
    base = zlib.crc32(prefix + bytes(4))
    rows = [(zlib.crc32(prefix + (1 << bit).to_bytes(4, "little")) ^ base, 1 << bit) for bit in range(32)]
    missing, suffix = wanted ^ base, 0
    for bit in range(32):
        pivot = next(row for row in rows if row[0] >> bit & 1)
        rows = [(row[0] ^ pivot[0], row[1] ^ pivot[1]) if row[0] >> bit & 1 else row for row in rows if row is not pivot]
        if missing >> bit & 1:
            missing, suffix = missing ^ pivot[0], suffix ^ pivot[1]
    return prefix + suffix.to_bytes(4, "little")


def test_inflates_a_file_that_contains_its_own_trailer() -> None:
    data = with_checksum(b"<" + struct.pack("<II", 0xC0FFEE, 60) + b">" * 47, 0xC0FFEE)
    assert (len(data), zlib.crc32(data)) == (60, 0xC0FFEE)
    content = raw_deflate(data, 0)
    assert struct.pack("<II", content.crc32, content.size) in bytes(content.raw)
    assert b"".join(inflate(content)) == data


@pytest.mark.parametrize("data", [b"", bytes(8), bytes(100)])
def test_inflates_empty_files_and_zeros(data: bytes) -> None:
    assert b"".join(inflate(raw_deflate(data, 0))) == data


@pytest.mark.parametrize("cut", [1, 8, 9, 15])
def test_gunzip_rejects_a_truncated_stream(cut: int) -> None:
    with pytest.raises(ArchiveError, match="middle of a member"):
        list(gunzip([member(b"first") + member(b"second" * 9)[:-cut]]))


@pytest.mark.parametrize("tail", [b"\0" * 20, b"garbage" * 5, b"\x1f\x8bxx"])
def test_gunzip_rejects_trailing_data(tail: bytes) -> None:
    with pytest.raises(ArchiveError):
        list(gunzip([member(b"first") + tail]))


def test_gunzip_rejects_a_flipped_bit() -> None:
    data = bytearray(member(b"some text that is long enough to be compressed" * 20))
    data[len(data) // 2] ^= 4
    with pytest.raises(ArchiveError):
        list(gunzip([bytes(data)]))
