"""The types of a base: what it consists of, and how a lock records it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from shipwheel.base.standalone_archive import Standalone, interpreter_path
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.seed import libc_version, python_version, seed_names
from shipwheel.decoding import InvalidDocument, convert
from shipwheel.digest import Digest
from shipwheel.errors import LockError
from shipwheel.files.segment import Directory
from shipwheel.locking.pylock import Lock
from shipwheel.locking.target import Target
from shipwheel.oci.image import Image
from shipwheel.platform import Platform
from shipwheel.suites import Suite

if TYPE_CHECKING:
    from shipwheel.debian.session import ArchiveSession

__all__ = [
    "DYNAMIC_INIT",
    "STATIC_INIT",
    "Base",
    "Bases",
    "ImageFacts",
    "LockedBase",
    "LockedImage",
    "lock_table",
    "read_locked_base",
]

DYNAMIC_INIT = "usr/bin/tini"
STATIC_INIT = "usr/bin/tini-static"
"""The two programs of Debian's package tini. They do the same, and an image gets one of them."""


class ImageFacts(msgspec.Struct, frozen=True, rename={"has_tmp": "temporary"}):
    """The facts about a base image, from its files and its config.

    `python` is the full version and `interpreter` its absolute path. `libc` is the version of glibc, or of musl if `musl` is set. `user` is
    "uid:gid" of a user other than root, `certificates` the path of a CA bundle, `codename` a Debian suite's; they are empty
    if there is none. `unpacked_size` is that of all layers, in bytes. `directories` are those that are not root's with mode 0755.
    """

    python: str
    interpreter: str
    libc: tuple[int, int]
    musl: bool = False
    user: str = ""
    certificates: str = ""
    codename: str = ""
    unpacked_size: int = 0
    has_tmp: bool = True
    directories: dict[str, Directory] = {}


class LockedImage(msgspec.Struct, frozen=True):
    """A base image as the lock records it: `digest` is what `name` referred to, `manifest` the digest of the platform's manifest."""

    name: str
    digest: Digest
    manifest: Digest
    facts: ImageFacts


class LockedBase(msgspec.Struct, frozen=True, omit_defaults=True, rename={"missing_libraries": "absent"}):
    """The base of one architecture as the lock records it. `suite` is empty for an image that is not of a known Debian suite."""

    suite: str
    extra: tuple[str, ...]
    missing_libraries: tuple[str, ...]
    packages: tuple[DebianPackage, ...]
    image: LockedImage | None = None
    standalone: Standalone | None = None
    init: DebianPackage | None = None


class Base(msgspec.Struct, frozen=True):
    """One platform's base.

    `packages` are Debian packages of `suite`. With a base image they are added on top of it: `image` is what the lock records of the image,
    `parent` the image itself. `standalone` is the interpreter if it is not the suite's own. `missing_libraries` are sonames that are needed
    and that no package of the suite provides, and, with a prefix, libraries that modules may open by name. `locked` means that the base
    comes from the lock, with all packages that the app needs. `init` is the package of the container's first process, which is not among
    `packages`.
    """

    suite: Suite | None
    packages: tuple[DebianPackage, ...]
    locked: bool
    missing_libraries: tuple[str, ...] = ()
    image: LockedImage | None = None
    parent: Image | None = None
    standalone: Standalone | None = None
    init: DebianPackage | None = None

    def seed(self, extra: Iterable[str]) -> tuple[DebianPackage, ...]:
        """Return the packages that do not depend on the app: the interpreter and what every composed base has, without `extra`."""
        if self.suite is None or self.image is not None:
            return ()
        names = {*seed_names(self.suite)} - {*extra}
        return tuple(package for package in self.packages if package.name in names)

    @property
    def all_packages(self) -> tuple[DebianPackage, ...]:
        """The Debian packages in the image with the init's, by name."""
        added = (self.init,) if self.init is not None else ()
        return tuple(sorted({package.name: package for package in (*added, *self.packages)}.values(), key=lambda package: package.name))

    def target(self, platform: Platform) -> Target:
        """Return what wheels are selected for. Raise LockError if the packages have no interpreter or no C library."""
        if self.image is not None:
            facts = self.image.facts
            return Target(platform, facts.python, facts.libc, facts.musl)
        python = self.standalone.version if self.standalone is not None else python_version(self.packages)
        return Target(platform, python, libc_version(self.packages))

    @property
    def interpreter(self) -> str:
        """The absolute path of the interpreter in the image."""
        if self.image is not None:
            return self.image.facts.interpreter
        if self.standalone is not None:
            return interpreter_path(self.standalone.minor)
        assert self.suite is not None  # noqa: S101 - a composed base has a suite
        return f"/usr/bin/python{self.suite.python}"

    @property
    def init_path(self) -> str:
        """The absolute path of the init in the image, empty without one: the dynamic one on Debian's C library, else the static one."""
        if self.init is None:
            return ""
        return f"/{STATIC_INIT if self.image is not None else DYNAMIC_INIT}"

    @property
    def label(self) -> str:
        """The name for people: the image's, or "Debian bookworm", with the standalone Python if there is one."""
        if self.image is not None:
            return self.image.name
        python = f" with {self.standalone.label}" if self.standalone is not None else ""
        return f"Debian {self.suite.codename}{python}" if self.suite else "nothing"


class Bases(Protocol):
    """The bases of a build. `archive` gives access to the Debian packages that complete them."""

    archive: "ArchiveSession"

    def resolve(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        """Return one base per platform, in order: the one in the lock if it is still valid and not to be upgraded, else a new one.

        `extra` are Debian packages that the user names. Raise any ShipwheelError.
        """


def lock_table(base: Base, extra: Sequence[str]) -> Mapping[str, Any]:
    """Return the base as a table for the lock."""
    suite = base.suite.codename if base.suite is not None else ""
    locked = LockedBase(suite, tuple(extra), base.missing_libraries, base.packages, base.image, base.standalone, base.init)
    table: dict[str, Any] = msgspec.to_builtins(locked)
    return table


def read_locked_base(lock: Lock, platform: Platform) -> LockedBase | None:
    """Return a platform's base from the lock, or None if it has none. Raise LockError if the table is damaged."""
    table = lock.base.get(platform.architecture)
    if table is None:
        return None
    try:
        return convert(table, LockedBase)
    except InvalidDocument as error:
        raise LockError(
            f"{lock.path.name}: the base of {platform.architecture} is damaged: {error}", hint="Renew it with --upgrade-base."
        ) from error
