"""What lies below an app: composed of Debian packages, or another image, which packages of its own suite may complete."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from shipwheel.base.standalone_archive import Standalone, interpreter_path
from shipwheel.debian.composed import base_facts, libc_version, resolve_seed, seed_names
from shipwheel.debian.package import DebianPackage
from shipwheel.errors import LockError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.files.segment import Directory
from shipwheel.lock.pylock import Lock
from shipwheel.lock.target import Target
from shipwheel.oci.image import Image
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.suites import Suite

if TYPE_CHECKING:
    from shipwheel.debian.archive import Archive, PackageIndex
    from shipwheel.debian.mirror import Mirror

__all__ = ["Base", "Bases", "DebianBases", "ImageFacts", "LockedBase", "LockedImage", "locked_base", "read_base"]


class ImageFacts(msgspec.Struct, frozen=True):
    """What an image that is built upon turned out to be.

    `python` is the full version, `interpreter` its absolute path; `libc` is glibc's version, or musl's where `musl` says so; `user` is
    "uid:gid" of a user that is not root, `certificates` the path of a bundle, `codename` a Debian suite's: empty where there is none.
    `unpacked_size` is that of all layers, in bytes. `directories` are those with other attributes than 0755 and root, `temporary` says that
    there is a /tmp.
    """

    python: str
    interpreter: str
    libc: tuple[int, int]
    musl: bool = False
    user: str = ""
    certificates: str = ""
    codename: str = ""
    unpacked_size: int = 0
    temporary: bool = True
    directories: dict[str, Directory] = {}


class LockedImage(msgspec.Struct, frozen=True):
    """An image that is built upon, as the lock has it: `digest` is what its name stood for, `manifest` the platform's own."""

    name: str
    digest: str
    manifest: str
    facts: ImageFacts


class LockedBase(msgspec.Struct, frozen=True, omit_defaults=True):
    """The base of one architecture as the lock has it. `suite` is empty for an image that no Debian suite completes."""

    suite: str
    extra: tuple[str, ...]
    absent: tuple[str, ...]
    packages: tuple[DebianPackage, ...]
    image: LockedImage | None = None
    standalone: Standalone | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """One platform's base. `locked` says that the lock has it, with what was found to be needed.

    `packages` are Debian's, of `suite`; `image`, with its layers in `below`, is what they lie upon when there is one. `absent` are sonames
    that are wanted and that no package of the suite provides, and, marked, libraries that modules may open by name. `standalone` is the
    interpreter where it is none of the suite's.
    """

    suite: Suite | None
    packages: tuple[DebianPackage, ...]
    locked: bool
    absent: tuple[str, ...] = ()
    image: LockedImage | None = None
    below: Image | None = None
    standalone: Standalone | None = None

    def seed(self, extra: Iterable[str]) -> tuple[DebianPackage, ...]:
        """The packages that do not depend on the app: interpreter and what every composed base has."""
        if self.suite is None or self.image is not None:
            return ()
        names = {*seed_names(self.suite)} - {*extra}
        return tuple(package for package in self.packages if package.name in names)

    def target(self, platform: Platform) -> Target:
        """What distributions are chosen for. Raises LockError for packages without an interpreter or a C library."""
        if self.image is not None:
            facts = self.image.facts
            return Target(platform, facts.python, facts.libc, facts.musl)
        if self.standalone is not None:
            return Target(platform, self.standalone.version, libc_version(self.packages))
        return Target(platform, *base_facts(self.packages))

    @property
    def interpreter(self) -> str:
        """The absolute path of the interpreter in the image."""
        if self.image is not None:
            return self.image.facts.interpreter
        if self.standalone is not None:
            return interpreter_path(self.standalone.minor)
        assert self.suite is not None  # noqa: S101 - a composed base has one
        return f"/usr/bin/python{self.suite.python}"

    @property
    def label(self) -> str:
        """For people: "Debian bookworm", with the Python where it is not the suite's own, or the image's name."""
        if self.image is not None:
            return self.image.name
        python = f" with {self.standalone.label}" if self.standalone is not None else ""
        return f"Debian {self.suite.codename}{python}" if self.suite else "nothing"


