"""The entry point: everything that a repository says about its deployment."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec
from msgspec.structs import replace

from shipwheel.project.deployment.built_files import BuiltFiles, OwnBuild, find_built_files, find_own_builds, own_run_notes
from shipwheel.project.deployment.ci_builds import find_ci_builds
from shipwheel.project.deployment.compose import ComposeService, find_compose_services
from shipwheel.project.deployment.container_settings import ContainerSettings, dockerfile_settings
from shipwheel.project.deployment.find_dockerfile import Build, Dockerfile, find_dockerfiles, repository_folders
from shipwheel.project.deployment.installs import Installs, find_installs
from shipwheel.project.deployment.other_images import image_process, other_images
from shipwheel.project.deployment.platform_files import Hosting, read_hosting
from shipwheel.project.deployment.process import DeploymentFile, Process, ProjectFiles
from shipwheel.project.deployment.procfile import parse_procfile
from shipwheel.project.deployment.services import production_arguments, read_services, with_command_of_stage
from shipwheel.project.deployment.stage import FIRST_PORT
from shipwheel.project.deployment.system_packages import listed_packages
from shipwheel.project.deployment.systemd import read_units
from shipwheel.project.deployment.tasks import read_tasks
from shipwheel.project.deployment.translations import translation_step
from shipwheel.user.files import UserFiles

__all__ = ["Deployment", "read_deployment"]


class Deployment(msgspec.Struct, frozen=True):
    """Everything that a repository says about its deployment."""

    dockerfile: Dockerfile | None = None
    """The one that production uses, as far as that can be told."""
    other_dockerfiles: tuple[str, ...] = ()
    """Names of further ones for the same project."""
    processes: tuple[Process, ...] = ()
    """In order of precedence."""
    settings: tuple[ContainerSettings, ...] = ()
    """Settings of containers, in order of precedence."""
    installs: Installs = msgspec.field(default_factory=Installs)
    companions: tuple[str, ...] = ()
    """Other services that the app needs, with their image."""
    built: tuple[BuiltFiles, ...] = ()
    """Files that a node stage makes for the image."""
    own_builds: tuple[OwnBuild, ...] = ()
    """Front ends that the image's own stage builds."""
    translations: str = ""
    """The file and line that compiles gettext's catalogues; empty if nothing does."""
    notes: tuple[str, ...] = ()
    variable_files: tuple[str, ...] = ()
    """Files with environment variables that compose gives its services, and what they are made from, as paths in the project."""
    folders: tuple[Path, ...] = ()
    """The project's directory and those above it, up to the one of the repository."""

    @property
    def port(self) -> str | None:
        """The first TCP port that the files declare and that a user other than root can listen on everywhere."""
        declared = chain(*(process.ports for process in self.processes), *(each.ports for each in self.settings))
        return next((port for port in declared if int(port) >= FIRST_PORT), None)

    @property
    def health(self) -> str:
        """The path of a URL that tells that the app is well; empty if no file names one."""
        return next((each.health for each in self.settings if each.health), "")

    def of_kind(self, kind: DeploymentFile) -> tuple[Process, ...]:
        """Return the processes that files of a kind declare."""
        return tuple(process for process in self.processes if process.kind is kind)


