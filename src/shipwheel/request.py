"""A build's request, separate from the pipeline, which is slow to import and which some commands do not need."""

import os
from enum import Enum
from pathlib import Path

import msgspec

from shipwheel.events import Reporter, silent
from shipwheel.platform import Platform
from shipwheel.settings.settings import Settings
from shipwheel.store.store import Store
from shipwheel.user.files import UserFiles

__all__ = ["LockMode", "Request"]


class LockMode(Enum):
    """The use of an existing lock."""

    UPDATE = "update"
    """Make a new lock if the project has none that is current."""
    LOCKED = "locked"
    """Raise LockError unless the lock is current and has everything."""
    FROZEN = "frozen"
    """Take the lock as it is, whatever changed in the project since. Raise LockError if it lacks something."""


class Request(msgspec.Struct, frozen=True):
    """A request to build: a project at `path`, and `settings` that already include the flags.

    `workers` is the number of threads; `upgrade_base` takes the newest base instead of the locked one; `lock_mode` says whether the lock
    may change. `compiles` takes sources of packages, and compiles them, where no wheel fits, beside those that the lock says; without
    `slow_sources`, not the large ones that are older than the Python, of which a newer version may have a wheel.
    `first_pythons` ("3.11") are tried first if the project allows them; with `needs_first`, none is in place of the first of them.
    `bounds` are constraints for a lock whose packages do not fit what was compiled. `top` is the directory that the user gave, if the
    project is one in it.
    """

    path: Path
    settings: Settings
    store: Store
    reporter: Reporter = silent
    workers: int = msgspec.field(default_factory=lambda: max(2, os.cpu_count() or 1))
    upgrade_base: bool = False
    lock_mode: LockMode = LockMode.UPDATE
    compiles: bool = False
    slow_sources: bool = True
    first_pythons: tuple[str, ...] = ()
    needs_first: bool = False
    bounds: tuple[str, ...] = ()
    top: Path | None = None

    def files(self) -> UserFiles:
        """Return the files of a new reading of the project."""
        return UserFiles(self.top)

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms of the settings, without duplicates, in order. Raises UsageError for an unknown one."""
        return tuple(dict.fromkeys(Platform.parse(text) for text in self.settings.platforms))
