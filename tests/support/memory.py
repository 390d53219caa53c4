"""The memory that a process tree allocates for itself."""

import threading
from contextlib import suppress
from pathlib import Path

__all__ = ["PeakMemory"]

_POLL_S = 0.1


class PeakMemory:
    """The largest number of bytes that a process and its descendants held at one time, as a context manager that samples.

    Only memory of their own counts: anonymous and shared memory (RssAnon and RssShmem in proc(5)). Pages of files that are read or mapped
    belong to the page cache; the kernel reclaims them, and how many there are depends on the machine.
    """

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_POLL_S):
            self.bytes = max(self.bytes, sum(_own_memory(pid) for pid in _tree(self._pid)))


def _tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for parent in found:
        # Threads and processes end at any time: a glob stops at that with an error.
        with suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                with suppress(OSError):
                    found += map(int, (thread / "children").read_text().split())
    return found


def _own_memory(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return 0
