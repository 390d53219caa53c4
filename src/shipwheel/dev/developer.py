"""The person for whom a development container runs: what it writes into their directory must belong to them."""

import os
import tempfile
from pathlib import Path

import msgspec

from shipwheel.container.path import ContainerPath
from shipwheel.engine.interface import Mount

__all__ = ["Developer", "developer_of"]

_HOME = "/tmp"  # noqa: S108 - in the container, where it is writable

_SHELL = "/usr/sbin/nologin"
_NO_IDS = 1000
"""The IDs where the system has none: its containers run in a virtual machine that maps all to the person."""


class Developer(msgspec.Struct, frozen=True):
    """The numeric user and group that own the directory."""

    uid: int
    gid: int

    @property
    def user(self) -> str:
        """The user as engines take it: `UID:GID`."""
        return f"{self.uid}:{self.gid}"

    @property
    def passwd(self) -> str:
        """The lines of /etc/passwd (passwd(5)): programs ask for the name and the home directory of their user."""
        root = f"root:x:0:0:root:/root:{_SHELL}\n"
        return (root if self.uid else "") + f"developer:x:{self.uid}:{self.gid}:developer:{_HOME}:{_SHELL}\n"

    @property
    def group(self) -> str:
        """The lines of /etc/group (group(5))."""
        return ("root:x:0:\n" if self.gid else "") + f"developer:x:{self.gid}:\n"

    def give(self, path: Path) -> None:
        """Give them a file or directory that root has made for them; anyone else's files are their own."""
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def mounts(self, folder: Path) -> tuple[Mount, ...]:
        """Write both files below a directory of this machine, and return the mounts that bring them into a container."""
        found = []
        for name, text in (("passwd", self.passwd), ("group", self.group)):
            path = folder / f"{name}-{self.uid}-{self.gid}"
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as stream:
                stream.write(text)
            Path(stream.name).chmod(0o644)
            Path(stream.name).replace(path)
            found.append(Mount(str(path), ContainerPath(f"/etc/{name}"), read_only=True))
        return tuple(found)


def developer_of(root: Path) -> Developer:
    """Return the person who runs this, or the owner of the project's directory if that is root."""
    if not hasattr(os, "getuid"):
        return Developer(_NO_IDS, _NO_IDS)
    if os.getuid() != 0:
        return Developer(os.getuid(), os.getgid())
    status = root.stat()
    return Developer(status.st_uid, status.st_gid)
