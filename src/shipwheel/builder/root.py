"""The root of a builder: Debian packages, unpacked into the store and never configured. What several builds need is unpacked once."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.files.entry import FileEntry, write_entries
from shipwheel.files.segment import key_of
from shipwheel.store import Store, store_write_error
from shipwheel.store_contents import BUILDERS

__all__ = ["builder_key", "unpack_builder"]

_VERSION = "1"
"""Part of every key: raise it whenever the same packages make another root."""
_KEPT = 8
"""The number of unused roots that stay."""
_TOOLS = ("gcc", "g++", "cpp", "ar", "as", "ld", "nm", "objcopy", "objdump", "ranlib", "readelf", "strip", "gcc-ar", "gcc-nm", "gcc-ranlib")
_GENERIC = {"cc": "gcc", "c++": "g++", "sh": "dash", "awk": "gawk", "python3": "python{minor}", "python": "python{minor}"}
"""Programs that maintainer scripts would link, and to what."""


def builder_key(core: Sequence[DebianPackage], added: Sequence[DebianPackage], multiarch: str) -> str:
    """Return the key of a root, which decides its files."""
    return key_of("builder", _VERSION, multiarch, *(package.sha256 for package in (*core, *added)))


def unpack_builder(
    core: Sequence[DebianPackage], added: Sequence[DebianPackage], multiarch: str, minor: str, store: Store
) -> CachedDirectory:
    """Return a directory with the files of the packages, which must be in the store.

    `multiarch` is that of the target, whose tools are also there under their plain names; `minor` is the version of Python. Raise
    ArchiveError or DamagedBlob for a package, StoreError if the files cannot be written.
    """
    cache = DirectoryCache(store.root / BUILDERS)
    try:
        base = _filled(cache, builder_key(core, (), multiarch), core, None, multiarch, minor, store)
        if not added:
            return base
        return _filled(cache, builder_key(core, added, multiarch), added, base, multiarch, minor, store)
    except OSError as error:
        raise store_write_error(store.root, error) from error


def _filled(
    cache: DirectoryCache,
    name: str,
    packages: Sequence[DebianPackage],
    base: CachedDirectory | None,
    multiarch: str,
    minor: str,
    store: Store,
) -> CachedDirectory:
    def fill(directory: Path) -> None:
        if base is not None:
            # Hard links: a file is replaced by the next steps, and never written to.
            shutil.copytree(base.path, directory, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
        for package in packages:
            write_entries(_without_metadata(DebSource(package, store).entries(), store), directory, package.label)
        _link_tools(directory / "usr" / "bin", multiarch, minor)

    return cache.find(name) or cache.fill(name, fill, keep=_KEPT)


def _without_metadata(entries: Iterator[FileEntry], store: Store) -> Iterator[FileEntry]:
    for entry in entries:
        store.check_open()
        if not entry.path.startswith(("var/", "usr/share/doc/")):
            yield entry


def _link_tools(programs: Path, multiarch: str, minor: str) -> None:
    """Give the target's tools their plain names, since some builds call gcc whatever CC says, and add links of maintainer scripts."""
    links = {name: f"{multiarch}-{name}" for name in _TOOLS}
    links |= {name: target.format(minor=minor) for name, target in _GENERIC.items()}
    for name, target in links.items():
        link = programs / name
        if (programs / target).exists() and not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(target)
