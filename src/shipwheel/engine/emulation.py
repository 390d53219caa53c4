"""The foreign platforms that this machine's kernel can run: binfmt_misc, filled by qemu-user's packages."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from shipwheel.errors import EngineError
from shipwheel.platform import Platform, host_platform

__all__ = ["check_runnable", "emulated_platforms", "engine_platforms", "kernel_release"]

BINFMT = Path("/proc/sys/fs/binfmt_misc")

_MAGIC = {"amd64": "7f454c4602010100000000000000000002003e00", "arm64": "7f454c460201010000000000000000000200b700"}
"""The start of each architecture's ELF programs, as in the kernel's entries."""


def kernel_release() -> str:
    """Return the release of this machine's kernel, empty on other systems than Linux."""
    name = os.uname() if hasattr(os, "uname") else None
    return name.release if name is not None and name.sysname == "Linux" else ""


def emulated_platforms() -> tuple[Platform, ...]:
    """Return the foreign platforms whose programs the kernel passes to an emulator, in containers too."""
    try:
        entries = [path.read_text() for path in BINFMT.iterdir() if path.name not in ("register", "status")]
    except OSError:
        return ()
    names = {name for name, magic in _MAGIC.items() if any(_works_in_containers(entry, magic) for entry in entries)}
    return tuple(Platform("linux", name) for name in sorted(names - {host_platform().architecture}))


def engine_platforms(host: Platform, engine_kernel: str) -> tuple[Platform, ...]:
    """Return the platforms that an engine can run: its host's, then the emulated ones.

    An engine with another kernel than this machine's runs in a virtual machine of its vendor, and these have emulators.
    """
    if kernel_release() and engine_kernel == kernel_release():
        return (host, *emulated_platforms())
    return (host, *(Platform("linux", name) for name in sorted(_MAGIC) if name != host.architecture))


def check_runnable(platform: Platform, platforms: Sequence[Platform], emulation_hint: str = "") -> None:
    """Raise EngineError if `platform` is none of `platforms`. Its hint says what to install, or to run in the engine."""
    if any(candidate.matches(platform) for candidate in platforms):
        return
    alternative = f", or {emulation_hint}" if emulation_hint else ""
    hint = f"On Debian and Ubuntu: apt-get install qemu-user-binfmt{alternative}. Or run an image for {platforms[0]}."
    if kernel_release() and not (BINFMT / "status").exists():
        # In a container, for example: the kernel may have emulators all the same.
        hint += f" To see emulators that are installed already: mount -t binfmt_misc binfmt_misc {BINFMT}."
    raise EngineError(f"cannot run {platform} programs here: the kernel has no emulator for them", hint=hint)


def _works_in_containers(entry: str, magic: str) -> bool:
    """Return whether an entry is enabled, matches, and has flag F: the kernel keeps the emulator open, so containers need none."""
    flags = re.search(r"^flags: (\S*)$", entry, re.MULTILINE)
    return entry.startswith("enabled") and f"magic {magic}" in entry and "F" in (flags[1] if flags else "")
