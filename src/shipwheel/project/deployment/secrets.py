"""Signs that a value in a deployment file is secret. No image may contain it."""

import re

__all__ = ["has_credentials", "is_secret_variable"]

_SECRET = re.compile(
    r"secret|token(?!iz)|passw|passphrase|pwd|credential|private|apikey|(^|_)(key|pass|pat|auth|dsn|salt|cert)s?(_|$)|key$", re.IGNORECASE
)
_CREDENTIALS = re.compile(r"://[^/\s]*@")


def is_secret_variable(name: str) -> bool:
    """Return whether a variable's name suggests that its value is secret."""
    return _SECRET.search(name) is not None


def has_credentials(text: str) -> bool:
    """Return whether a text contains a URL with a user name or password."""
    return _CREDENTIALS.search(text) is not None
