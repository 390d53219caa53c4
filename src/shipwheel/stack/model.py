"""A stack and its services, as frozen values. Nothing of them depends on an engine or on the format of a file."""

from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from pathlib import Path

import msgspec

from shipwheel.container.path import ContainerPath
from shipwheel.engine.interface import Port
from shipwheel.errors import UsageError
from shipwheel.lazy_pattern import lazy_pattern

__all__ = [
    "SCHEDULED",
    "SECRETS_DIRECTORY",
    "Condition",
    "HealthCommand",
    "HealthPath",
    "HealthPort",
    "ProjectSource",
    "PulledImage",
    "Service",
    "ServiceHealth",
    "ServiceVolume",
    "Stack",
    "expand",
    "pieces",
    "variables_in",
]

SECRETS_DIRECTORY = "/run/secrets"
"""The directory of a container that has its secrets, a file for each."""

_VARIABLE = lazy_pattern(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class PulledImage(msgspec.Struct, frozen=True):
    """A process of an image in a registry, by its reference; `web` is the image's own command."""

    reference: str
    process: str = "web"


class ProjectSource(msgspec.Struct, frozen=True):
    """A process of a project's image. The project is at an absolute path; `web` is the image's own command."""

    path: Path
    process: str = "web"


class HealthPath(msgspec.Struct, frozen=True):
    """An HTTP request that a healthy service answers with a status below 400. Port 0 is the image's first."""

    path: str
    port: int = 0


class HealthPort(msgspec.Struct, frozen=True):
    """A TCP port that accepts connections."""

    port: int


class HealthCommand(msgspec.Struct, frozen=True):
    """A program in the container that ends with status 0."""

    command: tuple[str, ...]


ServiceHealth = HealthPath | HealthPort | HealthCommand


class Condition(Enum):
    """The state of a service that another one waits for. The values are those of the compose specification."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    DONE = "service_completed_successfully"


class ServiceVolume(msgspec.Struct, frozen=True):
    """A volume of the stack, by its name in there, and its path in the container."""

    name: str
    target: ContainerPath


class Service(msgspec.Struct, frozen=True):
    """A service or a one-time job."""

    name: str
    source: PulledImage | ProjectSource
    is_job: bool = False
    command: tuple[str, ...] = ()
    """Replaces the image's Cmd, behind its Entrypoint; empty for the image's, or for the source's process."""
    ports: tuple[Port, ...] = ()
    publishes_all: bool = False
    """Publish the ports of the image under the same numbers, on the loopback address."""
    volumes: tuple[ServiceVolume, ...] = ()
    env: Mapping[str, str] = {}
    """Values may refer to variables, as in `${NAME}`: see `expand`."""
    secrets: tuple[str, ...] = ()
    """Variables whose values are files in the container."""
    health: ServiceHealth | None = None
    """The check in the settings; None leaves it to the image."""
    needs: tuple[str, ...] = ()
    schedule: str = ""
    """Time at which a cluster starts it, as cron writes it; empty for one that starts with the others."""
    profiles: tuple[str, ...] = ()
    """Profiles that it is a part of; empty for all."""
    start_timeout: int = 120
    """Seconds."""
    cpus: float | None = None
    memory: int | None = None
    """Bytes."""
    hardened: bool | None = None
    """None: if shipwheel made the image."""

    @property
    def variables(self) -> frozenset[str]:
        """The variables that it takes from whoever starts the stack: those in values of `env`, and the secrets."""
        return frozenset(self.secrets).union(*map(variables_in, self.env.values()))


SCHEDULED = "scheduled"
"""The profile of jobs with a schedule where nothing has a clock."""


class Stack(msgspec.Struct, frozen=True):
    """Services that run together, each behind those that it needs."""

    name: str
    """Small letters, digits and dashes."""
    root: Path
    """The directory of the project, absolute."""
    place: str
    """The file with the settings, for messages."""
    services: tuple[Service, ...]
    inactive: tuple[str, ...] = ()
    """Names of services that `with_profiles` left out."""

    def with_profiles(self, profiles: Collection[str]) -> "Stack":
        """Return the stack without the services that are only in other profiles. Raise UsageError for one that no service has."""
        known = {profile for service in self.services for profile in service.profiles}
        if unknown := sorted(set(profiles) - known):
            hint = f"There are {', '.join(sorted(known))}." if known else "No service has profiles."
            raise UsageError(f"{self.place}: there is no profile {unknown[0]}", hint=hint)
        active = tuple(it for it in self.services if not it.profiles or set(it.profiles) & set(profiles))
        inactive = tuple(it.name for it in self.services if it not in active)
        return msgspec.structs.replace(self, services=active, inactive=inactive)

    def service(self, name: str) -> Service:
        """Return the service of a name. Raise KeyError if there is none."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)

    @property
    def projects(self) -> tuple[Path, ...]:
        """The paths of the projects to build, each once."""
        return tuple(dict.fromkeys(it.source.path for it in self.services if isinstance(it.source, ProjectSource)))

    @property
    def variables(self) -> Mapping[str, tuple[str, ...]]:
        """The variables that it takes, each with the names of the services that do."""
        names = sorted({name for service in self.services for name in service.variables})
        return {name: tuple(it.name for it in self.services if name in it.variables) for name in names}


def variables_in(text: str) -> frozenset[str]:
    """Return the names of the variables that a value of `env` refers to."""
    return frozenset(_VARIABLE.findall(text))


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return a value of `env` with each `${NAME}` replaced. A name that is not among the variables stays as it is."""
    return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), text)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield (literal text, name of the variable behind it); the last name is empty."""
    end = 0
    for found in _VARIABLE.finditer(text):
        yield text[end : found.start()], found[1]
        end = found.end()
    yield text[end:], ""
