"""Debian's real archive, as builds of the tests' cache read it."""

from collections.abc import Sequence
from functools import cache

from shipwheel.builder.interpreter import suite_python
from shipwheel.builder.workshop import Workshop
from shipwheel.debian.downloads import fetch_packages
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.session import ArchiveSession
from shipwheel.events import silent
from shipwheel.locking.target import Target
from shipwheel.platform import Platform, host_platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from support.command import TEST_CACHE

__all__ = ["real_archive", "workshop_for"]


@cache
def real_archive() -> ArchiveSession:
    """Return the archive. Each release and each list of packages is read once a process, with its signatures and hashes."""
    return ArchiveSession(None, Store(TEST_CACHE), silent)


def workshop_for(platform: Platform) -> Workshop:
    """Return the compilers of a suite for a platform, with their packages in the cache of the tests."""
    store, suite = Store(TEST_CACHE), suite_by_name("trixie")
    archive = real_archive()

    def fetch(packages: Sequence[DebianPackage]) -> None:
        fetch_packages([package for package in packages if not store.has(package.digest)], archive.choose_mirror(), store)

    target = Target(platform, suite.full_python, suite.libc)
    return Workshop(suite, host_platform(), target, suite_python("3.13", platform.multiarch), archive, fetch, store)
