"""Paths that something is mounted at in a container.

Engines take them in lists that commas and colons separate, so text from outside is none until it was checked here.
"""

from typing import NewType

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["ContainerPath", "as_container_path"]

ContainerPath = NewType("ContainerPath", str)
"""An absolute path below /, without empty parts, `.`, `..`, control characters, backslashes, and what engines separate words with."""

_FORBIDDEN = lazy_pattern(r'[\x00-\x1f\x7f:,"\\]')


def as_container_path(text: str) -> ContainerPath | None:
    """Return the text as a path, without slashes that mean nothing; None if it is none."""
    parts = text.rstrip("/").split("/")
    if len(parts) < 2 or parts[0] or _FORBIDDEN.search(text) or any(part in ("", ".", "..") for part in parts[1:]):
        return None
    return ContainerPath("/".join(parts))
