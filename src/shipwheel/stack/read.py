"""Read the stack of a project from its settings, and check it as a whole: what no single value shows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from shipwheel.container.path import ContainerPath
from shipwheel.engine.interface import Port
from shipwheel.engine.run_options import LOOPBACK, parse_memory, parse_port, slug
from shipwheel.errors import ProjectError, UsageError
from shipwheel.project.read import find_settings, read_project
from shipwheel.settings.services import ServiceSettings
from shipwheel.settings.settings import Settings
from shipwheel.stack.model import (
    SCHEDULED,
    HealthCommand,
    HealthPath,
    ProjectSource,
    PulledImage,
    Service,
    ServiceHealth,
    ServiceVolume,
    Stack,
)

__all__ = ["read_stack"]

_WEB = "web"
_RELEASE = "release"
"""The process that others wait for: Heroku's name for it."""


class _Problem(msgspec.Struct, frozen=True):
    """A problem of a service's key, and what to write instead."""

    service: str
    key: str
    text: str
    hint: str


def read_stack(path: Path) -> Stack:
    """Return the stack of the project in a directory, or of a single-file script.

    It has the project's own `web` and the processes of its settings, unless `services` gives these names to others, and what `services`
    names. Raises UsageError with all problems, each with its file and key; ProjectError for a directory without a project.
    """
    path = path.absolute()
    settings = find_settings(path)
    place = _place(path)
    known = _processes(path, settings)
    tables = {**{name: ServiceSettings() for name in (_WEB, *settings.processes)}, **settings.services}
    problems: list[_Problem] = []
    services = [service for name, table in tables.items() if (service := _service(path, name, table, known, problems)) is not None]
    services = list(_with_own_defaults(services, path, settings.services))
    problems += _wrong_needs(services, frozenset(tables))
    problems += _repeated_ports(services)
    if not problems:
        services, cyclic = _in_order(services)
        problems += cyclic
    if problems:
        lines = [f"{place}: services.{'.'.join(filter(None, (it.service, it.key)))}: {it.text}" for it in problems]
        raise UsageError("\n".join(lines), hint=" ".join(dict.fromkeys(it.hint for it in problems)))
    return Stack(_name(path, settings), path, place, tuple(services))


def _place(path: Path) -> str:
    if path.is_file():
        return str(path)
    own = path / "shipwheel.toml"
    return str(own if own.is_file() else path / "pyproject.toml")


def _name(path: Path, settings: Settings) -> str:
    if settings.name is not None:
        return slug(settings.name)
    try:
        return slug(read_project(path, settings, launch=False).name)
    except ProjectError:
        # A directory that only names the projects of others.
        return slug(path.resolve().name)


def _processes(path: Path, settings: Settings) -> frozenset[str]:
    """Return the names of the project's processes. Its deployment files are read only if a service may be one of theirs."""
    known = {_WEB, *settings.processes}
    named = {table.process or name for name, table in settings.services.items() if table.image is None and table.path is None}
    if named <= known:
        return frozenset(known)
    launch = read_project(path, settings).launch
    return frozenset(known | {name for name, _ in launch.processes} if launch is not None else known)


def _service(path: Path, name: str, table: ServiceSettings, known: frozenset[str], problems: list[_Problem]) -> Service | None:
    source = _source(path, name, table, known, problems)
    try:
        ports = tuple(dict.fromkeys(_port(text) for text in table.ports))
        memory = parse_memory(table.memory) if table.memory is not None else None
    except UsageError as error:
        problems.append(_Problem(name, "", error.message, error.hint))
        return None
    if source is None:
        return None
    process = source.process if isinstance(source, ProjectSource) else ""
    return Service(
        name,
        source,
        is_job=table.job if table.job is not None else process == _RELEASE or table.schedule is not None,
        command=table.command,
        ports=ports,
        publishes_all=process == _WEB and name == _WEB and not ports,
        volumes=tuple(ServiceVolume(volume, ContainerPath(target)) for volume, target in table.volumes.items()),
        env=table.env,
        secrets=table.secrets,
        health=_health(table.health),
        needs=tuple(dict.fromkeys(table.needs)),
        schedule=table.schedule or "",
        profiles=table.profiles or ((SCHEDULED,) if table.schedule else ()),
        start_timeout=table.start_timeout,
        cpus=table.cpus,
        memory=memory,
        hardened=table.hardened,
    )


