"""Let the system calls that wait for the disk succeed at once, in this process and in all that it starts.

No store of a test need survive a power failure, and engines, dpkg and databases wait for each file that they write.
"""

import ctypes
import platform
import struct
import sys

__all__ = ["ignore_syncs"]

# Numbers of linux/audit.h and asm/unistd.h: fsync, fdatasync, sync, sync_file_range, syncfs.
_CALLS = {"x86_64": (0xC000003E, (74, 75, 162, 277, 306)), "aarch64": (0xC00000B7, (82, 83, 81, 84, 267))}

# linux/bpf_common.h, linux/seccomp.h and linux/prctl.h.
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_CALL, _ARCHITECTURE = 0, 4
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000
_SET_SECCOMP, _FILTER = 22, 2


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def ignore_syncs() -> bool:
    """Install a filter of seccomp(2). Return whether it is there: it needs Linux and CAP_SYS_ADMIN, because no right must be lost."""
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return False
    architecture, calls = _CALLS[platform.machine()]
    count = len(calls)
    lines = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 0, count + 1, architecture), (_LOAD, 0, 0, _CALL)]
    lines += [(_EQUAL, count - place, 0, call) for place, call in enumerate(calls)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _SUCCEED)]
    program = _Program(len(lines), b"".join(struct.pack("=HBBI", *line) for line in lines))
    failed: int = ctypes.CDLL(None).prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program))
    return not failed
