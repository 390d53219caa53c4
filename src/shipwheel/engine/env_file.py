"""Variables for programs that take them from a file: in memory, so that they are neither on disk nor in the list of processes."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["env_file", "in_memory"]


@contextmanager
def in_memory(data: bytes) -> Iterator[int]:
    """A file descriptor that reads as these bytes; Linux alone has such files."""
    handle = os.memfd_create("shipwheel")
    try:
        os.write(handle, data)
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def env_file(env: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...], tuple[int, ...]]]:
    """(path of a file with a line for each variable, flags for those that a line cannot hold, descriptors to keep open)."""
    flags = tuple(f"--env={name}={value}" for name, value in env.items() if "\n" in value)
    lines = "".join(f"{name}={value}\n" for name, value in env.items() if "\n" not in value)
    if not lines:
        yield "", flags, ()
        return
    with in_memory(lines.encode()) as handle:
        yield f"/proc/self/fd/{handle}", flags, (handle,)
