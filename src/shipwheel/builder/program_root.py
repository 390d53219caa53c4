"""Roots with programs of a Debian suite and all that they depend on: unpacked into the store once, never configured."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from shipwheel.builder.packages import BuilderIndex
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.session import ArchiveSession
from shipwheel.errors import FetchError
from shipwheel.files.entry import FileEntry, Source, write_entries
from shipwheel.files.segment import key_of
from shipwheel.platform import Platform
from shipwheel.store.contents import BUILDERS
from shipwheel.store.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.store.store import Store, store_write_error
from shipwheel.suites import Suite

__all__ = ["PROGRAMS_RECORD", "SHELL_PACKAGES", "find_programs", "programs_key", "unpack_programs"]

PROGRAMS_RECORD = "programs"
"""The kind of the store's records of roots' packages."""

SHELL_PACKAGES = ("coreutils", "dash", "grep", "sed")
"""Programs that every Debian system has, and a composed image does not."""
_VERSION = "1"
"""Part of every key: raise it whenever the same packages make another root."""
_KEPT = 8
_LINKS = {"sh": "dash", "awk": "gawk"}
"""Programs that maintainer scripts would link, and to what."""
_LEFT_OUT = ("var/", "etc/", "usr/share/doc/", "usr/share/man/", "usr/share/locale/")


def programs_key(suite: Suite, platform: Platform, names: Iterable[str]) -> str:
    """Return the key of the record of a root's packages."""
    return key_of("programs' packages", suite.codename, str(platform), *sorted(names))


def find_programs(
    suite: Suite, platform: Platform, names: Iterable[str], archive: ArchiveSession, store: Store
) -> tuple[DebianPackage, ...]:
    """Return the packages of these `names` with all that they depend on. A name that the suite lacks adds nothing.

    Where the archive cannot be reached, a record names them. Raise FetchError if there is none.
    """
    named = tuple(names)
    try:
        index = archive.package_index(suite, platform)
    except FetchError:
        recorded = store.get_as(PROGRAMS_RECORD, programs_key(suite, platform, named), tuple[DebianPackage, ...])
        if recorded is None:
            raise
        return recorded
    return BuilderIndex(suite, platform, platform, index, index).closed(named)


def unpack_programs(
    packages: Sequence[DebianPackage], fetch: Callable[[Sequence[DebianPackage]], None], store: Store, added: Sequence[Source] = ()
) -> CachedDirectory:
    """Return a directory with the files of packages, and those of `added`. `fetch` brings packages into the store.

    Raise any error of a download or of the store.
    """
    sources: list[Source] = [*(DebSource(package, store) for package in packages), *added]
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
