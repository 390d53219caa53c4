"""The processes that keep a sandbox alive, run as a program. Everything ends when standard input closes, also when the test run is killed.

Two processes share the work. The outer one sees all control groups of the machine, and removes the sandbox's when the inner one has ended.
The inner one is the first process of the sandbox's namespaces. Only the standard library is imported, so that they start quickly.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["inner", "outer"]

_CGROUPS = Path("/sys/fs/cgroup")
_CLONE_NEWCGROUP = 0x02000000
_UNSHARE = ("unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "--kill-child=KILL")


def outer(group: str) -> None:
    """Start the inner process, print its number once it is ready, and remove its control groups after its end.

    The tree of control groups is version 2 even if the host mounts version 1 as well: crun refuses such a mixture.
    """
    _mount("cgroup2", _CGROUPS)
    child = subprocess.Popen([*_UNSHARE, sys.executable, "-I", __file__, group, "inner"], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    if child.stdout.readline() == "ready\n":
        print(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().strip(), flush=True)
    child.wait()
    _remove_cgroups(_CGROUPS / group)


def inner(group: str) -> None:
    """Hide the directories that engines write to despite their options, hold the namespaces, and end all processes in them."""
    for folder in ("/run", "/var/lib"):
        _mount("tmpfs", Path(folder))
    _own_cgroups(_CGROUPS / group)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    signal.signal(signal.SIGCHLD, _reap)
    print("ready", flush=True)
    sys.stdin.buffer.read()
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # This reaches the processes of our namespace only.


def _mount(kind: str, folder: Path) -> None:
    subprocess.run(["mount", "-t", kind, kind, folder], check=True)


def _own_cgroups(group: Path) -> None:
    """Make a group the root of the tree that this namespace sees. Processes start in a group below, so that engines can divide the root."""
    group.mkdir()
    (group / "cgroup.procs").write_text("0")
    # os.unshare exists from Python 3.12 on.
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWCGROUP):
        raise OSError(ctypes.get_errno(), "cannot create a namespace of control groups")
    _mount("cgroup2", _CGROUPS)
    (_CGROUPS / "init").mkdir()
    (_CGROUPS / "init" / "cgroup.procs").write_text("0")


def _reap(*_: object) -> None:
    """Reap orphans, which only the first process of a namespace can do."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _remove_cgroups(top: Path) -> None:
    """Remove a tree of control groups. Retry, because the kernel still counts a killed process for a moment."""
    for _ in range(250):
        for folder, _dirs, _files in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        if not top.exists():
            return
        time.sleep(0.02)


if __name__ == "__main__":
    (inner if sys.argv[2:] else outer)(sys.argv[1])
