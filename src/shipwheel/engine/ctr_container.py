"""A container in the background of containerd, through `ctr`."""

import itertools
import os
import shlex
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shipwheel.engine.changes import leaf_paths
from shipwheel.engine.interface import EXEC_TIMEOUT_S, ContainerCommands, ContainerState, RunSpec
from shipwheel.engine.local import Binds, LocalContainer, last_lines
from shipwheel.engine.program import ProgramResult, run_program
from shipwheel.errors import EngineError
from shipwheel.oci.model import MEDIA_TYPE_LAYER

__all__ = ["CtrContainer", "remove_container"]


class CtrContainer(LocalContainer):
    """A container that `ctr run --detach` started. `log` is the file that containerd writes its output to."""

    def __init__(self, spec: RunSpec, log: Path, binds: Binds) -> None:
        name, files = spec.name, " ".join(shlex.quote(str(path)) for path in (log, *binds.throwaway))
        stop = f"ctr tasks kill --signal {spec.stop_signal} {name}"
        remove = f"ctr tasks delete {name}; ctr containers delete {name}; rm -r {files}"
        super().__init__(spec, ContainerCommands(f"tail -f {shlex.quote(str(log))}", stop, remove))
        self._log = log
        self._binds = binds
        self._exec_ids = (f"shipwheel-{os.getpid()}-{number}" for number in itertools.count())
        self._end: ContainerState | None = None

    def state(self) -> ContainerState:
        """See `Container.state`. ctr tells the exit code of a task only when it deletes it."""
        if self._end is None and not self._running():
            result = run_program(["ctr", "tasks", "delete", self.spec.name])
            if not result.ok:
                raise EngineError(f"containerd does not know how {self.spec.name} ended: {result.reason}", hint="It was removed.")
            self._end = ContainerState(result.task_exit_code)
        return self._end or ContainerState()

    def logs(self) -> str:
        """See `Container.logs`."""
        return last_lines(self._log)

    def exec(self, argv: Sequence[str], *, timeout: float = EXEC_TIMEOUT_S) -> ProgramResult:
        """See `Container.exec`."""
        return run_program(["ctr", "tasks", "exec", "--exec-id", next(self._exec_ids), self.spec.name, *argv], timeout=timeout)

    def changes(self) -> tuple[str, ...] | None:
        """See `Container.changes`. The difference of its snapshot is a layer, with a whiteout for each deleted file."""
        with tempfile.TemporaryFile() as file:
            result = run_program(["ctr", "snapshots", "diff", "--media-type", MEDIA_TYPE_LAYER, self.spec.name], output=file)
            if not result.ok:
                raise EngineError(f"containerd cannot compare {self.spec.name}: {result.reason}", hint="Check `ctr snapshots list`.")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as layer:
                return leaf_paths((f"/{member.name.replace('.wh.', '')}" for member in layer), self.spec)

    def remove(self) -> None:
        """See `Container.remove`."""
        remove_container(self.spec.name)
        self._log.unlink(missing_ok=True)
        self._binds.remove()

    def send(self, signal: str) -> None:
        """See `Container.send`."""
        if self._end is None:
            run_program(["ctr", "tasks", "kill", "--signal", signal, self.spec.name])

    def _running(self) -> bool:
        result = run_program(["ctr", "tasks", "list"])
        if not result.ok:
            raise EngineError(f"containerd does not answer: {result.reason}", hint="Check that `ctr tasks list` works.")
        return any(row.split()[::2] == [self.spec.name, "RUNNING"] for row in result.stdout.splitlines())


def remove_container(name: str) -> None:
    """Kill and remove a container, as far as there is one."""
    run_program(["ctr", "tasks", "delete", "--force", name])
    run_program(["ctr", "containers", "delete", name])
