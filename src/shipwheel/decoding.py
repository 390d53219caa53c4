"""Documents of others as typed values: one error for everything that can be wrong with them."""

from typing import Any, TypeVar

import msgspec

from shipwheel.digest import DIGEST_PATTERN, SHA256_PATTERN

__all__ = ["InvalidDocument", "convert", "decode_json"]

T = TypeVar("T")

_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Everything that msgspec raises for a hostile document. Python's own decoder raises the last two through it."""


class InvalidDocument(Exception):
    """A document is not valid JSON, or not of the expected form. The text says which field is wrong, without its value."""


def decode_json(data: bytes | str, kind: type[T]) -> T:
    """Decode a JSON document. Raise InvalidDocument."""
    try:
        return msgspec.json.decode(data, type=kind)
    except _ERRORS as error:
        raise InvalidDocument(_problem(error)) from error


def convert(document: Any, kind: type[T]) -> T:
    """Convert a document of plain values, as a parser of TOML or JSON returns it. Raise InvalidDocument."""
    try:
        return msgspec.convert(document, kind)
    except _ERRORS as error:
        raise InvalidDocument(_problem(error)) from error


def _problem(error: Exception) -> str:
    """Return the message, with "is not a digest" in place of a pattern."""
    text = str(error)
    for pattern, what in ((DIGEST_PATTERN, "digest"), (SHA256_PATTERN, "sha256 hash")):
        field = text.removeprefix(f"Expected `str` matching regex {pattern!r}")
        if field != text:
            return f"{field.removeprefix(' - at ').strip('`') or 'the text'} is not a {what}"
    return text
