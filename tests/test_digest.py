"""Digests: text is one only after it was checked."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.decoding import InvalidDocument, convert, decode_json
from shipwheel.digest import Digest, Sha256, as_digest, as_sha256, digest_of, sha256_digest, sha256_of

HEX = "0123456789abcdef" * 4

NO_DIGESTS = [
    "",
    HEX,
    "sha256:",
    f"sha256:{HEX[1:]}",
    f"sha256:{HEX}0",
    f"sha256:{HEX.upper()}",
    f"sha256:{HEX}\n",
    f" sha256:{HEX}",
    f"sha512:{HEX}",
    f"md5:{HEX}",
    "sha256:/home/u/.ssh/id_ed25519",
    "sha256:./../../.profile",
    f"sha256:{HEX[:60]}/../",
]


class _Document(msgspec.Struct):
    layers: tuple[Digest, ...] = ()
    sha256: Sha256 | None = None


@pytest.mark.parametrize("text", NO_DIGESTS)
def test_rejects_text_that_is_no_digest(text: str) -> None:
    assert as_digest(text) is None
    with pytest.raises(InvalidDocument) as caught:
        decode_json(msgspec.json.encode({"layers": [text]}), _Document)
    assert str(caught.value) == "$.layers[0] is not a digest"


@pytest.mark.parametrize("text", ["", HEX[1:], f"{HEX}0", f"{HEX}\n", "./../../.profile", f"sha256:{HEX}"])
def test_rejects_text_that_is_no_hash(text: str) -> None:
    assert as_sha256(text) is None
    with pytest.raises(InvalidDocument) as caught:
        convert({"sha256": text}, _Document)
    assert str(caught.value) == "$.sha256 is not a sha256 hash"


def test_accepts_digests() -> None:
    for text in (f"sha256:{HEX}", f"sha512:{HEX}{HEX}"):
        assert as_digest(text) == text
        assert convert({"layers": [text]}, _Document).layers == (text,)
    assert as_sha256(HEX.upper()) == HEX


@given(st.binary())
def test_digest_and_hash_of_bytes_are_valid(data: bytes) -> None:
    assert as_digest(digest_of(data)) == digest_of(data) == sha256_digest(sha256_of(data))


@given(st.text(alphabet="sha25601f:/.\n", max_size=80))
def test_no_digest_is_a_path(text: str) -> None:
    assert as_digest(text) is None or not {"/", "."} & set(text)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\xff"', b'{"layers": ["\\ud800"]}', b"[" * 100_000, b"1" * 5000])
def test_every_malformed_document_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        decode_json(data, _Document)


def test_other_problems_are_shown_as_they_are() -> None:
    with pytest.raises(InvalidDocument) as caught:
        convert({"layers": [3]}, _Document)
    assert str(caught.value) == "Expected `str`, got `int` - at `$.layers[0]`"
