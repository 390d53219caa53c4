"""Digests: the algorithm and the hash of a blob's bytes (image-spec 1.1, descriptor.md: digests).

A digest becomes part of a path: in the store, in layouts, and in the addresses of registries. So text from outside is none until it was
checked, here or by msgspec when it decodes a field of this type; a type checker keeps the two apart.
"""

import hashlib
import re
from typing import Annotated, NewType, Protocol

import msgspec

__all__ = [
    "DIGEST_PATTERN",
    "SHA256_PATTERN",
    "Digest",
    "Sha256",
    "as_digest",
    "as_sha256",
    "digest_of",
    "hash_digest",
    "sha256_digest",
    "sha256_of",
]

DIGEST_PATTERN = r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z"
SHA256_PATTERN = r"^[0-9a-f]{64}\Z"

Digest = NewType("Digest", Annotated[str, msgspec.Meta(pattern=DIGEST_PATTERN)])
"""`sha256:<64 digits>` or `sha512:<128 digits>`, in lower case."""

Sha256 = NewType("Sha256", Annotated[str, msgspec.Meta(pattern=SHA256_PATTERN)])
"""64 hexadecimal digits in lower case: a hash as locks and package indexes write it."""


class _Hash(Protocol):
    @property
    def name(self) -> str: ...

    def hexdigest(self) -> str: ...


def as_digest(text: str) -> Digest | None:
    """Return the text as a digest, or None if it is none."""
    return Digest(text) if re.match(DIGEST_PATTERN, text) else None


def as_sha256(text: str) -> Sha256 | None:
    """Return the text, in upper or lower case, as a hash, or None if it is none."""
    lower = text.lower()
    return Sha256(lower) if re.match(SHA256_PATTERN, lower) else None


def sha256_digest(value: Sha256) -> Digest:
    """Return the digest with this hash."""
    return Digest(f"sha256:{value}")


def hash_digest(checksum: _Hash) -> Digest:
    """Return the digest of the bytes that a hash of `hashlib` has seen."""
    return Digest(f"{checksum.name}:{checksum.hexdigest()}")


def digest_of(data: bytes) -> Digest:
    """Return the sha256 digest of bytes."""
    return hash_digest(hashlib.sha256(data))


def sha256_of(data: bytes) -> Sha256:
    """Return the hash of bytes."""
    return Sha256(hashlib.sha256(data).hexdigest())
