"""Debian's real archive, as builds of the tests' cache read it."""

from functools import cache

from shipwheel.debian.session import ArchiveSession
from shipwheel.events import silent
from shipwheel.store.store import Store
from support.command import TEST_CACHE

__all__ = ["real_archive"]


@cache
def real_archive() -> ArchiveSession:
    """Return the archive. Each release and each list of packages is read once a process, with its signatures and hashes."""
    return ArchiveSession(None, Store(TEST_CACHE), silent)
