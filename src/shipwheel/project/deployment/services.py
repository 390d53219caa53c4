"""The services of a compose file that run the project, in production or while it is developed, and their companions."""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.build_steps import is_build_step, is_of_database
from shipwheel.project.deployment.compose import ComposeService, ServiceMount
from shipwheel.project.deployment.container_settings import ContainerSettings, health_path
from shipwheel.project.deployment.dockerfile import exec_form
from shipwheel.project.deployment.find_dockerfile import Dockerfile, project_names
from shipwheel.project.deployment.process import RELEASE, DeploymentFile, Process, ProcessFiles
from shipwheel.project.deployment.script import Script, list_names
from shipwheel.project.deployment.secrets import is_secret
from shipwheel.user.files import UserFiles
from shipwheel.versions import normalized

__all__ = [
    "WORKS_BESIDE",
    "Services",
    "is_for_developing",
    "production_arguments",
    "read_services",
    "service_process",
    "with_command_of_stage",
]

_WEB_NAMES = ("web", "app", "api", "server", "backend", "webserver", "django", "flask", "fastapi", "site", "www")
_DEVELOPMENT_WORDS = frozenset({"runserver", "runserver_plus", "--reload", "--debug", "dev", "develop", "watch", "watchmedo", "watchfiles"})
WORKS_BESIDE = frozenset({"celery", "flower", "rq", "rqworker", "rqscheduler", "worker", "beat", "dramatiq", "arq", "huey_consumer"})
"""Words of commands that work beside a web server, and may show a page of their own."""
_DEVELOPMENT_NAMES = lazy_pattern(r"(^|[-_.])(dev|devel|development|develop|test|tests|testing|debug|local|ci)([-_.]|$)", re.IGNORECASE)
_TRUE = frozenset({"1", "true", "yes", "on"})
_EXAMPLE = lazy_pattern(r"(^|[/@.])example\.(com|org|net)($|[:/,])|\.(example|invalid)($|[:/,])", re.IGNORECASE)
"""The names that nobody has (RFC 2606): who deploys writes another."""
_NO_COMPANION = lazy_pattern(
    r"(^|/)(nginx|traefik|caddy|haproxy|adminer|pgadmin4?|phpmyadmin|redisinsight|portainer|prometheus|grafana|watchtower|certbot|alpine|busybox"
    r"|swag|jwilder/.*|node|mkcert|dozzle|flower)(:|$)"
)


class Services(msgspec.Struct, frozen=True):
    """The services that run the project."""

    processes: tuple[Process, ...] = ()
    """Those with a command of their own, the web server's first."""
    settings: tuple[ContainerSettings, ...] = ()
    """Those of the web server, or of the only service."""
    companions: tuple[str, ...] = ()
    """Other services beside them, with their image: "db (postgres:16)"."""
    notes: tuple[str, ...] = ()
    directory: str = ""
    """The working directory that the web server's image is started in, if its own is replaced and its command is not."""
    as_built: tuple[ComposeService, ...] = ()
    """Services beside a web server with a command of its own that run the command of the image."""
    file: str = ""
    """The compose file of all these."""


