"""Waiting for processes. The limits only end a test that hangs: no outcome depends on how long something takes."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["HANG_S", "ended", "has_ended", "interrupted_when", "is_below", "until"]

HANG_S = 600.0
"""After this many seconds a test has failed, however slow the machine is."""

_POLL_S = 0.005


class Interrupted(BaseException):
    """Stands for the interruption of a person, wherever it comes."""


def until(holds: Callable[[], object], process: "subprocess.Popen[str] | None" = None) -> None:
    """Poll until `holds` returns something true, at least as long as the process runs."""
    deadline = time.monotonic() + HANG_S
    while not holds():
        assert time.monotonic() < deadline, "this never happened"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(_POLL_S)


@contextmanager
def ended(process: "subprocess.Popen[str]") -> "Iterator[subprocess.Popen[str]]":
    """Kill the process at the end of the block, and close its pipes, so that a failed test disturbs no other."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def has_ended(pid: int) -> bool:
    """Return whether a process is no longer there, or is only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def interrupted_when(ready: Callable[[], bool], do: Callable[[], object]) -> None:
    """Do something, and interrupt it when `ready` returns true."""

    def handle(*_: object) -> None:
        raise Interrupted

    def interrupt() -> None:
        until(ready)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Interrupted):
            do()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def is_below(directory: Path, name: str) -> bool:
    """Return whether a file or directory of that name is anywhere below a directory, in which others come and go meanwhile."""
    return any(name in (*folders, *files) for _, folders, files in os.walk(directory))
