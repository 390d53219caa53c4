"""Libraries that pure Python packages open by name (ctypes) and that the image does not have.

What the project itself requires mostly opens them as soon as it is imported, so the image gets those. Any other package works until it
opens the library, so this is worth a hint, not an error. Packages with ELF files of their own are ignored:
most bundle what they open, or can do without it. Names that the suite has no package for are ignored too: they belong to a driver or to
another operating system.
"""

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from shipwheel.events import Warned
from shipwheel.files.ctypes_libraries import library_stem
from shipwheel.files.segment import Segment
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from shipwheel.debian.package import DebianPackage
    from shipwheel.debian.package_index import DebianPackageIndex

__all__ = ["missing_optional_libraries", "needed_sonames", "packages_behind", "packages_opened_by", "suggest_packages"]

_OPENED_PREFIX = "opened:"
"""Tells a name that is opened from a soname that is needed, where a base lists both as absent."""


def missing_optional_libraries(base: Sequence[Segment], app_segments: Sequence[Segment]) -> dict[str, tuple[str, ...]]:
    """Return `opened:NAME` -> the labels of the app's segments that open NAME, for names that no library of the image has."""
    stems = {
        library_stem(posixpath.basename(name))
        for segment in (*base, *app_segments)
        for item in segment.elf
        for name in (item.path, item.soname)
        if name
    }
    missing: dict[str, list[str]] = {}
    for segment in app_segments:
        for name in segment.ctypes_libraries if not segment.elf else ():
            if library_stem(name) not in stems:
                missing.setdefault(f"{_OPENED_PREFIX}{name}", []).append(segment.label)
    return {name: tuple(labels) for name, labels in sorted(missing.items())}


def needed_sonames(missing: Iterable[str]) -> tuple[str, ...]:
    """Return the sonames among a base's absent libraries, sorted, without the names that are only opened."""
    return tuple(sorted({name for name in missing if not name.startswith(_OPENED_PREFIX)}))


def packages_behind(headers: Iterable[str], missing: Iterable[str], index: "DebianPackageIndex") -> "tuple[DebianPackage, ...]":
    """Return the packages with missing libraries that the packages `headers` depend on: libpq5 for libpq-dev."""
    developed = [package for name in headers if (package := index.newest(name)) is not None]
    needed = {relation.name for package in developed for group in index.depends(package) for relation in group}
    return _newest({_provider(name, index)[1] for name in missing} & needed, index)


def packages_opened_by(
    required: Collection[str], missing: Mapping[str, Collection[str]], index: "DebianPackageIndex"
) -> "tuple[DebianPackage, ...]":
    """Return the packages with missing libraries that one of the `required` Python packages (normalized names) opens."""
    opened = [name for name, labels in missing.items() if any(normalized(label.partition(" ")[0]) in required for label in labels)]
    return _newest({_provider(name, index)[1] for name in opened}, index)


def _newest(names: Iterable[str], index: "DebianPackageIndex") -> "tuple[DebianPackage, ...]":
    return tuple(package for name in sorted(names) if (package := index.newest(name)) is not None)


def suggest_packages(missing: Mapping[str, Collection[str]], index: "DebianPackageIndex") -> Iterator[Warned]:
    """Yield a warning per Python package that opens libraries which the suite has, with the Debian packages to add."""
    by_label: dict[str, dict[str, str]] = {}
    for prefixed, labels in missing.items():
        soname, package = _provider(prefixed, index)
        for label in labels if package else ():
            by_label.setdefault(label, {})[soname] = package
    for label, libraries in by_label.items():
        packages = ", ".join(f'"{package}"' for package in sorted(set(libraries.values())))
        them = "it" if len(libraries) == 1 else "them"
        yield Warned(
            f"{label} can open {', '.join(libraries)} by name, and the image does not have {them}",
            hint=f"If your app uses that feature, add to the settings: packages = [{packages}]",
        )


def _provider(prefixed: str, index: "DebianPackageIndex") -> tuple[str, str]:
    """Return the soname of a library that is opened, and the package that has it; empty if there is none."""
    name = prefixed.removeprefix(_OPENED_PREFIX)
    soname = name if ".so" in name else next(iter(index.sonames(name)), "")
    return soname, next(iter(index.providers(soname)), "")
