"""The builder of one target: its root of Debian packages, made when a build needs it, and the search for what a build misses."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from shipwheel.builder.complaints import Lack
from shipwheel.builder.interpreter import BuilderPython
from shipwheel.builder.packages import BuilderIndex
from shipwheel.builder.root import unpack_builder
from shipwheel.builder.search import find_packages
from shipwheel.builder.surroundings import Surroundings
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.session import ArchiveSession
from shipwheel.directory_cache import CachedDirectory
from shipwheel.files.entry import Source
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.suites import Suite

__all__ = ["Workshop"]


class Workshop:
    """Compilers of `suite` on `host` for `target`, with `python`, which is the suite's own if the suite has one.

    `fetch` brings Debian packages into the store. Any thread may use it.

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
    ) -> None:
        self.suite = suite
        self.target = target
        self.python = python
        self._host = host
        self._archive = archive
        self._fetch = fetch
        self._store = store
        self._lock = threading.Lock()

    @property
    def label(self) -> str:
        """The way of compiling, for people: "gcc of Debian trixie for arm64, on amd64"."""
        return f"gcc of Debian {self.suite.codename}{self.way}"

    @property
    def way(self) -> str:
        """The two processors of a cross build, for people; empty for a native one."""
        architecture = self.target.platform.architecture
        return f" for {architecture}, on {self._host.architecture}" if self._host != self.target.platform else ""

    def compilers(self) -> tuple[str, ...]:
        """Return the compilers and the C library with their versions: "gcc-14 14.2.0-19". Raise any error of a download."""
        with self._lock:
            return self._index.compilers(self._core)

    def rust(self) -> tuple[str, ...]:
        """Return the names of the packages with Rust; none if the suite has none. Raise any error of a download."""
        with self._lock:
            return self._index.rust()

    def surroundings(self, stated: Mapping[str, str]) -> Surroundings:
        """Return what a build sees, with variables that the user states."""
        return Surroundings(self._host, self.target.platform, self.python, stated)

    def root(self, names: Iterable[str]) -> CachedDirectory:
        """Return the root with these Debian packages. Raise any error of a download or of the store."""
        with self._lock:
            added = self._index.with_packages(names)
            self._fetch((*self._core, *added))
            core = (*self._sources(self._core), *self.python.sources)
            return unpack_builder(core, self._sources(added), self.target.platform, self.python, self._store)

    def find(self, lacks: Sequence[Lack]) -> dict[Lack, str]:
        """Return the Debian package for each missing thing that the suite has."""
        with self._lock:
            return find_packages(lacks, self._index.of_target, self.target.platform.multiarch)

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
