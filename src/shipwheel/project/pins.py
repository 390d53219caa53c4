"""Versions that stand beside a project's open requirements, in a pinned list or a lock: what the project is known to run with."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from shipwheel.errors import ShipwheelError
from shipwheel.project.requirements import read_requirements
from shipwheel.user.files import UserFiles
from shipwheel.versions import normalized

__all__ = ["Pins", "pins_beside", "pins_of_lock"]

_LISTS = ("poetry.lock", "pdm.lock", "uv.lock")
"""Locks that list their packages alike. Beside a pyproject.toml they are the project's own; beside a setup.py they are only evidence."""


class Pins(msgspec.Struct, frozen=True):
    """(normalized name, version) of packages, each name once, and the name of the file that has them; false without any."""

    versions: tuple[tuple[str, str], ...] = ()
    origin: str = ""

    def __bool__(self) -> bool:
        return bool(self.versions)


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


def pins_beside(files: UserFiles, root: Path, listed: Sequence[Path]) -> Pins:
    """Return what the requirements files pin, or else a lock; empty if none of them can be read.

    A package that is pinned to several versions, for different systems, is left out.
    """
    try:
        path = listed[0] if listed else _lock_beside(files, root)
        found = list(_from_requirements(files, tuple(listed)) if listed else _from_lock(files, path) if path is not None else ())
    except (ShipwheelError, OSError, msgspec.MsgspecError):
        return Pins()
    return _unambiguous(found, os.path.relpath(path, root)) if path is not None else Pins()


def pins_of_lock(files: UserFiles, path: Path) -> Pins:
    """Return what a pylock.toml (PEP 751) has; empty if there is none, or one that cannot be read."""
    try:
        packages = msgspec.toml.decode(files.read_bytes(path), type=_PyLock).packages if files.is_file(path) else []
    except (OSError, msgspec.MsgspecError):
        return Pins()
    return _unambiguous(((package.name, package.version) for package in packages if package.version), path.name)


def _unambiguous(found: Iterable[tuple[str, str]], origin: str) -> Pins:
    versions: dict[str, set[str]] = {}
    for name, version in found:
        versions.setdefault(normalized(name), set()).add(version)
    return Pins(tuple(sorted((name, next(iter(known))) for name, known in versions.items() if len(known) == 1)), origin)


def _from_requirements(files: UserFiles, listed: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    for line in read_requirements(listed, files).lines:
        requirement = line.requirement
        if requirement is not None and not requirement.url and line.is_pinned:
            yield requirement.name, next(iter(requirement.specifier)).version


def _lock_beside(files: UserFiles, root: Path) -> Path | None:
    names = ("Pipfile.lock", *(() if files.is_file(root / "pyproject.toml") else _LISTS))
    return next((root / name for name in names if files.is_file(root / name)), None)


def _from_lock(files: UserFiles, path: Path) -> Iterator[tuple[str, str]]:
    data = files.read_bytes(path)
    if path.name == "Pipfile.lock":
        for name, pinned in msgspec.json.decode(data, type=_PipfileLock).default.items():
            if pinned.version.startswith("=="):
                yield name, pinned.version.removeprefix("==")
        return
    for package in msgspec.toml.decode(data, type=_PackageList).package:
        if package.version:
            yield package.name, package.version
