"""What a build fetches: distributions from package indexes, packages from Debian's archive. The store is asked first, always."""

from collections.abc import Sequence
from functools import cached_property

from shipwheel.base.base import DebianBases
from shipwheel.base.standalone_archive import Standalone, StandaloneSource
from shipwheel.debian.composed import fetch_packages, load_packages
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.events import Reporter
from shipwheel.files.segment import Segment, known_segment, make_segment
from shipwheel.lock.selection import LockedDistribution
from shipwheel.project.detect import Project
from shipwheel.project.indexes import Indexes, indexes_of
from shipwheel.store import Store

__all__ = ["Supplies"]


class Supplies:
    """The sources of one build. `debian` is None for a base that no suite completes: then there are no packages."""

    def __init__(self, project: Project, debian: DebianBases | None, store: Store, reporter: Reporter, workers: int) -> None:
        self.debian = debian
        self._project = project
        self._store = store
        self._reporter = reporter
        self._workers = workers

    @cached_property
    def indexes(self) -> Indexes:
        """The package indexes that were chosen."""
        return indexes_of(self._project, root=self._store.root)

    def distributions(self, items: Sequence[LockedDistribution]) -> None:
        """Fetches what the store does not have. Raises FetchError, IntegrityError."""
        absent = [item for item in items if not self._store.has(item.digest)]
        if not absent:
            return
        from shipwheel.download.fetch import Download, fetch
        from shipwheel.project.credentials import credentials_of

        signed = credentials_of(self._project)
        downloads = []
        for item in absent:
            urls = dict.fromkeys(signed(address) for url in item.urls for address in self.indexes.addresses(url))
            downloads.append(Download(tuple(urls), item.digest, item.size, item.filename))
        fetch(downloads, self._store, self._reporter)

    def packages(self, packages: Sequence[DebianPackage]) -> None:
        """Fetches what the store does not have. Raises FetchError, IntegrityError."""
        absent = [package for package in packages if not self._store.has(package.digest)]
        if absent:
            assert self.debian is not None  # noqa: S101 - packages are a suite's
            fetch_packages(absent, self.debian.mirror, self._store, self._reporter)

    def standalones(self, builds: Sequence[Standalone]) -> None:
        """Fetches what the store does not have. Raises FetchError, with what can be had, and IntegrityError."""
        if any(not self._store.has(build.digest) for build in builds):
            from shipwheel.base.standalone import fetch_standalone

            fetch_standalone(builds, self._project, self._store, self._reporter)

    def interpreter(self, build: Standalone | None) -> list[Segment]:
        """What is known of a standalone Python's files, which is fetched and made if nothing is; empty for None."""
        if build is None:
            return []
        source = StandaloneSource(build, self._store)
        if (known := known_segment(source.key, self._store)) is not None:
            return [known]
        self.standalones([build])
        return [make_segment(source, self._store)]

    def segments(self, packages: Sequence[DebianPackage]) -> list[Segment]:
        """What is known of the packages' files, in order; packages of which nothing is known are fetched and made."""
        known = [known_segment(DebSource(package, self._store).key, self._store) for package in packages]
        missing = [package for package, segment in zip(packages, known, strict=True) if segment is None]
        if not missing:
            return [segment for segment in known if segment is not None]
        assert self.debian is not None  # noqa: S101 - packages are a suite's
        made = iter(load_packages(missing, self.debian.mirror, self._store, self._reporter, workers=self._workers))
        return [segment or next(made) for segment in known]
