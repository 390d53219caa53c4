"""Which foreign platforms this machine's kernel can run: binfmt_misc, filled by qemu-user's packages."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from shipwheel.errors import EngineError
from shipwheel.platform import Platform, host_platform

__all__ = ["emulated", "kernel", "runnable", "with_emulation"]

BINFMT = Path("/proc/sys/fs/binfmt_misc")

_MAGIC = {"amd64": "7f454c4602010100000000000000000002003e00", "arm64": "7f454c460201010000000000000000000200b700"}
"""The start of an ELF program of each architecture, as the kernel's entries have it."""


def kernel() -> str:
    """The release of this machine's kernel, empty where it is not Linux: an engine with another one runs elsewhere."""
    name = os.uname() if hasattr(os, "uname") else None
    return name.release if name is not None and name.sysname == "Linux" else ""


def emulated() -> tuple[Platform, ...]:
    """The foreign platforms whose programs the kernel gives to an emulator, in containers too."""
    try:
        texts = [path.read_text() for path in BINFMT.iterdir() if path.name not in ("register", "status")]
    except OSError:
        return ()
    host = host_platform()
    found = {name for name, magic in _MAGIC.items() if any(_takes(text, magic) for text in texts)} - {host.architecture}
    return tuple(Platform("linux", name) for name in sorted(found))


def with_emulation(host: Platform, engines_kernel: str) -> tuple[Platform, ...]:
    """What an engine can run: its host's platform, and what is emulated where it runs.

    That can be seen if it is this machine. The virtual machines that engines bring to other systems have emulators in them.
    """
    if kernel() and engines_kernel == kernel():
        return (host, *emulated())
    return (host, *(Platform("linux", name) for name in sorted(_MAGIC) if name != host.architecture))


def runnable(platform: Platform, platforms: Sequence[Platform], way: str = "") -> None:
    """Raises EngineError, with what to install, if `platform` is none of those; `way` is the engine's own way."""
    if any(one.matches(platform) for one in platforms):
        return
    also = f", or {way}" if way else ""
    hint = f"On Debian and Ubuntu: apt-get install qemu-user-binfmt{also}. Or run an image for {platforms[0]}."
    if kernel() and not (BINFMT / "status").exists():
        # In a container, say: the kernel may have emulators all the same.
        hint += f" Emulators that are there already can be seen after mount -t binfmt_misc binfmt_misc {BINFMT}."
    raise EngineError(f"{platform} programs cannot run here: the kernel is not seen to have an emulator for them", hint=hint)


def _takes(text: str, magic: str) -> bool:
    """Whether an entry is on, for this kind of program, and opened at once (flag F): else a container would not find the emulator."""
    flags = re.search(r"^flags: (\S*)$", text, re.MULTILINE)
    return text.startswith("enabled") and f"magic {magic}" in text and "F" in (flags[1] if flags else "")
