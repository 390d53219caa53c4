"""One build's access to Debian's archive."""

import threading
from datetime import date
from typing import TYPE_CHECKING

from shipwheel.events import Reporter
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import Suite

if TYPE_CHECKING:
    from shipwheel.debian.archive import Archive
    from shipwheel.debian.mirror import DebianMirror
    from shipwheel.debian.package_index import DebianPackageIndex

__all__ = ["ArchiveSession"]


class ArchiveSession:
    """Access to Debian's archive for one build, from any thread.

    Nothing happens before a method is called: a build whose packages are locked and stored needs no mirror. The mirror is then chosen once,
    and each package index is read once. `setting` is the mirror that the user names, `as_of` the day, if any.
    """

    def __init__(self, setting: str | None, store: Store, reporter: Reporter, as_of: date | None = None) -> None:
        self._setting = setting
        self._as_of = as_of
        self._store = store
        self._reporter = reporter
        self._lock = threading.Lock()
        self._archive: Archive | None = None
        self._indexes: dict[tuple[Suite, Platform], DebianPackageIndex] = {}

    def open(self) -> "Archive":
        """Return the archive, choosing a mirror on the first call. Raise UsageError or FetchError if there is none to use."""
        from shipwheel.debian.archive import Archive
        from shipwheel.debian.mirror import choose_mirror
        from shipwheel.download.mirrors import load_choice

        with self._lock:
            if self._archive is None:
                mirror = choose_mirror(self._setting, saved=load_choice(self._store.root).debian)
                self._archive = Archive(mirror, self._store, self._reporter, as_of=self._as_of)
            return self._archive

    def choose_mirror(self) -> "DebianMirror":
        """Return the mirror, choosing it on the first call. Raise UsageError or FetchError if there is none to use."""
        return self.open().mirror

    @property
    def incomplete_lists(self) -> tuple[str, ...]:
        """The package indexes in which libraries may have been missed: the mirror's list of files is not the one in the release."""
        return tuple(index.label for index in self._indexes.values() if index.may_miss_libraries)

    def package_index(self, suite: Suite, platform: Platform) -> "DebianPackageIndex":
        """Return the packages of a suite for a platform. Raise any error of `Archive.package_index`."""
        index = self._indexes.get((suite, platform))
        if index is None:
            index = self._indexes[suite, platform] = self.open().package_index(suite, platform)
        return index
