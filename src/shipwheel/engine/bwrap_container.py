"""A container in the background of bubblewrap: a child of this process, which it ends with."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from shipwheel.cleanup.kill import kill_with_children
from shipwheel.container.signals import signal_number
from shipwheel.engine.changes import leaf_paths
from shipwheel.engine.interface import EXEC_TIMEOUT_S, ContainerCommands, ContainerState, RunSpec
from shipwheel.engine.local import Binds, LocalContainer, last_lines, memory_file
from shipwheel.engine.program import ProgramResult, run_program

__all__ = ["BwrapContainer", "Scratch", "make_scratch"]

_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, not a file
_ENTER = Path(__file__).with_name("enter_namespaces.py")


class Scratch(NamedTuple):
    """The directory that a container's log and its writable layer are in."""

    root: Path

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.root / "log"

    @property
    def upper(self) -> Path:
        """The writable layer, with the files that the container wrote."""
        return self.root / "upper"

    @property
    def work(self) -> Path:
        """The work directory that an overlay needs beside its writable layer."""
        return self.root / "work"

    def remove(self) -> None:
        """Remove the directory."""
        with_no_access = self.work / "work"
        if with_no_access.is_dir():
            with_no_access.chmod(0o700)
        shutil.rmtree(self.root, ignore_errors=True)


def make_scratch() -> Scratch:
    """Create a container's directory: in memory, because a writable layer cannot be on an overlay, which / is in many containers."""
    scratch = Scratch(Path(tempfile.mkdtemp(prefix="shipwheel-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)))
    scratch.upper.mkdir()
    scratch.work.mkdir()
    scratch.log.touch()
    return scratch


class BwrapContainer(LocalContainer):
    """A running bwrap. `pid` is the container's first process, `env` the environment of its programs."""

    def __init__(
        self, spec: RunSpec, process: "subprocess.Popen[bytes]", pid: int, env: Mapping[str, str], scratch: Scratch, binds: Binds
    ) -> None:
        files = " ".join(shlex.quote(str(path)) for path in (scratch.root, *binds.throwaway))
        super().__init__(spec, ContainerCommands(f"tail -f {scratch.log}", f"kill -{spec.stop_signal} {pid}", f"rm -r {files}"))
        self._process = process
        self._pid = pid
        self._env = env
        self._scratch = scratch
        self._binds = binds

    def state(self) -> ContainerState:
        """See `Container.state`."""
        status = self._process.poll()
        return ContainerState(status if status is None or status >= 0 else 128 - status)

    def logs(self) -> str:
        """See `Container.logs`."""
        return last_lines(self._scratch.log)

    def exec(self, argv: Sequence[str], *, timeout: float = EXEC_TIMEOUT_S) -> ProgramResult:
        """See `Container.exec`."""
        settings = {"argv": list(argv), "env": dict(self._env), "directory": self.spec.config.working_dir}
        with memory_file(json.dumps(settings).encode()) as handle:
            words = [sys.executable, "-I", "-S", str(_ENTER), str(self._pid), str(handle)]
            return run_program(words, timeout=timeout, pass_fds=(handle,))

    def changes(self) -> tuple[str, ...] | None:
        """See `Container.changes`."""
        return leaf_paths(_paths_below(self._scratch.upper, ""), self.spec)

    def remove(self) -> None:
        """See `Container.remove`."""
        if self._process.poll() is None:
            # The number of one that has ended may be another program's by now.
            kill_with_children(self._process)
        self._scratch.remove()
        self._binds.remove()

    def send(self, signal: str) -> None:
        """See `Container.send`."""
        number = signal_number(signal)
        if self.state().running and number is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)


def _paths_below(directory: Path, prefix: str) -> Iterator[str]:
    for entry in os.scandir(directory):
        path = f"{prefix}/{entry.name}"
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _paths_below(Path(entry.path), path)
