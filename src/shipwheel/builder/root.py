"""The root of a builder: Debian packages, unpacked into the store and never configured. What several builds need is unpacked once."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from shipwheel.builder.interpreter import BuilderPython, write_build_variables
from shipwheel.files.entry import FileEntry, Source, write_entries
from shipwheel.files.segment import key_of
from shipwheel.platform import Platform
from shipwheel.store.contents import BUILDERS
from shipwheel.store.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.store.store import Store, store_write_error

__all__ = ["unpack_builder"]

_VERSION = "5"
"""Part of every key: raise it whenever the same packages make another root."""
_KEPT = 8
"""The number of unused roots that stay."""
_TOOLS = ("gcc", "g++", "cpp", "ar", "as", "ld", "nm", "objcopy", "objdump", "ranlib", "readelf", "strip", "gcc-ar", "gcc-nm", "gcc-ranlib")
_STARTED_BY_GCC = ("as", "ld")
_GENERIC = {"cc": "gcc", "c++": "g++", "sh": "dash", "awk": "gawk"}
"""Programs that maintainer scripts would link, and to what."""


def unpack_builder(
    core: Sequence[Source], added: Sequence[Source], target: Platform, python: BuilderPython, store: Store
) -> CachedDirectory:
    """Return a directory with the files of the sources, whose archives must be in the store.

    The tools for `target` are also there under their plain names. Raise ArchiveError or DamagedBlob for a source, StoreError if the files
    cannot be written.
    """
    cache = DirectoryCache(store.root / BUILDERS)
    try:
        base = _filled(cache, _key(core, (), target), core, None, target, python, store)
        if not added:
            return base
        return _filled(cache, _key(core, added, target), added, base, target, python, store)
    except OSError as error:
        raise store_write_error(store.root, error) from error


def _key(core: Sequence[Source], added: Sequence[Source], target: Platform) -> str:
    return key_of("builder", _VERSION, str(target), *(source.key for source in (*core, *added)))


def _filled(
    cache: DirectoryCache,
    name: str,
    sources: Sequence[Source],
    base: CachedDirectory | None,
    target: Platform,
    python: BuilderPython,
    store: Store,
) -> CachedDirectory:
    def fill(directory: Path) -> None:
        if base is not None:
            # Hard links: a file is replaced by the next steps, and never written to.
            shutil.copytree(base.path, directory, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
        for source in sources:
            write_entries(_without_metadata(source.entries(), store), directory, source.label)
        _link_tools(directory / "usr" / "bin", target.multiarch, python)
        if base is None and python.sources:
            path, text = write_build_variables(python.minor, target.machine, target.multiarch)
            (directory / path).write_text(text, encoding="utf-8")

    return cache.find(name) or cache.fill(name, fill, keep=_KEPT)


def _without_metadata(entries: Iterator[FileEntry], store: Store) -> Iterator[FileEntry]:
    for entry in entries:
        store.check_open()
        if not entry.path.startswith(("var/", "usr/share/doc/")):
            yield entry


def _link_tools(programs: Path, multiarch: str, python: BuilderPython) -> None:
    """Give the target's tools their plain names, since some builds call gcc whatever CC says, and add links of maintainer scripts."""
    tools = {name: f"{multiarch}-{name}" for name in _TOOLS}
    links = {**tools, **_GENERIC}
    found = {name: target for name, target in links.items() if (programs / target).exists()}
    for name, target in {**found, "python3": python.path, "python": python.path}.items():
        link = programs / name
        # Rust brings compilers for this machine under the plain names. They start its assembler and linker by theirs.
        if programs.is_dir() and (not link.exists() or (name in tools and name not in _STARTED_BY_GCC)):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
