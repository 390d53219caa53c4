"""The sandbox of this machine: bubblewrap where it works, else an engine. This is the one place that chooses."""

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from shipwheel.builder.engine_sandbox import EngineSandbox
from shipwheel.builder.sandbox_run import SandboxRun, bubblewrap_words, writable_directories
from shipwheel.errors import UsageError
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.process import Finished, run_bounded
from shipwheel.locking.sandbox import bubblewrap_user, is_available
from shipwheel.witness.witness import note_unknown

__all__ = ["SANDBOX_HINT", "Bubblewrap", "Sandbox", "find_sandbox", "run_in_sandbox", "sandbox_user"]

SANDBOX_HINT = (
    "Install bubblewrap (apt-get install bubblewrap). Where the system lets it make no namespaces, docker or podman does as well."
)
_VARIABLE = "SHIPWHEEL_SANDBOX"


class Sandbox(Protocol):
    """A way to run a program of others."""

    @property
    def name(self) -> str:
        """The program that makes it."""

    @property
    def user(self) -> tuple[int, int]:
        """The numbers of the user and the group in it."""

    def run(self, run: SandboxRun, *, stop: threading.Event, bounds: Bounds) -> Finished:
        """Run a program; setting `stop` ends it. Raise OverBounds if it had to be stopped, BuildError if the sandbox cannot be made."""


class Bubblewrap:
    """Namespaces of the kernel."""

    name = "bwrap"

    @property
    def user(self) -> tuple[int, int]:
        """See `Sandbox.user`."""
        return bubblewrap_user()

    def run(self, run: SandboxRun, *, stop: threading.Event, bounds: Bounds) -> Finished:
        """See `Sandbox.run`."""
        words, outside = bubblewrap_words(run)
        return run_bounded(words, env=outside, stop=stop, bounds=bounds, directories=writable_directories(run))


_KINDS: Mapping[str, Callable[[], Sandbox | None]] = MappingProxyType(
    {
        "bwrap": lambda: Bubblewrap() if is_available() else None,
        "docker": lambda: EngineSandbox.connect("docker"),
        "podman": lambda: EngineSandbox.connect("podman"),
    }
)

_found: dict[str, Sandbox] = {}
"""The sandboxes that work, by their programs. What does not work is tried again: its daemon may run for the next build."""


def find_sandbox() -> Sandbox | None:
    """Return the first sandbox that works here, None if none does. The variable SHIPWHEEL_SANDBOX names the only one to try."""
    wanted = os.environ.get(_VARIABLE, "")
    if wanted and wanted not in _KINDS:
        raise UsageError(f"{_VARIABLE} is {wanted!r}", hint=f"Set it to {', '.join(_KINDS)}, or unset it.")
    for name, connect in _KINDS.items():
        program = shutil.which(name) if wanted in ("", name) else None
        if program is not None and (sandbox := _found.get(program) or connect()) is not None:
            # Of two threads, both get the first one's: it knows what is in use.
            return _found.setdefault(program, sandbox)
    note_unknown()  # one may work the next time, without a change of any file
    return None


def run_in_sandbox(run: SandboxRun, *, stop: threading.Event, bounds: Bounds) -> Finished:
    """Run a program in the sandbox of this machine. Raise OverBounds, BuildError."""
    return (find_sandbox() or Bubblewrap()).run(run, stop=stop, bounds=bounds)


def sandbox_user() -> tuple[int, int]:
    """Return the numbers of the user and the group that programs in the sandbox have."""
    return (find_sandbox() or Bubblewrap()).user
