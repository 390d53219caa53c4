"""The downloads of a build: Python packages, Debian packages and standalone Pythons. Each call fetches only what the store lacks."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from shipwheel.base.standalone_archive import Standalone, StandaloneSource
from shipwheel.debian.downloads import fetch_packages, load_segments
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.session import ArchiveSession
from shipwheel.digest import Digest, sha256_digest
from shipwheel.errors import FetchError, RemovedFiles
from shipwheel.events import Reporter
from shipwheel.files.segment import Segment, load_segment_metadata, make_segment
from shipwheel.locking.pylock import LockedFile
from shipwheel.locking.selection import LockedDistribution
from shipwheel.project.indexes import Indexes, indexes_of
from shipwheel.project.project import Project
from shipwheel.store.store import Store

if TYPE_CHECKING:
    from shipwheel.wheels.kept_requirements import KeptWheel

__all__ = ["Downloads"]


class Downloads:
    """The servers that one build downloads from."""

    def __init__(self, project: Project, archive: ArchiveSession, store: Store, reporter: Reporter, workers: int) -> None:
        self.archive = archive
        self._project = project
        self._store = store
        self._reporter = reporter
        self._workers = workers

    @cached_property
    def indexes(self) -> Indexes:
        """The package indexes that the project uses."""
        return indexes_of(self._project, root=self._store.root)

    def distributions(self, items: Sequence[LockedDistribution]) -> None:
        """Fetch files of the lock; directories and repositories are no files. Raises FetchError, RemovedFiles or IntegrityError."""
        try:
            self._files([(item.filename, digest, item.size, item.urls) for item in items if (digest := item.digest) is not None])
        except FetchError as error:
            absent = [item for item in items if item.digest is not None and not self._store.has(item.digest)]
            # Of several packages, some may not have come for another reason; a file that the user names is none of an index.
            is_one = len({item.name for item in absent}) == 1
            if not (error.not_found and is_one and all(item.version and item.path is None and not item.is_direct for item in absent)):
                raise
            name, older = absent[0].name, f"{absent[0].name}<{absent[0].version}"
            message = f"the index no longer has a file of {name} {absent[0].version}:\n  {error.message}"
            hint = f'{error.hint} Or lock another version, such as [tool.shipwheel.replace] {name} = "{older}".'
            raise RemovedFiles(message, {name: older}, hint=hint) from error

    def build_requirements(self, wheels: "Sequence[KeptWheel]") -> None:
        """Fetch wheels that builds require. Raises FetchError or IntegrityError."""
        self._files([(wheel.filename, wheel.digest, wheel.size, (wheel.url,)) for wheel in wheels])

    def files(self, files: Sequence[LockedFile]) -> None:
        """Fetch files that the lock names. Raises FetchError or IntegrityError."""
        self._files([(file.name, sha256_digest(file.sha256), file.size, (file.url,)) for file in files])

    def _files(self, items: Sequence[tuple[str, Digest, int | None, Sequence[str]]]) -> None:
        """Fetch files of package indexes: name, digest, size in bytes if it is known, URLs."""
        absent = [item for item in items if not self._store.has(item[1])]
        if not absent:
            return
        from shipwheel.download.fetch import Download, fetch
        from shipwheel.project.credentials import credentials_of

        signed = credentials_of(self._project)
        downloads = []
        for name, digest, size, stated in absent:
            urls = dict.fromkeys(signed(address) for url in stated for address in self.indexes.urls(url))
            downloads.append(Download(tuple(urls), digest, size, name))
        fetch(downloads, self._store, self._reporter, stage="wheels")

    def packages(self, packages: Sequence[DebianPackage]) -> None:
        """Fetch Debian packages that the store lacks; without any, no mirror is needed. Raises FetchError or IntegrityError."""
        absent = [package for package in packages if not self._store.has(package.digest)]
        if absent:
            fetch_packages(absent, self.archive.choose_mirror(), self._store, self._reporter)

    def standalones(self, builds: Sequence[Standalone]) -> None:
        """Fetch standalone Pythons. Raises FetchError, which lists the available versions, or IntegrityError."""
        if any(not self._store.has(build.digest) for build in builds):
            from shipwheel.base.standalone_builds import fetch_standalone

            fetch_standalone(builds, self._project, self._store, self._reporter)

    def check_standalones(self, builds: Sequence[Standalone]) -> None:
        """Raise FetchError, which lists the available versions, if a standalone Python is neither stored nor available."""
        if any(not self._store.has(build.digest) for build in builds):
            from shipwheel.base.standalone_builds import check_fetchable

            check_fetchable(builds, self._project, self._store)

    def standalone_segments(self, build: Standalone | None) -> list[Segment]:
        """Return the segment of a standalone Python; fetch and make it if the store knows nothing about it. Empty for None."""
        if build is None:
            return []
        source = StandaloneSource(build, self._store)
        if (known := load_segment_metadata(source.key, self._store)) is not None:
            return [known]
        self.standalones([build])
        return [make_segment(source, self._store)]

    def package_segments(self, packages: Sequence[DebianPackage]) -> list[Segment]:
        """Return the packages' segments, in order; fetch and make those that the store knows nothing about."""
        segments = {package: load_segment_metadata(DebSource(package, self._store).key, self._store) for package in packages}
        missing = [package for package, segment in segments.items() if segment is None]
        if missing:
            made = load_segments(missing, self.packages, self._store, workers=self._workers)
            segments |= dict(zip(missing, made, strict=True))
        return [segment for package in packages if (segment := segments[package]) is not None]
