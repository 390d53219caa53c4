"""Tell shipwheel's own locks from those of other tools."""

import re

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["is_own_lock"]

_OWN_LOCK = lazy_pattern(rb"^\[tool\.shipwheel\]", re.MULTILINE)


def is_own_lock(data: bytes) -> bool:
    """Return whether shipwheel wrote a lock: its own, even a damaged one, has the header of its table."""
    return _OWN_LOCK.search(data) is not None
