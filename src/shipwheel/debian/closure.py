"""The closure over what the loader needs: sonames -> packages, until nothing is missing. Depends is not followed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shipwheel.debian.archive import PackageIndex
from shipwheel.debian.package import DebianPackage
from shipwheel.files.elf import MACHINES, ElfObject
from shipwheel.files.loader import Loader
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform

__all__ = ["Closure", "Load", "close"]

Load = Callable[[Sequence[DebianPackage]], Sequence[Segment]]
"""Fetches packages and makes their segments, in the order given."""


@dataclass(frozen=True, slots=True)
class Closure:
    """All packages by name, their segments in that order, and the sonames that neither they nor the archive have, with who wants them."""

    packages: tuple[DebianPackage, ...]
    segments: tuple[Segment, ...]
    unresolved: Mapping[str, tuple[ElfObject, ...]]


def close(seed: Sequence[DebianPackage], index: PackageIndex, platform: Platform, others: Sequence[Segment], load: Load) -> Closure:
    """Adds to the seed what it and the `others` (wheels, the project) need to be loaded.

    Each round loads the packages that the one before it found, all at once. Objects for another machine are not asked.
    """
    packages = {package.name: package for package in seed}
    segments = dict(zip(packages, load(tuple(packages.values())), strict=True))
    asked: set[str] = set()
    while True:
        missing = _missing((*others, *segments.values()), platform)
        found = _found([soname for soname in missing if soname not in asked], index, packages)
        asked.update(missing)
        if not found:
            break
        packages.update(found)
        segments.update(zip(found, load(tuple(found.values())), strict=True))
    names = sorted(packages)
    return Closure(tuple(packages[name] for name in names), tuple(segments[name] for name in names), missing)


def _missing(segments: Sequence[Segment], platform: Platform) -> dict[str, tuple[ElfObject, ...]]:
    loader = Loader.of(segments, platform.multiarch)
    machine = MACHINES[platform.architecture]
    return loader.unresolved(item for item in loader.objects if item.machine == machine)


def _found(sonames: Sequence[str], index: PackageIndex, known: Mapping[str, DebianPackage]) -> dict[str, DebianPackage]:
    found: dict[str, DebianPackage] = {}
    for soname in sonames:
        providers = index.providers(soname)
        if not providers or any(name in known or name in found for name in providers):
            continue
        package = index.newest(providers[0])
        if package is not None:
            found[package.name] = package
    return dict(sorted(found.items()))
