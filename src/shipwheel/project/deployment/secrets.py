"""Signs that a value in a deployment file is secret. No image may contain it."""

import re
from collections.abc import Mapping

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.secret_tokens import find_tokens

__all__ = ["has_credentials", "is_secret", "is_secret_variable", "masked", "masked_values"]

_SECRET = lazy_pattern(
    r"secret|token(?!iz)|passw|passphrase|pwd|credential|private|apikey|(^|_)(key|pass|pat|auth|dsn|salt|cert)s?(_|$)|key$", re.IGNORECASE
)
_CREDENTIALS = lazy_pattern(r"://[^/\s]*@")
_VALUE = r"""("[^"]*"|'[^']*'|[^\s;&|]+)"""
_ASSIGNED = lazy_pattern(rf"(?<![\w-])([A-Za-z_]\w*)(=){_VALUE}|(?<!\S)(--?[A-Za-z][\w-]*)(=|\s+){_VALUE}")
"""NAME=VALUE, --name=VALUE or --name VALUE."""


def is_secret_variable(name: str) -> bool:
    """Return whether a variable's name suggests that its value is secret."""
    return _SECRET.search(name) is not None


def has_credentials(text: str) -> bool:
    """Return whether a text contains a URL with a user name or password, or a token of a known form."""
    return _CREDENTIALS.search(text) is not None or any(find_tokens("", text.encode(errors="surrogateescape")))


def is_secret(name: str, value: str) -> bool:
    """Return whether the name of a variable or its value suggests that the value is secret."""
    return is_secret_variable(name) or has_credentials(value)


def masked_values(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables without the values that may be secret, for output."""
    return {name: "…" if is_secret(name, value) else value for name, value in variables.items()}


def masked(text: str) -> str:
    """Return a command line without the values that may be secret, for messages."""

    def value(match: re.Match[str]) -> str:
        name, between = match[1] or match[4], match[2] or match[5]
        return f"{name}{between}…" if is_secret_variable(name.lstrip("-").replace("-", "_")) else match[0]

    return _CREDENTIALS.sub("://…@", _ASSIGNED.sub(value, text))
