"""A container in the background of docker, podman or nerdctl, whose commands agree in everything used here."""

import math
from collections.abc import Sequence

from shipwheel.engine.changes import leaf_paths
from shipwheel.engine.interface import EXEC_TIMEOUT_S, MAX_LOG_LINES, Container, ContainerCommands, ContainerState, RunSpec
from shipwheel.engine.program import ProgramResult, run_program
from shipwheel.errors import EngineError

__all__ = ["DockerLikeContainer"]

_STOP_TIMEOUT_S = 60.0
"""Seconds beyond the grace period in which the engine has to answer."""


class DockerLikeContainer(Container):
    """A container that `program run --detach` started."""

    def __init__(self, program: str, spec: RunSpec, *, lists_changes: bool) -> None:
        name = spec.name
        super().__init__(spec, ContainerCommands(f"{program} logs -f {name}", f"{program} stop {name}", f"{program} rm --volumes {name}"))
        self.exec_words = (program, "exec", "--interactive", name)
        self._program = program
        self._lists_changes = lists_changes

    def state(self) -> ContainerState:
        """See `Container.state`."""
        result = self._run("container", "inspect", "--format", "{{json .State}}", self.spec.name)
        state = result.json_object()
        if not isinstance(state.get("ExitCode"), int):
            raise EngineError(f"{self._program} does not know the container {self.spec.name}: {result.reason}", hint="It was removed.")
        if state.get("Running") or state.get("Status") == "running":
            return ContainerState()
        return ContainerState(state["ExitCode"], bool(state.get("OOMKilled")))

    def logs(self) -> str:
        """See `Container.logs`."""
        result = self._checked("logs", "--tail", str(MAX_LOG_LINES), self.spec.name, merge=True)
        return result.stdout

    def exec(self, argv: Sequence[str], *, timeout: float = EXEC_TIMEOUT_S) -> ProgramResult:
        """See `Container.exec`."""
        return self._run("exec", self.spec.name, *argv, timeout=timeout)

    def send(self, signal: str) -> None:
        """See `Container.send`."""
        self._run("kill", "--signal", signal, self.spec.name)

    def stop(self, grace: float | None = None) -> int:
        """See `Container.stop`."""
        seconds = self.spec.grace if grace is None else grace
        self._checked("stop", "-t", str(math.ceil(seconds)), self.spec.name, timeout=seconds + _STOP_TIMEOUT_S)
        state = self.state()
        if state.exit_code is None:
            raise EngineError(f"{self._program} could not stop {self.spec.name}", hint=f"Check {self._program} ps.")
        return state.exit_code

    def changes(self) -> tuple[str, ...] | None:
        """See `Container.changes`."""
        if not self._lists_changes:
            return None
        lines = self._checked("diff", self.spec.name).stdout.splitlines()
        return leaf_paths((line.partition(" ")[2] for line in lines), self.spec)

    def remove(self) -> None:
        """See `Container.remove`."""
        self._run("rm", "--force", "--volumes", self.spec.name)

    def _run(self, *words: str, timeout: float = 60.0, merge: bool = False) -> ProgramResult:
        return run_program([self._program, *words], timeout=timeout, merge=merge)

    def _checked(self, *words: str, timeout: float = 60.0, merge: bool = False) -> ProgramResult:
        result = self._run(*words, timeout=timeout, merge=merge)
        if not result.ok:
            raise EngineError(f"{self._program} {words[0]} {self.spec.name} failed: {result.reason}", hint=f"Check {self._program} ps -a.")
        return result
