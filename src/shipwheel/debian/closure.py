"""The closure over what the loader needs: sonames -> packages, until nothing is missing.

Depends is followed from the packages that the user names alone, see `depends`.
"""

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shipwheel.debian.archive import PackageIndex
from shipwheel.debian.depends import depended
from shipwheel.debian.package import DebianPackage
from shipwheel.files.elf import MACHINES, ElfObject
from shipwheel.files.loader import Loader
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform

__all__ = ["COMPANIONS", "STABLE", "Closure", "Load", "close", "unresolved"]

Load = Callable[[Sequence[DebianPackage]], Sequence[Segment]]
"""Fetches packages and makes their segments, in the order given."""

_COPYRIGHT_SIZE = 256 << 10

COMPANIONS = {
    "libmagic1": ("libmagic-mgc", "magic.mgc"),
    "libmagic1t64": ("libmagic-mgc", "magic.mgc"),
    "libfontconfig1": ("fontconfig-config", "fonts.conf"),
}
"""Libraries that are of no use without a file which another package has: the package, and the file."""

STABLE = frozenset({"libatomic.so.1", "libgcc_s.so.1", "libgomp.so.1", "libstdc++.so.6", "libz.so.1"})
"""Libraries of which any copy will do that is new enough, which the proof sees by their symbol versions."""


@dataclass(frozen=True, slots=True)
class Closure:
    """All packages by name, their segments in that order, and the sonames that neither they nor the archive have, with who wants them."""

    packages: tuple[DebianPackage, ...]
    segments: tuple[Segment, ...]
    unresolved: Mapping[str, tuple[ElfObject, ...]]


def close(
    seed: Sequence[DebianPackage],
    index: PackageIndex,
    platform: Platform,
    others: Sequence[Segment],
    load: Load,
    *,
    named: Sequence[str] = (),
    below: Sequence[Segment] = (),
) -> Closure:
    """Adds to the seed what it and the `others` (wheels, the project) need to be loaded, and what those of it that are `named` depend on.

    Each round loads the packages that the one before it found, all at once. Not taken is a package that turns out not to have the library
    that it was loaded for, or one whose library belongs to another build of what its wanters have themselves. Objects for another machine
    are not asked. A library that only another wheel has is looked for, and is among the unresolved when no package has it. `below` is an
    image that everything lies upon: it provides, and what it lacks itself is none of ours.
    """
    packages = {package.name: package for package in seed}
    segments = dict(zip(packages, load(tuple(packages.values())), strict=True))
    asked: set[tuple[str, bool]] = set()
    passed_over: set[str] = set()
    while True:
        loader = Loader.of((*below, *segments.values()), platform.multiarch, others)
        missing = _missing(loader, platform, below)
        # What was not taken for a wheel is asked for again when a package of the base wants it.
        questions = {(soname, any(map(loader.in_base, wanters))) for soname, wanters in missing.items()} - asked
        beside = {name: it for name, it in _beside(packages, segments, index).items() if name not in passed_over}
        further: Wanted = {name: (package, ()) for name, package in depended(named, packages, segments, index).items()}
        wanted = further | beside | _libraries(sorted({soname for soname, _ in questions}), index)
        asked |= questions
        new = {name: package for name, (package, _) in sorted(wanted.items()) if name not in packages}
        if not new:
            break
        for (name, package), segment in zip(new.items(), load(tuple(new.values())), strict=True):
            files = wanted[name][1]
            if not files or any(_has(segment, file) and not _alien(segment, file, missing, loader) for file in files):
                packages[name], segments[name] = package, segment
            else:
                passed_over.add(name)
    names = sorted(packages)
    return Closure(tuple(packages[name] for name in names), tuple(segments[name] for name in names), missing)


Wanted = dict[str, tuple[DebianPackage, tuple[str, ...]]]
"""Package name -> the package, and the file names for any of which it is wanted, none when it is in any case."""


def unresolved(
    base: Sequence[Segment], others: Sequence[Segment], platform: Platform, below: Sequence[Segment] = ()
) -> dict[str, tuple[ElfObject, ...]]:
    """The sonames that neither the base nor the wanter's own package provides, with who wants them; other machines' are not asked.

    Nor is what lies `below` all, which provides as well.
    """
    return _missing(Loader.of((*below, *base), platform.multiarch, others), platform, below)


def _missing(loader: Loader, platform: Platform, below: Sequence[Segment]) -> dict[str, tuple[ElfObject, ...]]:
    machine = MACHINES[platform.architecture]
    given = {item.path for segment in below for item in segment.elf}
    return loader.unresolved((item for item in loader.objects if item.machine == machine and item.path not in given), alone=True)


def _alien(segment: Segment, file: str, missing: Mapping[str, Sequence[ElfObject]], loader: Loader) -> bool:
    """Whether a library needs another one of which all who want it have a copy of their own: Debian's was not made for that copy.

    So it is with Debian's Qt modules, which use what is private to one version of Qt, and a wheel that has Qt's core but not all modules.
    """
    needed = {name for item in segment.elf if posixpath.basename(item.path) == file or item.soname == file for name in item.needed}
    wanters = missing.get(file, ())
    return bool(wanters) and all(
        not loader.in_base(wanter) and any(loader.sibling(wanter, name) for name in needed - STABLE) for wanter in wanters
    )


def _libraries(sonames: Sequence[str], index: PackageIndex) -> Wanted:
    found: Wanted = {}
    for soname in sonames:
        package = next((package for name in index.providers(soname) if (package := index.newest(name)) is not None), None)
        if package is not None:
            found[package.name] = (package, (*found.get(package.name, (package, ()))[1], soname))
    return found


def _beside(packages: Mapping[str, DebianPackage], segments: Mapping[str, Segment], index: PackageIndex) -> Wanted:
    """Companions, and the small packages where others of the same source keep their copyright: usr/share/doc/libgcc-s1 -> gcc-12-base."""
    found: Wanted = {}
    for name, file in (COMPANIONS[name] for name in packages if name in COMPANIONS):
        companion = index.newest(name)
        if companion is not None:
            found[name] = (companion, (file,))
    for name, segment in segments.items():
        target = segment.links.get(f"usr/share/doc/{name}", "")
        package = index.newest(target) if target and "/" not in target and target not in packages else None
        if package is not None and package.source == packages[name].source and package.size <= _COPYRIGHT_SIZE:
            found[target] = (package, ("copyright",))
    return found


def _has(segment: Segment, file: str) -> bool:
    return any(path.endswith(f"/{file}") for paths in (segment.files, segment.links) for path in paths)