def read_services(services: Sequence[ComposeService], dockerfile: Dockerfile | None, root: Path, files: UserFiles) -> Services:
    """Return what the services say that are built from a project's Dockerfile, or, without one, that mount its directory."""
    names = project_names(root, files) if services else frozenset[str]()
    built = {service.image for service in services if dockerfile is not None and service.dockerfile == dockerfile.path} - {""}
    own = [service for service in services if service.image in built or _runs_project(service, dockerfile, root, names)]
    if not own:
        return Services()
    file = own[0].stack
    of_file = [service for service in own if service.stack == file]
    once = [service for service in of_file if _runs_once(service, of_file, dockerfile)]
    own = sorted((service for service in of_file if service not in once or len(once) == len(of_file)), key=_web_rank)
    if _is_outdated(dockerfile):
        own.sort(key=lambda service: bool(is_for_developing(service)))
    others = [service for service in services if service.stack == file]
    production = [service for service in own if not _development_sign(service, dockerfile)]
    web = _web_service(production, own, dockerfile)
    started = _started(production, own, dockerfile)
    first = own if _is_outdated(dockerfile) else own[:1]
    developing = [service for service in first if service not in production and (service in started or not production)]
    notes = tuple(_development_note(service, dockerfile, taken=service in started) for service in developing)
    notes += tuple(_missing_mounts(web, dockerfile) if web is not None and dockerfile is not None else ())
    companions = tuple(dict.fromkeys(_companions((*once, *own), others)))
    notes += tuple(_notes_about_work((*once, *own), others))
    seen = {service.name: _files(service, dockerfile, root, files) for service in (*once, *started)}
    named = {service.name: "web" if service is web or service in developing else service.name for service in started}
    # What a profile starts, a person starts.
    named |= {service.name: RELEASE for service in once if service not in started and not service.profiles}
    return Services(
        tuple(
            service_process(service, named[service.name], seen[service.name], dockerfile)
            for service in (*started, *once)
            if service.name in named and _has_command(service)
        ),
        () if web is None else (_settings(web, seen[web.name], dockerfile, [service.name for service in others]),),
        companions,
        notes,
        web.directory if web is not None and not _has_command(web) else "",
        tuple(each for each in started if not _has_command(each)) if web is not None and _has_command(web) else (),
        file,
    )


def _started(production: list[ComposeService], own: Sequence[ComposeService], dockerfile: Dockerfile | None) -> list[ComposeService]:
    """Return the services whose commands the image can run.

    Without any other command, one for developing tells how the app starts: its options for developing are left out later. A worker, or
    what runs the image's own command, that only has the source mounted runs the same command elsewhere.
    """
    first = own[0]
    beside = [service for service in own[1:] if not is_for_developing(service)]
    production = [service for service in own if service in production or (service in beside and _runs_beside(service, dockerfile))]
    is_main = first.ports or len(own) == 1
    if first in production:
        return [service for service in own if service in production or (service in beside and not _has_command(service))]
    if not is_main or _has_own_command(dockerfile):
        return production
    return [first, *production] if all(_runs_beside(service, dockerfile) for service in production) else production


def _runs_once(service: ComposeService, own: Sequence[ComposeService], dockerfile: Dockerfile | None) -> bool:
    """Return whether a service runs to its end before others start: they wait for that, or it only brings a database up to date."""
    if not _has_command(service) or _works_beside(service, dockerfile) or is_for_developing(service):
        return False
    if any(service.name in other.completed for other in own):
        return True
    if service.ports or dockerfile is None:
        return False
    commands = service_process(service, service.name, dockerfile.files, dockerfile).commands({})
    return bool(commands) and all(is_of_database(command.words) or is_build_step(command.words) for command in commands[-1:])


def _runs_beside(service: ComposeService, dockerfile: Dockerfile | None) -> bool:
    """Return whether a service works beside a server: by its command, or by what its script runs. Others run once, or for a person."""
    if _works_beside(service, dockerfile) or service.ports or dockerfile is None:
        return _works_beside(service, dockerfile)
    commands = service_process(service, service.name, dockerfile.files, dockerfile).commands({})
    return any(WORKS_BESIDE & {*command.words} for command in commands)


def _works_beside(service: ComposeService, dockerfile: Dockerfile | None) -> bool:
    """Return whether a service is a worker: by a word of its command or of the last one of its script, or, without a port, by a name."""
    if WORKS_BESIDE & {*service.words}:
        return True
    if dockerfile is not None and _has_command(service):
        commands = service_process(service, service.name, dockerfile.files, dockerfile).commands({})
        if commands and WORKS_BESIDE & {*commands[-1].words}:
            return True
    scripts = {re.split(r"[./]", word.removesuffix(".py"))[-1] for word in service.words if not word.startswith("-")}
    named = {part for name in (service.name, *scripts) for part in re.split(r"[-_]", name.lower())}
    return bool(service.words and not service.ports and WORKS_BESIDE & named)


