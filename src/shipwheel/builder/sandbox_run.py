"""One run of a program of others in a sandbox, as a value, and what bubblewrap is told to run it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from shipwheel.locking.sandbox import confined_in_root, network_binds, with_variables

__all__ = ["SCRATCH_PATHS", "SandboxRun", "bubblewrap_words", "writable_directories"]

SCRATCH_PATHS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - in the sandbox
"""Directories for scratch files."""


class SandboxRun(msgspec.Struct, frozen=True):
    """A program that runs with the programs and libraries of `root`, and sees nothing else of this machine but `binds`.

    `binds` are paths in the sandbox, each with a path of this machine and whether it may be changed. `directory` is
    the working directory in the sandbox, `variables` are the whole environment. With `network`, it has that of this machine. `scratch`, a
    directory, stands for the SCRATCH_PATHS, so that its size counts, and no memory is filled.
    """

    command: Sequence[str]
    root: Path
    binds: Mapping[str, tuple[Path, bool]]
    directory: str
    variables: Mapping[str, str] = MappingProxyType({})
    network: bool = False
    scratch: Path | None = None

    @property
    def scratch_binds(self) -> dict[str, tuple[Path, bool]]:
        """The binds of the SCRATCH_PATHS."""
        return dict.fromkeys(SCRATCH_PATHS, (self.scratch, True)) if self.scratch is not None else {}

    @property
    def every_bind(self) -> dict[str, tuple[Path, bool]]:
        """The binds, with the files that a program needs to reach servers if it may."""
        return {**(network_binds() if self.network else {}), **self.binds}


def bubblewrap_words(run: SandboxRun) -> tuple[list[str], dict[str, str]]:
    """Return the command of bubblewrap for a run, and its environment."""
    binds = {**run.scratch_binds, **run.every_bind}
    words = confined_in_root(run.command, run.root, binds, run.directory, network=run.network)
    return with_variables(words, run.variables)


def writable_directories(run: SandboxRun) -> tuple[Path, ...]:
    """Return the paths of this machine that a run may write to."""
    return tuple({path for path, may_change in {**run.scratch_binds, **run.binds}.values() if may_change})
