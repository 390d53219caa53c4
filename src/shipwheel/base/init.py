"""The init of an image: Debian's tini, which is a container's first process, forwards signals to the command and reaps orphans."""

from collections.abc import Sequence

from msgspec.structs import replace

from shipwheel.base.model import DYNAMIC_INIT, STATIC_INIT, Base, Bases, read_locked_base
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.seed import resolve_packages
from shipwheel.errors import FetchError
from shipwheel.locking.pylock import Lock
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import without_python

__all__ = ["INIT_DIRECTORIES", "init_source", "with_init"]

_PACKAGE = "tini"

INIT_DIRECTORIES = ("usr/bin", f"usr/share/doc/{_PACKAGE}", "var/lib/dpkg/status.d")
"""The directories that the init's files are in."""


def with_init(found: Sequence[Base], platforms: Sequence[Platform], lock: Lock | None, bases: Bases, *, upgrade: bool) -> list[Base]:
    """Return the bases with their inits: those that the lock pins, unless `upgrade`, else the newest of the base's suite.

    A base of no Debian suite gets the init of the newest stable one. A base whose init is not in the lock yet is no longer `locked`.

    Raises:
        FetchError: if Debian's archive cannot be read.
        UsageError: if the suite does not have the package.
    """
    done = []
    for base, platform in zip(found, platforms, strict=True):
        pinned = _pinned(base, platform, lock) if not upgrade else None
        init = pinned or _newest(base, platform, bases)
        done.append(replace(base, init=init, locked=base.locked and pinned is not None))
    return done


def _pinned(base: Base, platform: Platform, lock: Lock | None) -> DebianPackage | None:
    locked = read_locked_base(lock, platform) if lock is not None else None
    codename = base.suite.codename if base.suite is not None else ""
    return locked.init if locked is not None and locked.suite == codename else None


def _newest(base: Base, platform: Platform, bases: Bases) -> DebianPackage:
    suite = base.suite or without_python()
    try:
        return resolve_packages(bases.archive.package_index(suite, platform), [_PACKAGE])[0]
    except FetchError as error:
        if base.suite is not None:
            raise
        what = f"{base.label} has no init of ours yet, and Debian's archive cannot be read: {error.message}"
        raise FetchError(what, hint="Check the connection to the archive, or build without an init (init = false).") from error


def init_source(base: Base, store: Store) -> DebSource | None:
    """Return the source of the init's files; None without one, and where the whole package is among the base's already."""
    if base.init is None or any(package.name == _PACKAGE for package in base.packages):
        return None
    return DebSource(base.init, store, omit=(DYNAMIC_INIT if base.image is not None else STATIC_INIT,))
