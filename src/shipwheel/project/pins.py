"""Versions that stand beside a package's open requirements, in a pinned list or in Pipenv's lock: what the project is known to run with."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.project.requirements import read_requirements
from shipwheel.user_files import UserFiles
from shipwheel.versions import normalized

__all__ = ["pins_beside"]


class _Pinned(msgspec.Struct, frozen=True):
    version: str = ""


class _PipfileLock(msgspec.Struct, frozen=True):
    default: dict[str, _Pinned] = {}


def pins_beside(files: UserFiles, root: Path, listed: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    """Return (normalized name, version) of what the requirements files pin, or else Pipenv's lock; empty if neither can be read."""
    try:
        found = dict(_from_requirements(files, tuple(listed)) if listed else _from_pipenv(files, root / "Pipfile.lock"))
    except (ProjectError, OSError, msgspec.MsgspecError):
        return ()
    return tuple(sorted(found.items()))


def _from_requirements(files: UserFiles, listed: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    for line in read_requirements(listed, files).lines:
        requirement = line.requirement
        if requirement is not None and not requirement.url and line.is_pinned:
            yield normalized(requirement.name), next(iter(requirement.specifier)).version


def _from_pipenv(files: UserFiles, path: Path) -> Iterator[tuple[str, str]]:
    if not files.is_file(path):
        return
    for name, pinned in msgspec.json.decode(files.read_bytes(path), type=_PipfileLock).default.items():
        if pinned.version.startswith("=="):
            yield normalized(name), pinned.version.removeprefix("==")