def read_deployment(root: Path, files: UserFiles) -> Deployment:
    """Return what the files in and above a project's directory say. Raise ProjectError if there is a Procfile that cannot be read."""
    folders = repository_folders(root, files)
    services = find_compose_services(folders, files)
    hosting = read_hosting(root, files)
    own = [(it, it.dockerfile, it.context) for it in services if it.dockerfile and it.context]
    # Of the stages that one file builds, that of a server is the image's.
    stacks = list(dict.fromkeys(it.stack for it in services))
    own.sort(key=lambda each: (stacks.index(each[0].stack), bool(each[0].target) and not each[0].ports))
    composed = (
        Build(path, context, it.target, production_arguments(it), it.image, bool(it.ports), it.is_for_production)
        for it, path, context in own
    )
    builds = (*composed, *(build for each in hosting for build in each.builds))
    dockerfiles = find_dockerfiles(root, files, builds)
    if len(dockerfiles) > 1 and (in_ci := find_ci_builds(folders[-1], files)):
        dockerfiles = find_dockerfiles(root, files, (*builds, *in_ci))
    dockerfile = dockerfiles[0] if dockerfiles else None
    built = find_built_files(dockerfile) if dockerfile is not None else ()
    own_builds = find_own_builds(dockerfile) if dockerfile is not None else ()
    services = tuple(with_command_of_stage(each, dockerfile) for each in _with_own_image(services, dockerfiles))
    run = read_services(services, dockerfile, root, files)
    docker = image_process(dockerfile, run.directory) if dockerfile is not None else ()
    as_built = tuple(
        replace(process, kind=DeploymentFile.COMPOSE, name=service.name, file=service.file, line=service.line, ports=service.ports)
        for service in run.as_built
        for process in (image_process(dockerfile, service.directory) if dockerfile is not None else ())
    )
    beside = tuple(other for process in (*run.processes, *docker) for other in _supervised(process))
    others = tuple(other_images(dockerfiles[1:], services, run.file)) if docker or run.processes else ()
    hosted = tuple(process for each in hosting for process in each.processes)
    by_hand = (*read_units(root, files), *read_tasks(root, files))
    return Deployment(
        dockerfile,
        tuple(other.name for other in dockerfiles[1:]),
        (*_procfile(root, files), *run.processes, *as_built, *docker, *beside, *others, *hosted, *by_hand),
        (
            *([dockerfile_settings(dockerfile)] if dockerfile is not None else []),
            *run.settings,
            *(settings for each in hosting for settings in each.settings),
        ),
        _installs(dockerfile, hosting, root, files),
        run.companions,
        built,
        own_builds,
        translation_step(root, dockerfile, files),
        (*run.notes, *(own_run_notes(dockerfile) if dockerfile is not None else ())),
        tuple(dict.fromkeys(name for service in services for name in service.variable_files)),
        folders,
    )


def _with_own_image(services: tuple[ComposeService, ...], dockerfiles: tuple[Dockerfile, ...]) -> tuple[ComposeService, ...]:
    """Return the services, with the project's Dockerfile for the one beside it that developers build, if no service is built from it."""
    paths = [dockerfile.path for dockerfile in dockerfiles]
    if not paths or any(service.dockerfile == paths[0] for service in services):
        return services
    plain = next((path for path in paths[1:] if path.parent == paths[0].parent and path.name == "Dockerfile"), None)
    return tuple(replace(each, dockerfile=paths[0]) if plain is not None and each.dockerfile == plain else each for each in services)


def _installs(dockerfile: Dockerfile | None, hosting: tuple[Hosting, ...], root: Path, files: UserFiles) -> Installs:
    installs = find_installs(dockerfile) if dockerfile is not None else Installs(system=listed_packages(root, files))
    named = next((each for each in hosting if each.python), None)
    return installs if installs.python or named is None else replace(installs, python=named.python, python_place=named.place)


def _procfile(root: Path, files: UserFiles) -> tuple[Process, ...]:
    path = root / "Procfile"
    if not files.is_file(path):
        return ()
    seen = ProjectFiles(root, files=files)
    types = parse_procfile(files.read_text(path))
    return tuple(
        Process(DeploymentFile.PROCFILE, name, "Procfile", line, seen, text, directory=seen.home) for name, (line, text) in types.items()
    )


def _supervised(process: Process) -> Iterator[Process]:
    """Yield the processes that supervisord starts beside the main one."""
    for command in process.commands({}):
        if command.program and command.background and not command.doubt:
            variables = {**process.variables, **dict(command.env)}
            yield Process(
                process.kind,
                command.program,
                command.file,
                command.line,
                process.files,
                words=command.words,
                directory=command.directory,
                variables=variables,
            )