class Bases(Protocol):
    """Where a build's bases come from."""

    def bases(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        """Those of the lock that still count, else new ones, in the platforms' order. Raises any ShipwheelError."""

    def debian(self, suite: Suite) -> "DebianBases":
        """Access to the archive, for packages of that suite."""


class DebianBases:
    """Bases composed of a suite's packages; the archive is asked only for what the lock does not have."""

    def __init__(self, suite: Suite, mirror: str | None, store: Store, reporter: Reporter) -> None:
        self.suite = suite
        self._mirror = mirror
        self._store = store
        self._reporter = reporter
        self._indexes: dict[Platform, PackageIndex] = {}

    @cached_property
    def mirror(self) -> "Mirror":
        """The mirror, chosen when it is first needed."""
        from shipwheel.debian.mirror import choose_mirror
        from shipwheel.download.mirrors import kept

        return choose_mirror(self._mirror, kept=kept(self._store.root).debian)

    @cached_property
    def archive(self) -> "Archive":
        """The archive behind the mirror."""
        from shipwheel.debian.archive import Archive

        return Archive(self.mirror, self._store, self._reporter)

    def index(self, platform: Platform) -> "PackageIndex":
        """The suite's packages for a platform, from verified releases, which are read once."""
        if platform not in self._indexes:
            self._indexes[platform] = self.archive.package_index(self.suite, platform)
        return self._indexes[platform]

    def debian(self, suite: Suite) -> "DebianBases":
        """See Bases: itself, or one for another suite."""
        return self if suite == self.suite else DebianBases(suite, self._mirror, self._store, self._reporter)

    def bases(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        """See Bases."""
        found = {} if upgrade or lock is None else {each: base for each in platforms if (base := self._known(lock, each, extra))}
        missing = [platform for platform in platforms if platform not in found]
        if missing:
            self._reporter(StageStarted("base"))
            self.archive  # noqa: B018 - chosen once, before the threads
            with ThreadPoolExecutor(len(missing)) as pool:
                seeds = pool.map(lambda platform: resolve_seed(self.index(platform), self.suite, extra), missing)
                found |= {each: Base(self.suite, seed, locked=False) for each, seed in zip(missing, seeds, strict=True)}
            python = f", Python {self.suite.python}" if self.suite.python else ""
            self._reporter(StageFinished("base", f"Debian {self.suite.codename}{python}"))
        return [found[platform] for platform in platforms]

    def _known(self, lock: Lock, platform: Platform, extra: Sequence[str]) -> Base | None:
        found = read_base(lock, platform)
        if found is None or found.image is not None or found.suite != self.suite.codename or found.extra != tuple(extra):
            return None
        if (found.standalone is None) is not bool(self.suite.python):
            return None
        return Base(self.suite, found.packages, True, found.absent, standalone=found.standalone)


def locked_base(base: Base, extra: Sequence[str]) -> Mapping[str, Any]:
    """The base as the lock holds it."""
    suite = base.suite.codename if base.suite is not None else ""
    value: dict[str, Any] = msgspec.to_builtins(LockedBase(suite, tuple(extra), base.absent, base.packages, base.image, base.standalone))
    return value


def read_base(lock: Lock, platform: Platform) -> LockedBase | None:
    """What the lock has for a platform; raises LockError when that is damaged."""
    table = lock.base.get(platform.architecture)
    if table is None:
        return None
    try:
        return msgspec.convert(table, LockedBase)
    except msgspec.ValidationError as error:
        raise LockError(
            f"{lock.path.name}: the base of {platform.architecture} is damaged: {error}", hint="Make it again with --upgrade-base."
        ) from error