def _has_own_command(dockerfile: Dockerfile | None) -> bool:
    return dockerfile is not None and bool(dockerfile.stage.entrypoint or dockerfile.stage.command) and not _is_outdated(dockerfile)


def _is_outdated(dockerfile: Dockerfile | None) -> bool:
    """Return whether an image's own command runs a file that it does not have: the services that run another one are newer."""
    if dockerfile is None:
        return False
    stage = dockerfile.stage
    words = (*(exec_form(stage.entrypoint) or ()), *(exec_form(stage.command) or ()))
    paths = (posixpath.join(stage.workdir or "/", word) for word in words if word.endswith(".py"))
    files = dockerfile.files
    return any(not files.exists(path) and files.project_path(posixpath.dirname(path)) is not None for path in paths)


def _runs_project(service: ComposeService, dockerfile: Dockerfile | None, root: Path, names: frozenset[str]) -> bool:
    """Return whether a service is built from the project's Dockerfile, has its published image, or mounts its directory."""
    if service.dockerfile is not None:
        return dockerfile is not None and service.dockerfile == dockerfile.path
    published = re.split(r"[:@]", service.image.rpartition("/")[2])[0]
    if dockerfile is not None and published and normalized(published) in names:
        return True
    mounted = any(mount.source is not None and (mount.source == root or mount.source in root.parents) for mount in service.mounts)
    return dockerfile is None and bool(service.words) and mounted


def _web_rank(service: ComposeService) -> tuple[object, ...]:
    name = service.name.lower()
    return (not service.ports, _WEB_NAMES.index(name) if name in _WEB_NAMES else len(_WEB_NAMES), bool(service.words), service.line)


def _web_service(
    production: Sequence[ComposeService], own: Sequence[ComposeService], dockerfile: Dockerfile | None
) -> ComposeService | None:
    """Return the web server among the services for production; None if that is only there for developing."""
    servers = [service for service in production if not _works_beside(service, dockerfile)]
    if servers and own[0] not in production and own[0].ports and not servers[0].ports:
        return None
    if servers or not production:
        return servers[0] if servers else None
    return production[0] if all(service in production or _works_beside(service, dockerfile) for service in own) else None


def _has_command(service: ComposeService) -> bool:
    return bool(service.words) or service.entrypoint is not None


def _development_sign(service: ComposeService, dockerfile: Dockerfile | None) -> str:
    """Return what shows that a service is for developing; empty if nothing does."""
    if sign := is_for_developing(service):
        return sign
    # Some production machines mount a checkout of the repository.
    mounts = () if service.is_for_production else service.mounts
    for mount in mounts:
        if not mount.read_only and mount.source is not None and dockerfile is not None and _is_source(mount, dockerfile):
            return f"it mounts the source at {mount.target}"
    return next(filter(None, (_sign_of_variable(name, value) for name, value in service.variables.items())), "")


def _sign_of_variable(name: str, value: str) -> str:
    """Return that a variable or an argument of a build is set for developing; empty if it is not."""
    if re.match(r"DEBUG|.*DEBUG$", name, re.IGNORECASE) and value.lower() in _TRUE:
        return f"it sets {name}"
    is_place = re.search(r"ENV(IRONMENT)?$|SETTINGS_MODULE$|_ENV$", name.upper()) is not None
    return f"it sets {name} to {value}" if is_place and _DEVELOPMENT_NAMES.search(value) else ""


def production_arguments(service: ComposeService) -> Mapping[str, str]:
    """Return the arguments that the image of a service is built with, but for those that are for developing."""
    return {name: value for name, value in service.arguments.items() if not _sign_of_variable(name, value)}


def is_for_developing(service: ComposeService) -> str:
    """Return what shows that a service's command is for developing; empty if nothing does."""
    if _DEVELOPMENT_NAMES.search(service.name) or _DEVELOPMENT_NAMES.search(service.target):
        return f"its name is {service.target or service.name}"
    words = {word for part in service.words for word in part.split()}
    found = words & _DEVELOPMENT_WORDS
    return f"it runs `{min(found)}`" if found else ""


