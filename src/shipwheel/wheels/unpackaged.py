"""Data files that a project's packages have in its directory and not in its wheel: templates that nothing told the build backend of."""

import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["is_copy", "looks_needed", "unpackaged_files"]

_NEVER_DATA = lazy_pattern(
    r"(?i).*\.(py[cdiox]?|pxd|c|cc|cpp|h|hpp|rs|so|egg-info|md|rst)|.*~|\..*|py\.typed|makefile|__pycache__|tests?|docs?"
)
"""Names of files and directories that a program does not read."""

_NEEDED = lazy_pattern(r"(?i)(?:.*/)?(?:templates|static)/.*|.*\.(?:html?|jinja2?|j2|mako|sql)")
_MAX_FILES = 500


def unpackaged_files(source: Path, wheel: Path) -> tuple[str, ...]:
    """Return the data files below the packages of a wheel that only its source has, by their paths as they would be in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = frozenset(archive.namelist())
    packages = {name.partition("/")[0] for name in names if name.endswith("/__init__.py") and name.count("/") == 1}
    found: list[str] = []
    for package in sorted(packages):
        root = next((root for root in (source / "src", source) if (root / package / "__init__.py").is_file()), None)
        if root is not None:
            found += (path for path in _data_files(root, package) if path not in names)
    return tuple(found[:_MAX_FILES])


def is_copy(source: Path, wheel: Path) -> bool:
    """Return whether the source of a wheel has all files of it, but for its metadata: the backend has generated none."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and ".dist-info/" not in name]
    return all((source / name).is_file() for name in names) or all((source / "src" / name).is_file() for name in names)


def looks_needed(files: Sequence[str]) -> tuple[str, ...]:
    """Return those of some data files that a program that has them reads, by their names."""
    return tuple(path for path in files if _NEEDED.fullmatch(path))


def _data_files(root: Path, package: str) -> Iterator[str]:
    for directory, below, names in os.walk(root / package):
        below[:] = sorted(name for name in below if _NEVER_DATA.fullmatch(name) is None)
        for name in sorted(names):
            if _NEVER_DATA.fullmatch(name) is None:
                yield Path(directory, name).relative_to(root).as_posix()
