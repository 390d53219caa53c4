"""Devices in bubblewrap: copies of this machine's, if root starts it. The standard library alone.

bubblewrap shows a program the device nodes of this machine. What root starts owns them in any namespace, and may change their modes, as
some tools do with whatever they write: then nobody else can write to /dev/null any more.
"""

import os
import stat
import threading
from pathlib import Path

__all__ = ["device_flags"]

_NAMES = ("null", "zero", "full", "random", "urandom", "tty")
"""The devices that bubblewrap shows (bwrap(1): --dev)."""
_COPIES = Path("/var/cache/shipwheel-devices")
"""Only root can write there. Other places for caches may be mounted without devices."""


def device_flags(path: str = "/dev") -> tuple[str, ...]:
    """Return bubblewrap's flags for devices at a path in the sandbox."""
    copied = os.geteuid() == 0 and all(_is_copied(name) for name in _NAMES)
    binds = (("--dev-bind", str(_COPIES / name), f"{path}/{name}") for name in _NAMES if copied)
    return ("--dev", path, *(word for bind in binds for word in bind))


def _is_copied(name: str) -> bool:
    """Make or mend the copy of a device, and return whether that is possible: some containers allow no devices."""
    copy = _COPIES / name
    try:
        number = Path("/dev", name).stat().st_rdev
        if not os.path.lexists(copy):
            _COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
            part = copy.with_name(f"{name}.{os.getpid()}.{threading.get_ident()}")
            os.mknod(part, stat.S_IFCHR | 0o600, number)
            part.rename(copy)
        found = copy.lstat()
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != number or found.st_uid != 0:
            return False
        if stat.S_IMODE(found.st_mode) != 0o666:
            copy.chmod(0o666)
        if name == "null":
            # A file system without devices, and a container that may not open them, make them all the same.
            copy.write_bytes(b"")
    except OSError:
        return False
    return True
