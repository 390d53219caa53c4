"""The builder of one target: its root of Debian packages, made when a build needs it, and the search for what a build misses."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property

import msgspec

from shipwheel.builder.complaints import Lack
from shipwheel.builder.interpreter import BuilderPython
from shipwheel.builder.packages import BuilderIndex, deciding_debs
from shipwheel.builder.root import unpack_builder
from shipwheel.builder.search import find_packages
from shipwheel.builder.surroundings import Surroundings
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.session import ArchiveSession
from shipwheel.errors import FetchError, IntegrityError
from shipwheel.files.entry import Source
from shipwheel.files.segment import key_of
from shipwheel.locking.pylock import LockedDeb
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.store.directory_cache import CachedDirectory
from shipwheel.store.store import Store
from shipwheel.suites import Suite

__all__ = ["BUILDER_RECORD", "BuilderPackages", "Workshop"]

BUILDER_RECORD = "builder"
"""The kind of the store's records of builders' packages."""


class BuilderPackages(msgspec.Struct, frozen=True):
    """The packages of a root: the core, and what a build adds to it. `rust` are the names of the suite's packages with Rust."""

    core: tuple[DebianPackage, ...]
    added: tuple[DebianPackage, ...]
    rust: tuple[str, ...]


class Workshop:
    """Compilers of `suite` on `host` for `target`, with `python`, which is the suite's own if the suite has one.

    `fetch` brings Debian packages into the store; `locked` are those of the lock. Any thread may use it.

    Nothing is downloaded before a method is called.
    """

    def __init__(
        self,
        suite: Suite,
        host: Platform,
        target: Target,
        python: BuilderPython,
        archive: ArchiveSession,
        fetch: Callable[[Sequence[DebianPackage]], None],
        store: Store,
        locked: Iterable[LockedDeb] = (),
    ) -> None:
        self.suite = suite
        self.target = target
        self.python = python
        self._host = host
        self._archive = archive
        self._fetch = fetch
        self._store = store
        self._locked = {(*deb.place, deb.version): deb.sha256 for deb in locked}
        self._lock = threading.Lock()
        self._used: dict[str, BuilderPackages] = {}

    @property
    def identity(self) -> str:
        """The part of each wheel's key that stands for the system of the compilers."""
        return self.suite.codename

    @property
    def origin(self) -> str:
        """The system that the compilers are of, for people: "Debian trixie"."""
        return f"Debian {self.suite.codename}"

    @property
    def label(self) -> str:
        """The way of compiling, for people: "gcc of Debian trixie for arm64, on amd64"."""
        return f"gcc of {self.origin}{self.way}"

    @property
    def way(self) -> str:
        """The two processors of a cross build, for people; empty for a native one."""
        architecture = self.target.platform.architecture
        return f" for {architecture}, on {self._host.architecture}" if self._host != self.target.platform else ""

    @property
    def newer_rust(self) -> str:
        """The way to a newer Rust, for people."""
        return "a newer Python, whose base is a newer Debian"

    def addable(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of these Debian packages that it can add to its root, sorted."""
        return tuple(sorted({*names}))

    def deciders(self, names: Collection[str]) -> tuple[LockedDeb, ...]:
        """Return the compilers, the C library and these Debian packages. Raise any error of a download."""
        with self._lock:
            packages = self._packages(names)
        return deciding_debs((*packages.core, *packages.added), names)

    def rust(self) -> tuple[str, ...]:
        """Return the names of the packages with Rust; none if the suite has none. Raise any error of a download."""
        with self._lock:
            return self._packages(()).rust

    def surroundings(self, stated: Mapping[str, str]) -> Surroundings:
        """Return what a build sees, with variables that the user states."""
        return Surroundings(self._host, self.target.platform, self.python, stated)

    def root(self, names: Iterable[str]) -> CachedDirectory:
        """Return the root with these Debian packages. Raise any error of a download or of the store."""
        with self._lock:
            packages = self._packages(names)
            self._fetch((*packages.core, *packages.added))
            core = (*self._sources(packages.core), *self.python.sources)
            return unpack_builder(core, self._sources(packages.added), self.target.platform, self.python, self._store)

    def find(self, lacks: Sequence[Lack]) -> dict[Lack, str]:
        """Return the Debian package for each missing thing that the suite has."""
        with self._lock:
            return find_packages(lacks, self._index.of_target, self.target.platform.multiarch)

    def advice(self, what: str, named: str) -> str:
        """Return what to do about things that a build misses."""
        return (
            f"{self.origin} has no package that would bring {what} it misses ({named}), or the package does not help. "
            'Name Debian packages for the build in [tool.shipwheel.build] packages = ["…"]'
        )

    @property
    def used(self) -> Mapping[str, BuilderPackages]:
        """The packages so far, by the key of their record, which another store can have."""
        return dict(self._used)

    def _packages(self, names: Iterable[str]) -> BuilderPackages:
        """Return the packages of a root, which a record names where the archive cannot be reached."""
        named = sorted({*names})
        key = key_of("builder packages", self.suite.codename, self.suite.python or "", str(self._host), str(self.target.platform), *named)
        if key not in self._used:
            try:
                found = BuilderPackages(self._core, self._index.with_packages(named), self._index.rust())
            except FetchError:
                recorded = self._store.get_as(BUILDER_RECORD, key, BuilderPackages)
                if recorded is None:
                    raise
                found = recorded
            self._check_digests(found)
            self._used[key] = found
        return self._used[key]

    def _check_digests(self, packages: BuilderPackages) -> None:
        """Raise IntegrityError if a package is not the file that the lock has under its name, version and architecture."""
        for package in (*packages.core, *packages.added):
            locked = self._locked.get((package.name, package.architecture, package.version), package.sha256)
            if locked != package.sha256:
                raise IntegrityError(
                    f"{package.label} for {package.architecture} has the sha256 {package.sha256} in the archive, and {locked} in the lock",
                    hint="Debian never changes a package under its version: use another mirror, or take the archive's by --upgrade-base.",
                )

    def _sources(self, packages: Sequence[DebianPackage]) -> tuple[Source, ...]:
        return tuple(DebSource(package, self._store) for package in packages)

    @cached_property
    def _index(self) -> BuilderIndex:
        of_host = self._archive.package_index(self.suite, self._host)
        of_target = self._archive.package_index(self.suite, self.target.platform)
        return BuilderIndex(self.suite, self._host, self.target.platform, of_host, of_target)

    @cached_property
    def _core(self) -> tuple[DebianPackage, ...]:
        return self._index.core()
