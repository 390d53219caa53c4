"""The settings of one service of a stack: `[tool.shipwheel.services.NAME]`."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from shipwheel.settings.values import InvalidValue, setting_value

__all__ = ["ServiceSettings", "read_services"]


class ServiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A service: its image, and how it runs. Without `image` and `path` it is a process of the project itself."""

    image: str | None = None
    """Image in a registry, NAME:TAG or NAME@DIGEST. Default: the image of the project."""
    path: str | None = None
    """Directory of another project, such as a member of the workspace, relative to this one. It is built like this one."""
    process: str | None = None
    """Process of the project's image to run. Default: the service's own name; with `path`, or with `image`, which has to be an image by
    shipwheel then, `web`."""
    command: tuple[str, ...] = ()
    """Arguments in place of the image's Cmd, as a list of words or as one string."""
    job: bool | None = None
    """Run once, to its end, before what needs it starts. Default: only for the process `release`."""
    schedule: str | None = None
    """Times at which a cluster starts it, as cron writes them: "0 3 * * *". It is a job, and no service can need it. Docker and podman have
    no clock, so it is in the profile `scheduled` there: `shipwheel up --profile scheduled` runs it once."""
    ports: tuple[str, ...] = ()
    """Ports to publish on this machine: 8000, "8080:8000" for another number here, "0.0.0.0:8000:8000" for an address other than
    127.0.0.1. Default: for `web` the ports of the image, for others none. Services reach each other by name on every port."""
    volumes: dict[str, str] = {}
    """Volumes by name, each with its path in the container: `{data = "/var/lib/data"}`. Those that the image declares are there anyway."""
    env: dict[str, str] = {}
    """Environment variables. `${NAME}` in a value stands for a variable of the shell that starts the stack, such as a password."""
    secrets: tuple[str, ...] = ()
    """Variables of the shell that starts the stack whose values the service gets as files: /run/secrets/NAME, which the variable NAME_FILE
    names."""
    health: str | tuple[str, ...] | None = None
    """How to see that it is well: the path of a URL, "/health", or a command in the container as a list of words. Default: for images by
    shipwheel what they declare, else that their first port accepts connections."""
    needs: tuple[str, ...] = ()
    """Names of the services that have to be well before this one starts, and of the jobs that have to be done."""
    profiles: tuple[str, ...] = ()
    """Start it only with one of these profiles: `shipwheel up --profile debug`. Default: always."""
    start_timeout: int = 120
    """Seconds until a service that is not well, or a job that is not done, counts as failed."""
    cpus: float | None = None
    """Number of CPUs that it may use."""
    memory: str | None = None
    """Memory that it may use, for example "512m"."""
    hardened: bool | None = None
    """Give it a read-only root and no capabilities. Default: for images by shipwheel."""


def read_services(value: object) -> dict[str, ServiceSettings]:
    """Return the services of a TOML table by name. Raise InvalidValue with all problems."""
    if not isinstance(value, Mapping):
        raise InvalidValue("must be a table of services", "Write [tool.shipwheel.services.db] and its keys below it.")
    problems: list[InvalidValue] = []
    services = {name: _service(name, table, problems) for name, table in value.items()}
    if problems:
        hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
        raise InvalidValue("; ".join(problem.message for problem in problems), " ".join(hints))
    return services


def _service(name: str, table: object, problems: list[InvalidValue]) -> ServiceSettings:
    """Return a service, and add the problems of its table."""
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) is None:
        problems.append(InvalidValue(f"{name!r} is not the name of a service", "Use small letters, digits and '-': it is a host name."))
    if not isinstance(table, Mapping):
        problems.append(InvalidValue(f"{name} is not a table", f"Write [tool.shipwheel.services.{name}] and its keys below it."))
        return ServiceSettings()
    fields = {field.encode_name: field for field in msgspec.structs.fields(ServiceSettings)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in fields:
            problems.append(InvalidValue(f"{name}: unknown key {key!r}", f"Keys of a service: {', '.join(fields)}."))
            continue
        try:
            values[fields[key].name] = setting_value(f"services.{key}", value, fields[key].type)
        except InvalidValue as error:
            problems.append(InvalidValue(f"{name}: {key}: {error.message}", error.hint))
    return ServiceSettings(**values)
