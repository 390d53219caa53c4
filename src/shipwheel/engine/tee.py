"""Pass the output of a program on as it comes, and keep its end."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Tail", "passed_on"]

_LIMIT = 64 << 10
_CHUNK = 64 << 10
_STDOUT, _STDERR = 1, 2
_REST_S = 1.0
"""Seconds to wait for the rest of the output once the program has ended: a process that it left behind may keep the pipe open."""


class Tail:
    """The last 64 KiB of a program's output, from both of its streams."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        """Add what was read from a stream."""
        with self._lock:
            self._data += data
            del self._data[:-_LIMIT]

    def text(self) -> str:
        """Return the output so far."""
        with self._lock:
            return self._data.decode("utf-8", "replace")


@contextmanager
def passed_on(tail: Tail) -> Iterator[tuple[int, int]]:
    """Give the descriptors for a program's standard output and error; what it writes there reaches ours, and `tail`.

    The program must have ended when the block does. If our stream is closed, the program's is too.
    """
    pipes = {_STDOUT: os.pipe()}
    pipes[_STDERR] = pipes[_STDOUT] if _are_one_file() else os.pipe()
    threads = [
        threading.Thread(target=_copy, args=(read_end, stream, tail), daemon=True)
        for stream, (read_end, _) in {pipe: (stream, pipe) for stream, pipe in reversed(pipes.items())}.values()
    ]
    for thread in threads:
        thread.start()
    try:
        yield pipes[_STDOUT][1], pipes[_STDERR][1]
    finally:
        for write_end in {pipe[1] for pipe in pipes.values()}:
            os.close(write_end)
        for thread in threads:
            thread.join(_REST_S)


def _are_one_file() -> bool:
    """Return whether our standard output and error are the same file, where the order of the lines matters."""
    with suppress(OSError):
        return os.path.sameopenfile(_STDOUT, _STDERR)
    return False


def _copy(read_end: int, stream: int, tail: Tail) -> None:
    with suppress(OSError), os.fdopen(read_end, "rb", buffering=0) as source:
        while data := source.read(_CHUNK):
            tail.add(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(stream, rest) :]
