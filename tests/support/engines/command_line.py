"""Docker and podman: the same command line for containers, but different ways to load an image."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from support.engines.container import BaseEngine, Container, ContainerSpec, ExecResult, RunOptions
from support.engines.sandbox import TIMEOUT_S, EngineError

__all__ = ["CommandLineEngine"]


class CommandLineContainer(Container):
    """A container of docker or podman."""

    def __init__(self, engine: "CommandLineEngine", name: str) -> None:
        """Refer to a container by its name."""
        self.engine = engine
        self.name = name

    def exec(self, argv: Sequence[str], *, seconds: float = TIMEOUT_S) -> ExecResult:
        """See `Container.exec`."""
        done = self.engine.sandbox.run([*self.engine.tool, "exec", self.name, *argv], seconds=seconds, check=False)
        return ExecResult(done.returncode, done.stdout + done.stderr)

    def logs(self) -> str:
        """See `Container.logs`."""
        done = self.engine.cli("logs", self.name)
        return done.stdout + done.stderr

    def running(self) -> bool:
        """See `Container.running`."""
        return self.engine.cli("inspect", "--format", "{{.State.Running}}", self.name).stdout.strip() == "true"

    def stop(self, grace_seconds: int = 10) -> int:
        """See `Container.stop`."""
        self.engine.cli("stop", "--time", str(grace_seconds), self.name)
        return self.wait()

    def wait(self, timeout: float = TIMEOUT_S) -> int:
        """See `Container.wait`."""
        try:
            done = self.engine.sandbox.run([*self.engine.tool, "wait", self.name], seconds=timeout)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{self.name} did not end within {timeout:g} seconds; its logs:\n{self.logs()}") from error
        return int(done.stdout)

    def remove(self) -> None:
        """See `Container.remove`."""
        self.engine.cli("rm", "--force", "--volumes", self.name, check=False)


class CommandLineEngine(BaseEngine):
    """Docker or podman. Subclasses load images."""

    def container(self, name: str) -> Container:
        """Return a container of the engine by its name, whoever started it."""
        return CommandLineContainer(self, name)

    def run(self, image: str, **options: Unpack[RunOptions]) -> Container:
        """See `Engine.run`."""
        name = self._new_name()
        container = CommandLineContainer(self, name)
        try:
            self.cli("run", "--detach", *self._arguments(name, ContainerSpec(image, **options)))
        except EngineError:
            container.remove()
            raise
        return container

    def run_once(self, image: str, *, timeout: float = TIMEOUT_S, **options: Unpack[RunOptions]) -> subprocess.CompletedProcess[str]:
        """See `Engine.run_once`."""
        name = self._new_name()
        argv = [*self.tool, "run", *self._arguments(name, ContainerSpec(image, **options))]
        try:
            return self.sandbox.run(argv, seconds=timeout, check=False)
        finally:
            CommandLineContainer(self, name).remove()

    def _arguments(self, name: str, spec: ContainerSpec) -> list[str]:
        """Return the arguments of `run`. They forbid pulls, because a mistyped name would reach a real registry."""
        first, *rest = spec.entrypoint or [""]
        flags = ["--name", name, "--pull", "never", "--platform", spec.platform, "--network", spec.network]
        flags += ["--read-only"] if spec.read_only else []
        flags += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"] if spec.cap_drop_all else []
        flags += ["--user", spec.user] if spec.user else []
        flags += ["--entrypoint", first] if first else []
        flags += [f"--tmpfs={path}" for path in spec.tmpfs]
        flags += [f"--env={name}={value}" for name, value in spec.env.items()]
        flags += [f"--volume={self.volume(name)}:{path}" for name, path in spec.volumes.items()]
        return [*flags, spec.image, *rest, *(spec.command or [])]

    def _pick(self, references: Sequence[str], platform: str, source: Path) -> str:
        """Return the ID of the one loaded image of the platform. A name would not do: it can move from one image to another."""
        seen = []
        for reference in dict.fromkeys(references):
            done = self.cli("image", "inspect", "--format", "{{.Id}} {{.Os}}/{{.Architecture}}", reference, check=False)
            seen.append(f"{reference} {done.stdout.strip() or done.stderr.strip()}")
            if done.stdout.split()[1:] == ["/".join(platform.split("/")[:2])]:
                return done.stdout.split()[0]
        raise EngineError(f"{self.name} got no image of {platform} out of {source}, but: {seen}")
