"""Processes of a project's other Dockerfiles: a worker or a scheduler may have an image of its own."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.compose import ComposeService
from shipwheel.project.deployment.dockerfile import exec_form
from shipwheel.project.deployment.find_dockerfile import Dockerfile, has_other_purpose
from shipwheel.project.deployment.process import RELEASE, DeploymentFile, Process
from shipwheel.project.deployment.services import WORKS_BESIDE, is_for_developing, service_process
from shipwheel.project.deployment.shell_words import UNKNOWN

__all__ = ["image_process", "other_images"]

_RUNS_PRESTART = lazy_pattern(r"(^|/)tiangolo/(uvicorn-gunicorn|meinheld-gunicorn|uwsgi-nginx)")
_PRESTART = "/app/prestart.sh"
_PLAIN = frozenset({"", "dockerfile", "containerfile", "docker", "prod", "production"})


def image_process(dockerfile: Dockerfile, directory: str = "") -> tuple[Process, ...]:
    """Return the process that a container of the image starts: ENTRYPOINT with CMD, as docker combines them.

    A `directory` that the container is started in counts for that of the image.
    """
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
        return _before_start(dockerfile)
    process = Process(
        DeploymentFile.DOCKERFILE,
        "web",
        stage.started_in or dockerfile.name,
        line,
        dockerfile.files,
        text,
        words,
        arguments,
        directory or stage.workdir or "/",
        {**dict.fromkeys(stage.unknown, UNKNOWN), **dict(stage.variables)},
        stage.ports,
        fixed=entrypoint is not None,
    )
    return (process,)


def _before_start(dockerfile: Dockerfile) -> tuple[Process, ...]:
    """Return what the start script of a base image runs first: its documentation gives the project's script a path."""
    stage, files = dockerfile.stage, dockerfile.files
    if not _RUNS_PRESTART.search(stage.image) or files.read_script(_PRESTART) is None:
        return ()
    words, variables = ("sh", _PRESTART), dict(stage.variables)
    return (Process(DeploymentFile.DOCKERFILE, RELEASE, stage.file, stage.line, files, "", words, (), "/app", variables),)


def other_images(dockerfiles: Sequence[Dockerfile], services: Sequence[ComposeService], file: str) -> Iterator[Process]:
    """Yield what runs in the images of further Dockerfiles: the services of the compose `file`, or a worker that only a Dockerfile has."""
    dockerfiles = [dockerfile for dockerfile in dockerfiles if dockerfile.has_python]
    for dockerfile in dockerfiles if file else ():
        named = [service for service in services if service.dockerfile == dockerfile.path and service.stack == file]
        for service in (service for service in named if not is_for_developing(service)):
            if service.words or service.entrypoint is not None:
                yield service_process(service, service.name, dockerfile.files, dockerfile)
            else:
                own = image_process(dockerfile, service.directory)
                place = {"file": service.file, "line": service.line, "ports": service.ports}
                yield from (replace(process, kind=DeploymentFile.COMPOSE, name=service.name, **place) for process in own)
    for dockerfile in (dockerfile for dockerfile in dockerfiles if not has_other_purpose(dockerfile.name)):
        for process in image_process(dockerfile):
            words = {word for command in process.commands({}) for word in command.words}
            if name := _name(dockerfile.name) if words & WORKS_BESIDE else "":
                yield replace(process, name=name)


def _name(dockerfile: str) -> str:
    """Return what a Dockerfile's name, or that of its folder, calls the process: worker for docker/worker/Dockerfile."""
    path = PurePosixPath(dockerfile)
    for part in (path.name, path.parent.name):
        if words := [word for word in re.split(r"[^a-z0-9]+", part.lower()) if word not in _PLAIN]:
            return "-".join(words)
    return ""
