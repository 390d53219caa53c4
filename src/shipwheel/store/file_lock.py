"""Locks between processes that change the same files. They end with the process, however it ends; on Windows there are none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["lock_file", "locked_directory"]


def lock_file(file: BinaryIO | int, *, wait: bool = True, shared: bool = False) -> bool:
    """Lock an open file or file descriptor until it is closed. Return False if it is locked elsewhere and `wait` is false.

    Any number of processes may hold a `shared` lock at the same time, if none holds one that is not.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Wait until no other process has locked the directory, and lock it. Raise OSError if it cannot be opened."""
    if os.name == "nt":
        yield
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock_file(handle)
        yield
    finally:
        os.close(handle)
