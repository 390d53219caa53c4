"""Files that a project's packages have in its directory and not in its wheel: templates, or modules, that nothing told the backend of."""

import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["files_without_metadata", "looks_needed", "unpackaged_files"]

_NEVER_DATA = lazy_pattern(
    r"(?i).*\.(py[cdiox]?|pxd|c|cc|cpp|h|hpp|rs|so|egg-info|md|rst)|.*~|\..*|py\.typed|makefile|__pycache__|tests?|docs?"
)
"""Names of files and directories that a program does not read."""

_NEEDED = lazy_pattern(r"(?i)(?:.*/)?(?:templates|static)/.*|.*\.(?:html?|jinja2?|j2|mako|sql|py)")
_IMPORTED = lazy_pattern(rb"^[ \t]*(?:from|import)[ \t]+([\w.]+)", re.MULTILINE)
_METADATA = lazy_pattern(rb"importlib(?:[._]metadata\b| +import\b[^\n]*\bmetadata\b)|\bpkg_resources\b")
_GROUP = lazy_pattern(rb"^\[[ \t]*([^\]\n]+?)[ \t]*\]", re.MULTILINE)
_SCRIPTS = frozenset({b"console_scripts", b"gui_scripts"})
_MAX_FILES = 500


def unpackaged_files(source: Path, wheel: Path) -> tuple[str, ...]:
    """Return the files below the packages of a wheel that only its source has, by their paths as they would be in the wheel.

    They are data files, and modules that those of the wheel import.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = frozenset(archive.namelist())
        packages = {name.partition("/")[0] for name in names if name.endswith(".py") and "/" in name}
        found: list[str] = []
        for package in sorted(each for each in packages if not each.endswith((".data", ".dist-info"))):
            root = next((root for root in (source / "src", source) if _is_package(root / package)), None)
            if root is not None:
                found += (path for path in _data_files(root, package) if path not in names)
                found += _missing_modules(root, package, archive, names)
    return tuple(found[:_MAX_FILES])


def _is_package(directory: Path) -> bool:
    """Return whether a directory is a package, maybe one without an __init__.py."""
    return directory.is_dir() and any(each.suffix == ".py" for each in directory.iterdir())


def _missing_modules(root: Path, package: str, archive: zipfile.ZipFile, names: frozenset[str]) -> Iterator[str]:
    """Yield the modules of a package in `root` that those in the wheel import by their full names and that the wheel lacks."""
    own = sorted(name for name in names if name.startswith(f"{package}/") and name.endswith(".py"))
    imported = {found.decode() for name in own for found in _IMPORTED.findall(archive.read(name))}
    for path in sorted(each.replace(".", "/") for each in imported if each.startswith(f"{package}.")):
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if file not in names and (root / file).is_file():
                yield file


def files_without_metadata(wheel: Path) -> tuple[str, ...]:
    """Return the files of a wheel but for its metadata; none if a module asks for metadata, or other packages look for it by that."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        entry_points = b"".join(archive.read(name) for name in names if name.endswith(".dist-info/entry_points.txt"))
        if {*_GROUP.findall(entry_points)} - _SCRIPTS or any(
            _METADATA.search(archive.read(name)) for name in names if name.endswith(".py")
        ):
            return ()
    return tuple(name for name in names if ".dist-info/" not in name)


def looks_needed(files: Sequence[str]) -> tuple[str, ...]:
    """Return those of some data files that a program that has them reads, by their names."""
    return tuple(path for path in files if _NEEDED.fullmatch(path))


def _data_files(root: Path, package: str) -> Iterator[str]:
    for directory, below, names in os.walk(root / package):
        below[:] = sorted(name for name in below if _NEVER_DATA.fullmatch(name) is None)
        for name in sorted(names):
            if _NEVER_DATA.fullmatch(name) is None:
                yield Path(directory, name).relative_to(root).as_posix()