def _source(
    path: Path, name: str, table: ServiceSettings, known: frozenset[str], problems: list[_Problem]
) -> PulledImage | ProjectSource | None:
    if table.image is not None:
        if table.path is not None:
            problems.append(_Problem(name, "path", "cannot be combined with image", "Leave out image or path."))
        return PulledImage(table.image, table.process or _WEB)
    if table.path is not None:
        other = (path.parent if path.is_file() else path).joinpath(table.path).resolve()
        if not other.exists():
            problems.append(_Problem(name, "path", f"{other} does not exist", "Name the directory of a project, relative to this one."))
            return None
        return ProjectSource(other, table.process or _WEB)
    process = table.process or name
    if process not in known:
        hint = f'Add image = "NAME:TAG", path = "../project", or a process: processes.{process} = "COMMAND".'
        problems.append(_Problem(name, "", f"has no image, and the project has no process {process}", hint))
        return None
    return ProjectSource(path, process)


def _port(text: str) -> Port:
    """Return a port, on the loopback address unless the text has one."""
    port = parse_port(text)
    return port if port.address else msgspec.structs.replace(port, address=LOOPBACK)


def _health(value: str | tuple[str, ...] | None) -> ServiceHealth | None:
    if value is None:
        return None
    return HealthPath(value) if isinstance(value, str) else HealthCommand(value)


def _with_own_defaults(services: Iterable[Service], path: Path, tables: Mapping[str, ServiceSettings]) -> Iterator[Service]:
    """Yield the services, the processes of the project with what `web` says for all: its variables, secrets and needs.

    Jobs of the project wait for no others of it, its other processes for its release.
    """
    services = list(services)
    own = {it.name: it for it in services if isinstance(it.source, ProjectSource) and it.source.path == path}
    web = own.get(_WEB)
    release = tuple(
        name for name, it in own.items() if it.is_job and isinstance(it.source, ProjectSource) and it.source.process == _RELEASE
    )
    for service in services:
        if service.name not in own or web is None:
            yield service
            continue
        inherited = [name for name in web.needs if name not in own or (own[name].is_job and not service.is_job)]
        stated = service.name in tables and tables[service.name].needs
        needs = (*(service.needs if stated else inherited), *(() if service.is_job else release))
        yield msgspec.structs.replace(
            service,
            env={**web.env, **service.env},
            secrets=tuple(dict.fromkeys((*web.secrets, *service.secrets))),
            needs=tuple(dict.fromkeys(needs)) if service is not web else tuple(dict.fromkeys((*web.needs, *release))),
        )


def _wrong_needs(services: Sequence[Service], names: frozenset[str]) -> Iterator[_Problem]:
    profiles = {service.name: frozenset(service.profiles) for service in services}
    scheduled = {service.name for service in services if service.schedule}
    for service in services:
        if service.schedule and not service.is_job:
            yield _Problem(service.name, "job", "what has a schedule is a job", "Leave out job, or schedule.")
        for need in service.needs:
            if need not in names:
                yield _Problem(service.name, "needs", f"there is no service {need}", f"The stack has {', '.join(sorted(names))}.")
            elif need in scheduled:
                yield _Problem(service.name, "needs", f"{need} has a schedule, so nothing can wait for it", "Leave it out of needs.")
            elif (others := profiles.get(need)) and not (service.profiles and others.issuperset(service.profiles)):
                hint = f"Give {need} no profiles, or {service.name} some of the same."
                yield _Problem(service.name, "needs", f"{need} is only in the profile {', '.join(sorted(others))}", hint)


def _repeated_ports(services: Iterable[Service]) -> Iterator[_Problem]:
    """Yield a problem for each port of this machine that two services want."""
    taken: dict[tuple[int, str], str] = {}
    for service in services:
        for port in service.ports:
            key = (port.host, port.protocol)
            if (other := taken.get(key)) is not None:
                hint = f'Publish one under another number: ports = ["{port.host + 1}:{port.container}"].'
                yield _Problem(service.name, "ports", f"{other} publishes port {port.host} of this machine too", hint)
            taken[key] = service.name


def _in_order(services: Iterable[Service]) -> tuple[list[Service], list[_Problem]]:
    """Return the services, each behind those that it needs, and the problem of a cycle."""
    from graphlib import CycleError, TopologicalSorter

    by_name = {service.name: service for service in services}
    try:
        order = TopologicalSorter({name: service.needs for name, service in by_name.items()}).static_order()
        return [by_name[name] for name in order], []
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        hint = "Remove one of these needs: a service starts behind those that it needs."
        return [], [_Problem(cycle[0], "needs", f"they need each other: {' → '.join(cycle)}", hint)]
