"""Files that hold secrets, by their name or their content: none of them may get into an image."""

import re
from pathlib import Path

__all__ = ["has_index_password", "has_private_key", "is_secret_name", "is_secret_path"]

_DIRECTORIES = frozenset({".aws", ".ssh", ".gnupg", ".kube", ".azure", ".gcloud"})
_NAMES = frozenset(
    """
    .env .envrc .netrc _netrc .pypirc .pgpass .git-credentials .npmrc .htpasswd .sesskey
    id_rsa id_dsa id_ecdsa id_ed25519 id_ecdsa_sk id_ed25519_sk
    """.split()  # noqa: SIM905
)
_PATHS = (".streamlit/secrets.toml",)
_SUFFIXES = (".p12", ".pfx", ".jks", ".keystore", ".ppk", ".kdbx")
_ENV_EXAMPLES = (".example", ".sample", ".template", ".dist", ".defaults", ".tmpl")
"""Endings of .env files that hold no values."""
_KEY_SUFFIXES = (".pem", ".key", ".p8", ".pk8", ".crt", ".cer", ".asc", ".json")
"""Files that may hold a private key anywhere, not only at their start."""
_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----")
_KEY_AT_START = re.compile(rb"\s*(\xef\xbb\xbf)?(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-)")
_START_BYTES = 128
_MIN_KEY_BYTES = 21
_MAX_BYTES = 1 << 20
_PACKAGING_FILE = re.compile(r"(pyproject|uv|pdm|poetry)\.toml|pip\.(conf|ini)|Pipfile|setup\.cfg|.*(require|constraint|/).*\.(txt|in)")
"""Files that may name a package index."""
_PASSWORD = re.compile(rb"https?://[^\s/@:\"'#]*:(?!\$\{?\w+\}?@)[^\s/@\"'#]+@[^\s\"']+")
"""A URL with a password, unless that is a variable."""


def is_secret_name(name: str) -> bool:
    """Return whether a file or directory of this name is a secret by convention: .env, .netrc, id_rsa, .aws and the like."""
    if name in _NAMES or name in _DIRECTORIES or name.lower().endswith(_SUFFIXES):
        return True
    return name.startswith(".env.") and not name.endswith(_ENV_EXAMPLES)


def is_secret_path(path: str) -> bool:
    """Return whether a path is a secret by its last parts, of which the name alone says nothing."""
    return path.endswith(_PATHS)


def has_private_key(path: Path, size: int) -> bool:
    """Return whether a file of this size starts with a private key, or contains one if its suffix is that of keys or JSON."""
    with path.open("rb") as stream:
        if not path.name.lower().endswith(_KEY_SUFFIXES):
            return size >= _MIN_KEY_BYTES and _KEY_AT_START.match(stream.read(_START_BYTES)) is not None
        return _KEY.search(stream.read(_MAX_BYTES)) is not None


def has_index_password(path: str, host: Path, size: int) -> bool:
    """Return whether a file that may name a package index contains a password for one.

    Args:
        path: The path in the app.
        host: The file on this machine.
        size: Its size in bytes.
    """
    if size > _MAX_BYTES or not (_PACKAGING_FILE.fullmatch(path) or _PACKAGING_FILE.fullmatch(host.name)):
        return False
    return _PASSWORD.search(host.read_bytes()) is not None