def _is_source(mount: ServiceMount, dockerfile: Dockerfile) -> bool:
    """Return whether a mount replaces the project's code in the image, or brings it."""
    if mount.source is None or not mount.source.is_dir() or not _is_code_directory(mount.source):
        return False
    project = dockerfile.files.project
    of_project = mount.source == project or project in mount.source.parents or mount.source in project.parents
    return of_project or dockerfile.files.project_path(mount.target) is not None


def _is_code_directory(directory: Path) -> bool:
    """Return whether a directory is that of a Python project, or has code at its top."""
    return any(any(directory.glob(pattern)) for pattern in ("*.py", "*/*.py", "pyproject.toml"))


def _development_note(service: ComposeService, dockerfile: Dockerfile | None, *, taken: bool) -> str:
    sign = _development_sign(service, dockerfile)
    what = "nothing of it but its command, as far as that is for production" if taken and _has_command(service) else "nothing of it"
    return f"{service.place}: the service {service.name} is for developing ({sign}), so the image has {what}."


def with_command_of_stage(service: ComposeService, dockerfile: Dockerfile | None) -> ComposeService:
    """Return a service that is built from another stage of the project's Dockerfile, and has no command, with that stage's."""
    if dockerfile is None or service.dockerfile != dockerfile.path or not service.target or _has_command(service):
        return service
    stage = next((each for each in dockerfile.stages if each.name == service.target.lower()), dockerfile.stage)
    if (stage.entrypoint, stage.command) == (dockerfile.stage.entrypoint, dockerfile.stage.command):
        return service
    entrypoint, command = (exec_form(text) or (("/bin/sh", "-c", text) if text else ()) for text in (stage.entrypoint, stage.command))
    return replace(service, entrypoint=entrypoint or None, command=command or None)


def _files(service: ComposeService, dockerfile: Dockerfile | None, root: Path, files: UserFiles) -> ProcessFiles:
    return dockerfile.files if dockerfile is not None else _MountedFiles(service.mounts, root, files)


def service_process(service: ComposeService, name: str, files: ProcessFiles, dockerfile: Dockerfile | None) -> Process:
    """Return the process of a service: its command replaces CMD, its entrypoint replaces ENTRYPOINT and CMD."""
    stage = dockerfile.stage if dockerfile is not None else None
    words, arguments = service.entrypoint, service.words
    text = ""
    if words is None and stage is not None and stage.entrypoint:
        words = exec_form(stage.entrypoint)
        text, arguments = ("", arguments) if words is not None else (stage.entrypoint, ())
    variables = {**(dict(stage.variables) if stage is not None else {}), **service.variables}
    return Process(
        DeploymentFile.COMPOSE,
        name,
        service.file,
        service.command_line or service.line,
        files,
        text,
        words or arguments,
        arguments if words else (),
        service.directory or (stage.workdir if stage is not None else "") or "/",
        variables,
        service.ports or (stage.ports if stage is not None else ()),
    )


def _settings(service: ComposeService, files: ProcessFiles, dockerfile: Dockerfile | None, names: Iterable[str]) -> ContainerSettings:
    others = [name for name in names if name != service.name]
    withheld = {name: None for name, value in service.variables.items() if _is_withheld(name, value, others)}
    volumes = tuple(mount.target for mount in service.mounts if _is_data(mount, files))
    return ContainerSettings(
        service.place,
        files,
        dockerfile.files.home if dockerfile is not None else "",
        {name: value for name, value in service.variables.items() if name not in withheld and value},
        tuple(dict.fromkeys((*withheld, *service.unknown))),
        volumes,
        (),
        service.ports,
        (),
        health_path(service.health),
    )


def _is_withheld(name: str, value: str, services: Iterable[str]) -> bool:
    """Return whether a variable is secret, or has an address that is another one in production: a companion's, or an example."""
    named = any(_names(value, service) for service in services) or _EXAMPLE.search(value) is not None
    local = re.search(r"(^|[/@])(localhost|127\.0\.0\.1|host\.docker\.internal)(:|/|$)", value) is not None
    return named or local or is_secret(name, value)


