"""Ending a program with all that it started. Only the standard library is imported, because `locking.build_hook` needs this."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["kill_with_children"]

_END_TIMEOUT_S = 10.0


def kill_with_children(process: "subprocess.Popen[bytes]") -> None:
    """Kill a program, the group that it leads, and its children in other groups; wait for all but those that only the group has.

    bubblewrap's child leaves the group, and would outlive a bubblewrap that is killed before it has asked the kernel to end it, too. It is
    only on Linux, as are lists of children.
    """
    try:
        _kill_children(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def _kill_children(process: "subprocess.Popen[bytes]") -> None:
    """Kill what a program started, and wait for it: the first process of a namespace ends behind all others in it (pid_namespaces(7))."""
    if sys.platform != "linux" or process.poll() is not None:
        return
    # A program that is stopped starts nothing between the look at its children and its end, which another thread may wait for.
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    handles = []
    try:
        for pid in tuple(_descendants(process.pid)):
            # Old kernels have no handles, and the rules of some containers allow none.
            with suppress(OSError):
                handles.append(os.pidfd_open(pid))
            # A child may be another user's, such as that of sudo.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for handle in handles:
            _wait_for(handle)
    finally:
        for handle in handles:
            os.close(handle)


def _wait_for(handle: int) -> None:
    # select(2) takes no handle from 1024 on.
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(_END_TIMEOUT_S * 1000)


def _descendants(pid: int) -> Iterator[int]:
    """Yield the children of a program, their children first."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield from _descendants(child)
                yield child
