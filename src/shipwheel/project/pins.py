"""Versions that stand beside a project's open requirements, in a pinned list or a lock: what the project is known to run with."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from shipwheel.errors import ShipwheelError
from shipwheel.project.requirements import read_requirements
from shipwheel.user_files import UserFiles
from shipwheel.versions import normalized

__all__ = ["pins_beside", "pins_of_lock"]

_LISTS = ("poetry.lock", "pdm.lock", "uv.lock")
"""Locks that list their packages alike. Beside a pyproject.toml they are the project's own; beside a setup.py they are only evidence."""


class _Pinned(msgspec.Struct, frozen=True):
    version: str = ""


class _PipfileLock(msgspec.Struct, frozen=True):
    default: dict[str, _Pinned] = {}


class _Package(msgspec.Struct, frozen=True):
    name: str
    version: str = ""


class _PackageList(msgspec.Struct, frozen=True):
    package: list[_Package] = []


class _PyLock(msgspec.Struct, frozen=True):
    packages: list[_Package] = []


def pins_beside(files: UserFiles, root: Path, listed: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    """Return (normalized name, version) of what the requirements files pin, or else a lock; empty if none of them can be read.

    A package that is pinned to several versions, for different systems, is left out.
    """
    try:
        found = list(_from_requirements(files, tuple(listed)) if listed else _from_lock(files, root))
    except (ShipwheelError, OSError, msgspec.MsgspecError):
        return ()
    return _unambiguous(found)


def pins_of_lock(files: UserFiles, path: Path) -> tuple[tuple[str, str], ...]:
    """Return (normalized name, version) of what a pylock.toml (PEP 751) has; empty if there is none, or one that cannot be read."""
    try:
        packages = msgspec.toml.decode(files.read_bytes(path), type=_PyLock).packages if files.is_file(path) else []
    except (OSError, msgspec.MsgspecError):
        return ()
    return _unambiguous((package.name, package.version) for package in packages if package.version)


def _unambiguous(found: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    versions: dict[str, set[str]] = {}
    for name, version in found:
        versions.setdefault(normalized(name), set()).add(version)
    return tuple(sorted((name, next(iter(known))) for name, known in versions.items() if len(known) == 1))


def _from_requirements(files: UserFiles, listed: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    for line in read_requirements(listed, files).lines:
        requirement = line.requirement
        if requirement is not None and not requirement.url and line.is_pinned:
            yield requirement.name, next(iter(requirement.specifier)).version


def _from_lock(files: UserFiles, root: Path) -> Iterator[tuple[str, str]]:
    if files.is_file(path := root / "Pipfile.lock"):
        for name, pinned in msgspec.json.decode(files.read_bytes(path), type=_PipfileLock).default.items():
            if pinned.version.startswith("=="):
                yield name, pinned.version.removeprefix("==")
        return
    if not files.is_file(root / "pyproject.toml"):
        path = next((root / name for name in _LISTS if files.is_file(root / name)), root / "none")
        packages = msgspec.toml.decode(files.read_bytes(path), type=_PackageList).package if path.name in _LISTS else ()
        yield from ((package.name, package.version) for package in packages if package.version)
