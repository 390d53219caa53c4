"""The first process of a sandbox, run as a program: it keeps the namespaces alive and ends everything in them.

Imports the standard library only, so that it starts quickly in any interpreter.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["main"]

_CGROUPS = Path("/sys/fs/cgroup")


def main(cgroup: str) -> None:
    """Hold the namespaces until the owner closes our input or dies, then end all processes in them."""
    _hide_host()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    signal.signal(signal.SIGCHLD, _reap)
    print("ready", flush=True)
    sys.stdin.buffer.read()
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # This reaches the processes of our namespace only.
    _remove_cgroups(_CGROUPS / cgroup)


def _hide_host() -> None:
    """Cover the directories that engines write to despite their options, and mount one clean tree of control groups.

    The tree is version 2 even if the host mounts version 1 as well: crun refuses such a mixture.
    """
    for kind, folder in (("tmpfs", "/run"), ("tmpfs", "/var/lib"), ("cgroup2", str(_CGROUPS))):
        subprocess.run(["mount", "-t", kind, kind, folder], check=True)


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
    main(sys.argv[1])
