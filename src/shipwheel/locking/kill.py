"""Ending a program with all that it started. Only the standard library is imported, because `build_hook` needs this."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["kill_with_children"]


def kill_with_children(process: "subprocess.Popen[bytes]") -> None:
    """Kill a program that leads a group, this group, and its children in other groups; wait for the program.

    bubblewrap's child leaves the group, and would outlive a bubblewrap that is killed before it has asked the kernel to end it, too. It is
    only on Linux, as are lists of children.
    """
    if sys.platform == "linux" and process.poll() is None:
        # A program that is stopped starts nothing between the look at its children and its end.
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        for pid in (*_descendants(process.pid), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _descendants(pid: int) -> Iterator[int]:
    """Yield the children of a program, their children first."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield from _descendants(child)
                yield child
