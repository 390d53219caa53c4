"""Emulation of arm64: the kernel's entries for foreign programs (binfmt_misc)."""

import fcntl
import itertools
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.engines.sandbox import RUN

__all__ = ["BINFMT", "ensure_binfmt"]

BINFMT = Path("/proc/sys/fs/binfmt_misc")

_RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
_MOUNTED = Path("/run/shipwheel-binfmt-mounted")
"""Exists while the file system is mounted by a test run: the last user unmounts it."""

_NUMBERS = itertools.count()


def ensure_binfmt() -> Callable[[], None]:
    """Make the kernel run arm64 programs with qemu, also in containers. Return a function that undoes exactly that.

    Every caller registers an entry of its own, so that test processes and test runs that overlap do not disturb each other.
    """
    entry = f"shipwheel-{RUN}-{os.getpid()}-{next(_NUMBERS)}"
    with _locked():
        if not (BINFMT / "register").exists():
            subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
            _MOUNTED.touch()
        _, _, kind, offset, magic, mask, interpreter, flags = _RULE.read_text().strip().split(":")
        plain = re.sub(r"\\x(..)", r"\1", magic)
        emulated = any(_emulates(text, plain) for name, text in _entries().items() if not name.startswith("shipwheel-"))
        if not emulated:
            flags = "".join(dict.fromkeys(flags + "F"))
            (BINFMT / "register").write_text(":".join(["", entry, kind, offset, magic, mask, interpreter, flags]))

    def undo() -> None:
        with _locked():
            if not emulated:
                (BINFMT / entry).write_text("-1")
            if _MOUNTED.exists() and not _entries():
                subprocess.run(["umount", str(BINFMT)], check=True)
                _MOUNTED.unlink()

    return undo


@contextmanager
def _locked() -> Iterator[None]:
    with Path("/run/shipwheel-binfmt.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _entries() -> dict[str, str]:
    """Return the kernel's entries: name -> text."""
    names = [path for path in BINFMT.iterdir() if path.name not in ("register", "status")] if BINFMT.exists() else []
    return {path.name: path.read_text() for path in names}


def _emulates(entry: str, magic: str) -> bool:
    """Return whether an entry runs arm64 programs in containers too. That takes flag F: the kernel opens the interpreter at once."""
    flags = re.search(r"^flags: (\S*)$", entry, re.MULTILINE)
    return entry.startswith("enabled") and f"magic {magic}" in entry and "F" in (flags[1] if flags else "")
