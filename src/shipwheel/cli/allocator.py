"""The allocator of glibc, told to give freed memory back to the system.

By itself it keeps an arena for each thread, and takes blocks from there that are smaller than the largest one that was ever freed, up to
32 MB. A build allocates many blocks of some megabytes in several threads: it kept more of what it had freed than it used.
"""

from contextlib import suppress

__all__ = ["give_memory_back"]

# mallopt(3)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_SETTINGS = ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, 256 << 10), (_M_TRIM_THRESHOLD, 1 << 20))


def give_memory_back() -> None:
    """Let this process keep little of the memory that it has freed. Other C libraries than glibc are left as they are."""
    import ctypes

    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in _SETTINGS:
            mallopt(name, value)
