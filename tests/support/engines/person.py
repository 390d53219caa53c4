"""A person without rights, in a sandbox: its commands run with their IDs, and with what rootless podman needs of the system."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from support.engines.sandbox import Sandbox

__all__ = ["PERSON", "enter_as_person"]

PERSON = 100000
"""Their user and group."""

_NAME = "person"
_LINES = {
    "passwd": f"{_NAME}:x:{PERSON}:{PERSON}::/:/usr/sbin/nologin\n",
    "group": f"{_NAME}:x:{PERSON}:\n",
    "subuid": f"{_NAME}:200000:65536\n",
    "subgid": f"{_NAME}:200000:65536\n",
}
_TUN = (10, 200)


def enter_as_person(sandbox: Sandbox, places: Iterable[Path]) -> None:
    """Give a sandbox to them, in which `places` belong to them as they belong to root outside.

    The system's own files stay as they are: those that name the person are mounted over them in the sandbox.
    """
    etc = sandbox.folder("etc")
    for file, line in _LINES.items():
        system = Path("/etc", file)
        (etc / file).write_text(system.read_text() + line)
        sandbox.run(["mount", "--bind", str(etc / file), str(system)])
    closed = {_closed(path) for path in (*places, Path(sys.executable).resolve())}
    for place in sorted(closed):
        if not any(other in closed for other in place.parents):
            sandbox.run(["mount", "--bind", "-o", f"X-mount.idmap=b:0:{PERSON}:1", str(place), str(place)])
    # pasta, which connects a container, opens it as the person; not every machine lets all of them do that.
    os.mknod(etc / "tun", 0o020666, os.makedev(*_TUN))
    (etc / "tun").chmod(0o666)
    sandbox.run(["mount", "--bind", str(etc / "tun"), "/dev/net/tun"])
    # podman has its locks here.
    sandbox.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"])
    sandbox.run(["mount", "--make-rshared", "/"])
    sandbox.belongs_to(PERSON)
    sandbox.environment |= {"USER": _NAME, "XDG_RUNTIME_DIR": str(sandbox.folder("runtime")), "NETAVARK_FW": "iptables"}


def _closed(path: Path) -> Path:
    """Return the outermost directory above a path that others cannot enter, or the path itself."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), path)
