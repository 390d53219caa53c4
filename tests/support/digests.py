"""Digests in tests: one that stands for any, and those of literal text."""

from shipwheel.digest import Digest, Sha256, as_digest, as_sha256, digest_of

__all__ = ["ANY", "digest", "sha256", "sha256_of"]

ANY: Digest = digest_of(b"")
"""For values whose digest plays no part."""


def digest(text: str) -> Digest:
    """Return the text as a digest, which it must be."""
    found = as_digest(text)
    assert found is not None, text
    return found


def sha256(text: str) -> Sha256:
    """Return the text as a hash, which it must be."""
    found = as_sha256(text)
    assert found is not None, text
    return found


def sha256_of(value: Digest) -> Sha256:
    """Return the hash in a sha256 digest."""
    return sha256(value.removeprefix("sha256:"))
