"""The image config: how a container of the image runs, from the settings and the command that was found. Pure."""

from collections.abc import Mapping

import msgspec

from shipwheel.base.model import Base
from shipwheel.container.venv import VENV
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.oci.model import ContainerConfig

__all__ = ["ContainerOptions", "container_config", "container_path", "container_stop_signal", "container_user"]

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
DEFAULT_USER = "65532:65532"

_DROPPED = ("PYTHONHOME", "PYTHONPATH")
"""Variables of a base image that are dropped: they would hide or replace the virtual environment's packages."""


class ContainerOptions(msgspec.Struct, frozen=True):
    """How a container of the image runs. With `program`, arguments of `docker run` append to the command."""

    command: tuple[str, ...]
    program: bool
    arguments: tuple[str, ...]
    ports: tuple[str, ...]
    volumes: tuple[str, ...]
    env: Mapping[str, str]
    user: str
    workdir: str
    labels: Mapping[str, str]
    stop_signal: str
    launcher: tuple[str, ...]
    """The launcher's command line if there are steps before the start, else empty."""
    init: str = ""
    """Absolute path of the init, empty without one."""
    certificates: str = CERTIFICATES
    """Path of the CA bundle, empty if the base has none."""


def container_config(options: ContainerOptions, parent: ExecutionConfig | None = None) -> ContainerConfig:
    """Return the config. Entrypoint and Cmd are both ours, in exec form; the base image's are dropped.

    The environment, ports, volumes and labels of the base image's config `parent` stay, below ours. Its org.opencontainers.image.*
    labels (annotations.md) go, since they describe the base.
    """
    entrypoint, command = _split(options)
    parent = parent or ExecutionConfig(stop_signal="")
    labels = {key: value for key, value in parent.labels.items() if not key.startswith("org.opencontainers.image.")}
    return ContainerConfig(
        user=options.user,
        exposed_ports={port: {} for port in sorted({*map(str, parent.exposed_ports), *options.ports})},
        env=_environment(options.env, parent.environment, options.certificates),
        entrypoint=entrypoint,
        cmd=command,
        volumes={volume: {} for volume in sorted({*parent.volumes, *options.volumes})},
        working_dir=options.workdir,
        labels={**labels, **options.labels},
        stop_signal=options.stop_signal or parent.stop_signal,
    )


def _split(options: ContainerOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (Entrypoint, Cmd): arguments append to a program and replace the command of a service."""
    start = ((options.init, "--") if options.init else ()) + options.launcher
    if options.program:
        return (*start, *options.command), options.arguments
    return start, (*options.command, *options.arguments)


def container_path(env: Mapping[str, str], parent: str = "") -> str:
    """Return the image's PATH. `env` is the environment from the settings, `parent` the base image's PATH."""
    return env.get("PATH", f"/{VENV}/bin:{parent or '/usr/local/bin:/usr/bin:/bin'}")


def container_user(user: str | None, base: Base) -> str:
    """Return `uid:gid`: from the settings, else the base image's if that is not root, else 65532."""
    return user or (base.image.facts.user if base.image is not None else "") or DEFAULT_USER


def container_stop_signal(signal: str | None, base: Base) -> str:
    """Return the signal that stops the container: from the settings, else the base image's."""
    return signal or (base.parent.execution.stop_signal if base.parent is not None else "SIGTERM")


def _environment(env: Mapping[str, str], parent: Mapping[str, str], certificates: str) -> tuple[str, ...]:
    """Return the base image's variables, overridden by the defaults, overridden by the settings; sorted by name."""
    values = {
        **{name: value for name, value in parent.items() if name not in _DROPPED},
        "PATH": container_path({}, parent.get("PATH", "")),
        "VIRTUAL_ENV": f"/{VENV}",
        "HOME": "/tmp",  # noqa: S108 - the one place that is writable under a read-only root
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **({"SSL_CERT_FILE": certificates} if certificates else {}),
        **env,
    }
    return tuple(f"{key}={value}" for key, value in sorted(values.items()))
