"""Bases composed of Debian packages."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from shipwheel.base.model import Base, read_locked_base
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.seed import describe_provided, resolve_seed, virtual_packages, wished_names
from shipwheel.debian.session import ArchiveSession
from shipwheel.events import Reporter, StageFinished, StageStarted, Warned
from shipwheel.locking.pylock import Lock
from shipwheel.platform import Platform
from shipwheel.suites import Suite

__all__ = ["DebianBases"]


class _Seed(msgspec.Struct, frozen=True):
    """The first packages of a platform's base; wished names that the suite does not have; virtual packages and what provides them."""

    packages: tuple[DebianPackage, ...]
    unknown: tuple[str, ...]
    provided: Mapping[str, str]


class DebianBases:
    """Bases of one suite; see `Bases`. The archive is only accessed for platforms that the lock has no valid base for.

    `wished` are names of packages that are left out, with a warning, if the suite has no such package.
    """

    def __init__(self, suite: Suite, archive: ArchiveSession, reporter: Reporter, wished: Collection[str] = ()) -> None:
        self.suite = suite
        self._wished = wished
        self.archive = archive
        self._reporter = reporter

    def resolve(self, platforms: Sequence[Platform], lock: Lock | None, extra: Sequence[str], *, upgrade: bool) -> list[Base]:
        """See Bases."""
        bases: dict[Platform, Base] = {}
        if lock is not None and not upgrade:
            bases = {platform: base for platform in platforms if (base := self._from_lock(lock, platform, extra))}
        missing = [platform for platform in platforms if platform not in bases]
        if missing:
            self._reporter(StageStarted("base"))
            # Before the threads start, so that an unusable mirror is reported once.
            self.archive.open()
            with ThreadPoolExecutor(len(missing)) as pool:
                seeds = [*pool.map(partial(self._seed, extra), missing)]
            bases |= {platform: Base(self.suite, seed.packages, locked=False) for platform, seed in zip(missing, seeds, strict=True)}
            if unknown := dict.fromkeys(name for seed in seeds for name in seed.unknown):
                self._reporter(Warned(f"Debian {self.suite.codename} has no package {', '.join(unknown)}, which the Dockerfile installs"))
            python = f", Python {self.suite.python}" if self.suite.python else ""
            provided = describe_provided({name: package for seed in seeds for name, package in seed.provided.items()})
            self._reporter(StageFinished("base", f"Debian {self.suite.codename}{python}{provided}"))
        return [bases[platform] for platform in platforms]

    def _seed(self, extra: Sequence[str], platform: Platform) -> "_Seed":
        index = self.archive.package_index(self.suite, platform)
        found, unknown = wished_names(index, [name for name in extra if name in self._wished])
        names = (*(name for name in extra if name not in self._wished), *found)
        return _Seed(resolve_seed(index, self.suite, names), unknown, virtual_packages(index, names))

    def _from_lock(self, lock: Lock, platform: Platform, extra: Sequence[str]) -> Base | None:
        locked = read_locked_base(lock, platform)
        if locked is None or locked.image is not None or locked.suite != self.suite.codename or locked.extra != tuple(extra):
            return None
        if (locked.standalone is None) is not bool(self.suite.python):
            return None
        return Base(self.suite, locked.packages, True, locked.missing_libraries, standalone=locked.standalone)
