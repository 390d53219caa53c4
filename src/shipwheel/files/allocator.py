"""glibc's allocator, told to keep memory that it would give back to the kernel, only to ask for it again a moment later."""

import ctypes
import sys
from functools import cache

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt(3)."""


@cache
def keep_freed_memory() -> None:
    """Keep some megabytes for each thread from now on.

    The kernel fills every page that it hands out with zeros. Buffers of a megabyte, of which a layer takes hundreds, cost more in that than
    in being compressed. Another C library is left as it is.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 16 << 20)
        mallopt(_TOP_PAD, 2 << 20)
        mallopt(_MMAP_THRESHOLD, 4 << 20)
