"""Bases with a Python that no Debian suite has: a standalone build on Debian packages without Debian's Python.

The newest build is chosen once and pinned in the lock by its hash. The lock has no URL, since mirrors change.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from shipwheel.base.debian import DebianBases
from shipwheel.base.model import Base, read_locked_base
from shipwheel.base.standalone_archive import Standalone
from shipwheel.base.standalone_builds import check_fetchable, find_builds, is_acceptable
from shipwheel.errors import FetchError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.locking.pylock import Lock
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.store.store import Store

__all__ = ["StandaloneBases"]


class StandaloneBases:
    """The packages of a suite, and the newest build of the project's Python version; see `Bases`."""

    def __init__(self, project: Project, debian: DebianBases, store: Store, reporter: Reporter) -> None:
        self.archive = debian.archive
        self._project = project
        self._store = store
        self._debian = debian
        self._reporter = reporter

    def resolve(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        """See Bases. Raise FetchError that lists the alternatives if a platform has no such build.

        The same for one that cannot be fetched now, if the project does not ask for this Python: another way may be open.
        """
        builds = self._resolve_builds(platforms, None if upgrade else lock)
        if self._project.unsuitable_python:
            check_fetchable(builds, self._project, self._store)
        bases = self._debian.resolve(platforms, lock, extra, upgrade=upgrade)
        return [
            base if base.standalone == build else replace(base, standalone=build, locked=False)
            for base, build in zip(bases, builds, strict=True)
        ]

    def _resolve_builds(self, platforms: Sequence[Platform], lock: Lock | None) -> list[Standalone]:
        builds = self._locked_builds(platforms, lock) if lock is not None else {}
        if len({build.version for build in builds.values()}) > 1:
            builds = {}
        missing = [platform for platform in platforms if platform not in builds]
        if missing:
            self._reporter(StageStarted("python"))
            same = self._same_version(missing, next(iter(builds.values()), None))
            builds |= same or dict(zip(platforms, find_builds(self._project, platforms), strict=True))
            self._reporter(StageFinished("python", builds[platforms[0]].label))
        return [builds[platform] for platform in platforms]

    def _locked_builds(self, platforms: Sequence[Platform], lock: Lock) -> dict[Platform, Standalone]:
        locked = {platform: table.standalone for platform in platforms if (table := read_locked_base(lock, platform)) is not None}
        return {platform: build for platform, build in locked.items() if build is not None and is_acceptable(build, self._project)}

    def _same_version(self, missing: Sequence[Platform], locked: Standalone | None) -> dict[Platform, Standalone]:
        """Return builds of the version that other platforms have in the lock; empty if there are none."""
        if locked is None:
            return {}
        try:
            return dict(zip(missing, find_builds(replace(self._project, python=locked.version), missing), strict=True))
        except FetchError:
            return {}
