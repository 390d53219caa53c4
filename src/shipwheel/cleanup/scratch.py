"""Directories for scratch files below the system's temporary one, which end with their block, or with a process that is stopped.

A signal ends a command although its threads hang, or still remove a large tree: then `remove_scratch` removes what they have.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

__all__ = ["remove_scratch", "removed_at_the_end", "scratch_directory"]

_PATIENCE_S = 10.0
"""How long to try: programs that write there may just be ending."""
_POLL_S = 0.05

_removals: dict[Path, Callable[[], None]] = {}
"""The directories that are there, each with what removes it. Any thread may change it."""


@contextmanager
def scratch_directory(prefix: str = "shipwheel-", *, ignore_cleanup_errors: bool = False) -> Iterator[Path]:
    """Make a directory, yield its absolute path without links, and remove it behind the block."""
    import tempfile  # it takes longer than a command that has nothing to do

    directory = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=ignore_cleanup_errors)
    path = Path(directory.name).resolve()

    def remove() -> None:
        try:
            directory.cleanup()
        except RecursionError:
            _flatten(path)
            directory.cleanup()

    _removals[path] = remove
    try:
        yield path
    finally:
        remove()
        _removals.pop(path, None)


@contextmanager
def removed_at_the_end(path: Path) -> Iterator[None]:
    """Let `remove_scratch` remove a directory during the block, which somebody else has made and removes."""
    import shutil

    _removals[path] = partial(shutil.rmtree, path, ignore_errors=True)
    try:
        yield
    finally:
        _removals.pop(path, None)


def _flatten(top: Path) -> None:
    """Move all directories of a tree to the same depth: shutil goes down by a call for each, and programs of others make any number."""
    import tempfile

    pending = [Path(entry.path) for entry in os.scandir(top) if entry.is_dir(follow_symlinks=False)]
    flat, number = Path(tempfile.mkdtemp(dir=top)), 0
    while pending:
        folder = pending.pop()
        folder.chmod(0o700)
        moved = flat / str(number := number + 1)
        pending += [Path(entry.path) for entry in os.scandir(folder.rename(moved)) if entry.is_dir(follow_symlinks=False)]


def remove_scratch() -> None:
    """Remove the directories of all threads, right before the process ends."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        left = [remove for path, remove in tuple(_removals.items()) if path.exists()]
        for remove in left:
            # A tree can be too deep for shutil.
            with suppress(OSError, RecursionError):
                remove()
        if not left or time.monotonic() > end:
            return
        time.sleep(_POLL_S)
