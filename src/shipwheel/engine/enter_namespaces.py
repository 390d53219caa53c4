"""Run a program in the namespaces of another process, as that process's user. A program of its own, for Linux.

Its arguments are a process ID and a file descriptor, which reads as JSON: `argv`, `env` and `directory`.

nsenter cannot do this for a user who is not root: bubblewrap makes two user namespaces, and the mounts belong to the outer one, so they
must be entered between the two (setns(2), ioctl_ns(2)).
"""

import ctypes
import fcntl
import json
import os
import sys
from pathlib import Path

__all__ = ["main"]

NS_GET_USERNS = 0xB701
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
MAX_CAPABILITY = 63

LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int) -> None:
    """Enter a namespace that is open as this file descriptor. Raise OSError if that fails."""
    if LIBC.setns(namespace, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter_namespaces(pid: str) -> None:
    """Enter all namespaces of a process that are not this process's own, so that children are in them."""
    foreign = {}
    for name in ("ipc", "uts", "cgroup", "net", "pid", "mnt", "user"):
        handle = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        if os.fstat(handle).st_ino != Path(f"/proc/self/ns/{name}").stat().st_ino:
            foreign[name] = handle
    inner = foreign.pop("user")
    outer: int = fcntl.ioctl(foreign["mnt"], NS_GET_USERNS)
    enter(outer)
    for handle in foreign.values():
        enter(handle)
    if os.fstat(inner).st_ino != os.fstat(outer).st_ino:
        enter(inner)


def main() -> None:
    """Enter the namespaces, run the program without capabilities, and exit with its status: 126 or 127 if it cannot be started."""
    with open(int(sys.argv[2]), encoding="utf-8") as stream:  # noqa: PTH123 - a file descriptor
        settings = json.load(stream)
    enter_namespaces(sys.argv[1])
    # A process is in another PID namespace only with its children.
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.exit(status if status >= 0 else 128 - status)
    for number in range(MAX_CAPABILITY + 1):
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    program = settings["argv"][0]
    try:
        os.chdir(settings["directory"])
        os.execvpe(program, settings["argv"], settings["env"])  # noqa: S606 - exec form, no shell
    except OSError as error:
        print(f"cannot start {program!r}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201 - a program of its own
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
