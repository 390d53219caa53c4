"""A root with Debian's nodejs and npm, in which front ends are built: what comes out is for browsers, so any suite does."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from shipwheel.builder.packages import BuilderIndex
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.session import ArchiveSession
from shipwheel.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.errors import BuildError, FetchError
from shipwheel.files.entry import FileEntry, write_entries
from shipwheel.files.segment import key_of
from shipwheel.platform import Platform
from shipwheel.store import Store, store_write_error
from shipwheel.store_contents import BUILD_PACKAGES, BUILDERS
from shipwheel.suites import Suite

__all__ = ["npm_cache", "unpack_node"]

_VERSION = "1"
"""Part of every key: raise it whenever the same packages make another root."""
_KEPT, _KEPT_CACHES = 8, 32
_PACKAGES = ("nodejs", "npm", "bash", "coreutils", "dash", "diffutils", "findutils", "gawk", "grep", "gzip", "make", "sed", "tar", "unzip")
_LINKS = {"sh": "dash", "awk": "gawk"}
"""Programs that maintainer scripts would link, and to what."""
_LEFT_OUT = ("var/", "etc/", "usr/share/doc/", "usr/share/man/", "usr/share/locale/")


def unpack_node(
    suite: Suite,
    host: Platform,
    names: Iterable[str],
    archive: ArchiveSession,
    fetch: Callable[[Sequence[DebianPackage]], None],
    store: Store,
) -> CachedDirectory:
    """Return a directory with node, npm, and more packages by their `names`; it is unpacked once. `fetch` brings packages into the store.

    Raise BuildError for a name that the suite lacks, and any error of a download or of the store.
    """
    index = archive.package_index(suite, host)
    wanted = tuple(names)
    if missing := [name for name in ("nodejs", "npm") if index.newest(name) is None]:
        hint = "The mirror is incomplete: use another one (SHIPWHEEL_DEBIAN_MIRROR)."
        raise FetchError(f"{index.label} has no package {' and '.join(missing)}, which build front ends", hint=hint)
    if unknown := [name for name in wanted if index.newest(name) is None]:
        hint = "Correct `packages` below [[tool.shipwheel.assets]]."
        raise BuildError(f"Debian {suite.codename} has no package {', '.join(unknown)}", hint=hint)
    packages = BuilderIndex(suite, host, host, index, index).closed((*_PACKAGES, *wanted))
    sources = [DebSource(package, store) for package in packages]
    cache, name = DirectoryCache(store.root / BUILDERS), key_of("node", _VERSION, *(source.key for source in sources))

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


def npm_cache(store: Store, project: Path) -> CachedDirectory:
    """Return the directory in which npm, yarn and pnpm keep what they download for a project. Raise StoreError if it cannot be made.

    A project's configuration can make them run its own programs, which then must not reach what another project gets.
    """
    cache, name = DirectoryCache(store.root / BUILD_PACKAGES), key_of("npm cache", _VERSION, str(project))
    try:
        return cache.find(name) or cache.fill(name, lambda _: None, keep=_KEPT_CACHES)
    except OSError as error:
        raise store_write_error(store.root, error) from error


def _needed(entries: Iterator[FileEntry], store: Store) -> Iterator[FileEntry]:
    for entry in entries:
        store.check_open()
        if not entry.path.startswith(_LEFT_OUT):
            yield entry
