"""The states of files and directories as values: equal as long as nobody changes them. The standard library alone."""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator

__all__ = ["OPAQUE", "State", "Uncomparable", "entries", "file_state", "folder_state", "is_in_tree", "tree_entries", "tree_state"]

OPAQUE = frozenset({".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
"""Directories in which only what is opened or listed counts."""

_MAX_ENTRIES = 20_000
"""Larger trees are not compared: that takes as long as a build."""

State = tuple[int, ...]
"""The state of a path: empty if it is absent, its mode if it is a directory, else mode, inode, size in bytes, times of change in ns."""


class Uncomparable(Exception):
    """A tree has too many entries."""


def file_state(path: str) -> State:
    """Return the state of what a path leads to."""
    try:
        return _state(os.stat(path))  # noqa: PTH116 - strings all the way: there are thousands
    except (OSError, ValueError):
        return ()


def is_in_tree(path: str, root: str) -> bool:
    """Return whether the state of a directory's tree tells of changes at `path`."""
    return path.startswith(f"{root}/") and OPAQUE.isdisjoint(path[len(root) :].split("/")[:-1])


def entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the entries of a directory, sorted by name; links are not followed. Raise OSError."""
    with os.scandir(folder) as found:
        listed = sorted(found, key=lambda entry: entry.name)
    for entry in listed:
        yield entry.path, entry.stat(follow_symlinks=False)


def tree_entries(root: str, opaque: Collection[str] = OPAQUE) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the entries below a directory, but not of those with opaque names. Raise OSError, and Uncomparable after too many."""
    pending, count = [root], 0
    while pending:
        for path, status in entries(pending.pop()):
            count += 1
            if count > _MAX_ENTRIES:
                raise Uncomparable
            yield path, status
            if stat.S_ISDIR(status.st_mode) and os.path.basename(path) not in opaque:  # noqa: PTH119
                pending.append(path)


def tree_state(root: str, opaque: Collection[str] = OPAQUE) -> str:
    """Return a hash of the entries below a directory, but not of those with opaque names. Raise OSError and Uncomparable."""
    return _hash(_line(path, status) for path, status in tree_entries(root, opaque))


def folder_state(folder: str) -> str:
    """Return a hash of the entries of a directory. Raise OSError."""
    return _hash(_line(path, status) for path, status in entries(folder))


def _line(path: str, status: os.stat_result) -> bytes:
    # Where a link leads decides whether it counts as a file.
    end = file_state(path)[:1] if stat.S_ISLNK(status.st_mode) else ()
    return b"%s %r %r" % (os.fsencode(path), _state(status), end)


def _state(status: os.stat_result) -> State:
    if stat.S_ISDIR(status.st_mode):
        return (status.st_mode,)
    return (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _hash(items: Iterator[bytes]) -> str:
    hasher = hashlib.sha256()
    for item in sorted(items):
        hasher.update(b"%d:%s" % (len(item), item))
    return hasher.hexdigest()
