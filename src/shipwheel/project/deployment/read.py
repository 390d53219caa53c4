"""The entry point: everything that a repository says about its deployment."""

from dataclasses import dataclass, field
from pathlib import Path

from shipwheel.project.deployment.dockerfile import exec_form
from shipwheel.project.deployment.find_dockerfile import Dockerfile, find_dockerfiles
from shipwheel.project.deployment.installs import Installs, find_installs
from shipwheel.project.deployment.process import DeploymentFile, Process, ProjectFiles
from shipwheel.project.deployment.procfile import parse_procfile
from shipwheel.project.deployment.shell_words import UNKNOWN
from shipwheel.user_files import UserFiles

__all__ = ["Deployment", "read_deployment"]

_FIRST_PORT = 1024


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that a repository says about its deployment."""

    dockerfile: Dockerfile | None = None
    """The one that production uses, as far as that can be told."""
    other_dockerfiles: tuple[str, ...] = ()
    """Names of further ones for the same project."""
    processes: tuple[Process, ...] = ()
    installs: Installs = field(default_factory=Installs)

    @property
    def port(self) -> str | None:
        """The first TCP port that the files declare and that a user other than root can listen on everywhere."""
        return next((port for process in self.processes for port in process.ports if int(port) >= _FIRST_PORT), None)

    def of_kind(self, kind: DeploymentFile) -> tuple[Process, ...]:
        """Return the processes that files of a kind declare."""
        return tuple(process for process in self.processes if process.kind is kind)


def read_deployment(root: Path, files: UserFiles) -> Deployment:
    """Return what the files in and above a project's directory say. Raise ProjectError if there is a Procfile that cannot be read."""
    dockerfiles = find_dockerfiles(root, files)
    dockerfile = dockerfiles[0] if dockerfiles else None
    return Deployment(
        dockerfile,
        tuple(other.name for other in dockerfiles[1:]),
        (*_procfile(root, files), *(_docker_process(dockerfile) if dockerfile is not None else ())),
        find_installs(dockerfile) if dockerfile is not None else Installs(),
    )


def _procfile(root: Path, files: UserFiles) -> tuple[Process, ...]:
    path = root / "Procfile"
    if not files.is_file(path):
        return ()
    seen = ProjectFiles(root, files=files)
    types = parse_procfile(files.read_text(path))
    return tuple(
        Process(DeploymentFile.PROCFILE, name, "Procfile", line, seen, text, directory=seen.home) for name, (line, text) in types.items()
    )


def _docker_process(dockerfile: Dockerfile) -> tuple[Process, ...]:
    """Return the process that a container of the image starts: ENTRYPOINT with CMD, as docker combines them."""
    stage = dockerfile.stage
    entrypoint, command = exec_form(stage.entrypoint), exec_form(stage.command)
    words, text, arguments, line = entrypoint or (), "", command or (), stage.entrypoint_line or stage.command_line
    if entrypoint is not None and command is None and stage.command:
        # Docker passes a CMD in shell form to the entrypoint as the arguments of a shell.
        arguments = ("/bin/sh", "-c", stage.command)
    elif entrypoint is None and stage.entrypoint:
        text, arguments = stage.entrypoint, ()
    elif entrypoint is None and command is not None:
        words, arguments, line = command, (), stage.command_line
    elif entrypoint is None:
        text, line = stage.command, stage.command_line
    if not text and not words:
        return ()
    process = Process(
        DeploymentFile.DOCKERFILE,
        "web",
        dockerfile.name,
        line,
        dockerfile.files,
        text,
        words,
        arguments,
        stage.workdir or "/",
        {**dict.fromkeys(stage.unknown, UNKNOWN), **dict(stage.variables)},
        stage.ports,
        fixed=entrypoint is not None,
    )
    return (process,)
