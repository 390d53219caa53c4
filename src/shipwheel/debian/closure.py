"""The closure over shared libraries: find the packages of all sonames that ELF files need, until none is missing.

What the user names is also followed through Depends, see `depends`.
"""

import posixpath
from collections.abc import Callable, Mapping, Sequence

import msgspec

from shipwheel.debian.depends import follow_depends
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.package_index import DebianPackageIndex
from shipwheel.files.elf import MACHINES, ElfObject
from shipwheel.files.loader import Loader
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform

__all__ = ["Closure", "LoadSegments", "close_over_libraries", "unresolved_libraries"]

LoadSegments = Callable[[Sequence[DebianPackage]], Sequence[Segment]]
"""Fetches packages and returns their segments in the same order."""

_MAX_COPYRIGHT_BYTES = 256 << 10

_COMPANIONS = {
    "libmagic1": ("libmagic-mgc", "magic.mgc"),
    "libmagic1t64": ("libmagic-mgc", "magic.mgc"),
    "libfontconfig1": ("fontconfig-config", "fonts.conf"),
}
"""Libraries that are useless without a data file of another package: library package -> (package, file name)."""

_ABI_STABLE = frozenset({"libatomic.so.1", "libgcc_s.so.1", "libgomp.so.1", "libstdc++.so.6", "libz.so.1"})
"""Libraries of which any recent enough copy works. Whether a copy is recent enough is proved later, by symbol versions."""


class Closure(msgspec.Struct, frozen=True):
    """The packages of a base sorted by name, and their segments in the same order.

    `unresolved` are the sonames that neither they nor the archive provide, with the objects that need them.
    """

    packages: tuple[DebianPackage, ...]
    segments: tuple[Segment, ...]
    unresolved: Mapping[str, tuple[ElfObject, ...]]


class _Candidate(msgspec.Struct, frozen=True):
    """A package to load, to be kept if it has one of these files; without `files` it is always kept."""

    package: DebianPackage
    files: tuple[str, ...] = ()


def close_over_libraries(
    seed: Sequence[DebianPackage],
    index: DebianPackageIndex,
    platform: Platform,
    app_segments: Sequence[Segment],
    load: LoadSegments,
    *,
    named: Sequence[str] = (),
    parent: Sequence[Segment] = (),
) -> Closure:
    """Add to the seed the packages that its own ELF files and those of the app's wheels and source need.

    Each round loads at once all packages that the previous round asked for. A package is dropped again if it turns out not to have the
    library that it was loaded for, or if that library does not fit the copies that a wheel bundles. Objects for another machine are
    ignored. A library that only another wheel has is looked up as well, and is unresolved if no package has it.

    `named` are the packages of the seed whose Depends are followed. `parent` are the segments of a base image below: they provide
    libraries, and what they lack themselves is not added.
    """
    packages = {package.name: package for package in seed}
    segments = dict(zip(packages, load(tuple(packages.values())), strict=True))
    asked: set[tuple[str, bool]] = set()
    dropped: set[str] = set()
    while True:
        loader = Loader.of((*parent, *segments.values()), platform.multiarch, app_segments)
        missing = _unresolved(loader, platform, parent)
        # A library that was dropped for a wheel is looked up again once a package of the base needs it.
        questions = {(soname, any(map(loader.in_base, needed_by))) for soname, needed_by in missing.items()} - asked
        candidates = {name: _Candidate(package) for name, package in follow_depends(named, packages, segments, index).items()}
        candidates |= {name: it for name, it in _companions(packages, segments, index).items() if name not in dropped}
        candidates |= _providers(sorted({soname for soname, _ in questions}), index)
        asked |= questions
        new = {name: candidate for name, candidate in sorted(candidates.items()) if name not in packages}
        if not new:
            break
        for (name, candidate), segment in zip(new.items(), load(tuple(it.package for it in new.values())), strict=True):
            if _is_useful(candidate, segment, missing, loader):
                packages[name], segments[name] = candidate.package, segment
            else:
                dropped.add(name)
    names = sorted(packages)
    return Closure(tuple(packages[name] for name in names), tuple(segments[name] for name in names), missing)


def unresolved_libraries(
    base: Sequence[Segment], app_segments: Sequence[Segment], platform: Platform, parent: Sequence[Segment] = ()
) -> dict[str, tuple[ElfObject, ...]]:
    """Return the sonames that neither the base nor the needing object's own package provides, with those objects.

    Objects for other machines are ignored, and so is what the base image `parent` itself lacks.
    """
    return _unresolved(Loader.of((*parent, *base), platform.multiarch, app_segments), platform, parent)


def _unresolved(loader: Loader, platform: Platform, parent: Sequence[Segment]) -> dict[str, tuple[ElfObject, ...]]:
    machine = MACHINES[platform.architecture]
    parent_paths = {item.path for segment in parent for item in segment.elf}
    return loader.unresolved((item for item in loader.objects if item.machine == machine and item.path not in parent_paths), isolated=True)


def _is_useful(candidate: _Candidate, segment: Segment, missing: Mapping[str, Sequence[ElfObject]], loader: Loader) -> bool:
    return not candidate.files or any(
        _contains(segment, file) and not _clashes_with_bundled(segment, file, missing, loader) for file in candidate.files
    )


def _contains(segment: Segment, file: str) -> bool:
    return any(path.endswith(f"/{file}") for paths in (segment.files, segment.links) for path in paths)


def _clashes_with_bundled(segment: Segment, file: str, missing: Mapping[str, Sequence[ElfObject]], loader: Loader) -> bool:
    """Return whether a library needs another one of which every object that asks for it bundles its own copy.

    Debian's library was not built against that copy. An example are wheels that bundle Qt's core without all of its modules: Debian's
    modules use symbols that are private to one version of Qt.
    """
    needed = {name for item in segment.elf if posixpath.basename(item.path) == file or item.soname == file for name in item.needed}
    needed_by = missing.get(file, ())
    return bool(needed_by) and all(
        not loader.in_base(item) and any(loader.sibling(item, name) for name in needed - _ABI_STABLE) for item in needed_by
    )


def _providers(sonames: Sequence[str], index: DebianPackageIndex) -> dict[str, _Candidate]:
    found: dict[str, _Candidate] = {}
    for soname in sonames:
        package = next((package for name in index.providers(soname) if (package := index.newest(name)) is not None), None)
        if package is not None:
            known = found.get(package.name, _Candidate(package))
            found[package.name] = _Candidate(package, (*known.files, soname))
    return found


def _companions(packages: Mapping[str, DebianPackage], segments: Mapping[str, Segment], index: DebianPackageIndex) -> dict[str, _Candidate]:
    """Return companions, and small packages that hold the copyright of others: usr/share/doc/libgcc-s1 is a link to gcc-12-base."""
    found: dict[str, _Candidate] = {}
    for name, file in (_COMPANIONS[name] for name in packages if name in _COMPANIONS):
        companion = index.newest(name)
        if companion is not None:
            found[name] = _Candidate(companion, (file,))
    for name, segment in segments.items():
        target = segment.links.get(f"usr/share/doc/{name}", "")
        package = index.newest(target) if target and "/" not in target and target not in packages else None
        if package is not None and package.source == packages[name].source and package.size <= _MAX_COPYRIGHT_BYTES:
            found[target] = _Candidate(package, ("copyright",))
    return found