def _names(value: str, service: str) -> bool:
    """Return whether the value of a variable has the address of a service."""
    return re.search(rf"(^|[/@,;]){re.escape(service)}(:\d+)?($|[/,;?])", value) is not None


def _is_data(mount: ServiceMount, files: ProcessFiles) -> bool:
    """Return whether a mount holds data of the app: a volume, or a directory that is not the project's source."""
    if mount.source is None:
        return True
    is_file = mount.source.is_file() or "." in posixpath.basename(mount.target)
    return not mount.read_only and not is_file and files.project_path(mount.target) is None and not _is_code_directory(mount.source)


def _missing_mounts(service: ComposeService, dockerfile: Dockerfile) -> Iterator[str]:
    """Yield a note about each file or directory of the repository that the app finds mounted beside its code, and that no COPY brings."""
    project, home = dockerfile.files.project, dockerfile.files.home
    for mount in service.mounts:
        inside = mount.target.startswith(f"{home}/") and dockerfile.files.project_path(mount.target) is None
        if inside and mount.read_only and mount.source is not None and mount.source.exists() and project not in mount.source.parents:
            where = os.path.relpath(mount.source, project)
            yield f"{service.file}, line {mount.line}: {mount.target} is {where}, which the image lacks: mount it there, too."


def _companions(own: Sequence[ComposeService], every: Sequence[ComposeService]) -> Iterator[str]:
    """Yield the other services with an image that the project's own depend on or have the address of, or that need no other service.

    Most apps name no service: the address is in a file of variables, or in the code. A proxy depends on the app, and a tool for a database
    on that.
    """
    names = {service.name for service in own} | _completed(own)
    wanted = {name for service in own for name in service.depends_on}
    values = [value for service in own for value in service.variables.values()]
    for service in every:
        is_wanted = service.name in wanted or any(_names(value, service.name) for value in values)
        is_beside = service.context is None and not service.depends_on
        is_other = service.name not in names and service.image and not _NO_COMPANION.search(service.image)
        if is_other and (is_wanted or is_beside):
            yield f"{service.name} ({service.image})"


def _completed(own: Sequence[ComposeService]) -> set[str]:
    return {name for service in own for name in service.completed}


def _notes_about_work(own: Sequence[ComposeService], every: Sequence[ComposeService]) -> Iterator[str]:
    """Yield a note about each service with an image of its own that has to end before one of the project's starts."""
    names = _completed(own) - {service.name for service in own}
    for service in every:
        if service.name in names and service.image and service.context is None:
            what = f"{service.place}: {service.name} ({service.image}) runs to its end before the app starts"
            yield f"{what}, and is no part of the image: do its work once, where the app is deployed."


class _MountedFiles(msgspec.Struct, frozen=True):
    """The files of a service that mounts the project's directory."""

    mounts: tuple[ServiceMount, ...]
    project: Path
    files: UserFiles

    def project_path(self, path: str) -> str | None:
        """See `ProcessFiles`."""
        for mount in self.mounts:
            if mount.source is None or not (path == mount.target or path.startswith(mount.target.rstrip("/") + "/")):
                continue
            file = mount.source / posixpath.relpath(path, mount.target)
            try:
                return file.relative_to(self.project).as_posix() if file.exists() else None
            except (ValueError, OSError):
                continue
        return None

    def read_script(self, path: str) -> Script | None:
        """See `ScriptFiles`."""
        inside = self.project_path(posixpath.normpath(path)) if path.startswith("/") else None
        try:
            if inside is None or not self.files.is_file(self.project / inside):
                return None
            return Script(inside, self.files.read_bytes(self.project / inside))
        except (OSError, ValueError):
            return None

    def exists(self, path: str) -> bool | None:
        """See `ScriptFiles`."""
        return True if self.project_path(path) is not None else None

    def names_in(self, path: str) -> tuple[str, ...]:
        """See `ScriptFiles`."""
        inside = self.project_path(path)
        return list_names(self.project / inside) if inside is not None else ()
