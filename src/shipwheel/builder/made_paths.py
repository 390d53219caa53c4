"""The paths that a command makes or changes in a directory, by what is there before and after it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from shipwheel.project.default_excludes import NEVER_INCLUDED

__all__ = ["FileStates", "file_states", "made_paths"]

_IGNORED = NEVER_INCLUDED | {".yarn", ".pnpm-store", ".parcel-cache", ".angular", ".turbo"}
"""Directories with packages, and caches. Vite's is in node_modules: a directory .vite elsewhere holds the manifest that a server reads."""

FileStates = Mapping[str, tuple[int, ...]]
"""Path below a directory -> what changes when the file is written."""


def file_states(root: Path) -> FileStates:
    """Return the state of every file and symbolic link below a directory, without packages and caches."""
    return dict(_states(root, ""))


def made_paths(root: Path, before: FileStates) -> tuple[str, ...]:
    """Return the sorted paths of what is new or was changed since. A directory in which nothing was before stands for all in it."""
    made = [path for path, state in _states(root, "") if before.get(path) != state]
    old = {parent for path in before for parent in _parents(path)}
    return tuple(sorted({next((parent for parent in _parents(path) if parent not in old), path) for path in made}))


def _states(root: Path, below: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    with os.scandir(root / below) as entries:
        for entry in entries:
            path = f"{below}/{entry.name}".lstrip("/")
            if not entry.is_dir(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                yield path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)
            elif entry.name not in _IGNORED:
                yield from _states(root, path)


def _parents(path: str) -> Iterator[str]:
    """Yield the directories above a path, outermost first."""
    return (path[:number] for number, letter in enumerate(path) if letter == "/")
