"""Roots with programs of a Debian suite and all that they depend on: unpacked into the store once, never configured."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from shipwheel.builder.packages import BuilderIndex
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.package_index import DebianPackageIndex
from shipwheel.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.files.entry import FileEntry, write_entries
from shipwheel.files.segment import key_of
from shipwheel.platform import Platform
from shipwheel.store import Store, store_write_error
from shipwheel.store_contents import BUILDERS
from shipwheel.suites import Suite

__all__ = ["SHELL_PACKAGES", "unpack_programs"]

SHELL_PACKAGES = ("coreutils", "dash", "grep", "sed")
"""Programs that every Debian system has, and a composed image does not."""
_VERSION = "1"
"""Part of every key: raise it whenever the same packages make another root."""
_KEPT = 8
_LINKS = {"sh": "dash", "awk": "gawk"}
"""Programs that maintainer scripts would link, and to what."""
_LEFT_OUT = ("var/", "etc/", "usr/share/doc/", "usr/share/man/", "usr/share/locale/")


def unpack_programs(
    suite: Suite,
    platform: Platform,
    names: Iterable[str],
    index: DebianPackageIndex,
    fetch: Callable[[Sequence[DebianPackage]], None],
    store: Store,
) -> CachedDirectory:
    """Return a directory with the packages of these `names` for a platform. `fetch` brings packages into the store.

    `index` is the platform's. Raise any error of a download or of the store.
    """
    packages = BuilderIndex(suite, platform, platform, index, index).closed(names)
    sources = [DebSource(package, store) for package in packages]
    cache, name = DirectoryCache(store.root / BUILDERS), key_of("programs", _VERSION, *(source.key for source in sources))

    def fill(directory: Path) -> None:
        for source in sources:
            write_entries(_needed(source.entries(), store), directory, source.label)
        for link, target in _LINKS.items():
            programs = directory / "usr" / "bin"
            if (programs / target).exists() and not (programs / link).exists():
                (programs / link).symlink_to(target)

    if (found := cache.find(name)) is not None:
        return found
    fetch(packages)
    try:
        return cache.fill(name, fill, keep=_KEPT)
    except OSError as error:
        raise store_write_error(store.root, error) from error


def _needed(entries: Iterator[FileEntry], store: Store) -> Iterator[FileEntry]:
    for entry in entries:
        store.check_open()
        if not entry.path.startswith(_LEFT_OUT):
            yield entry
