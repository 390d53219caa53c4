"""How an image is run: its config, from the settings and the launch that was found. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from shipwheel.oci.model import ContainerConfig
from shipwheel.python.venv import VENV

__all__ = ["Run", "container_config", "container_path"]

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Run:
    """What a container of the image does. `program` says that arguments append to the command."""

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
    """The launcher's own command when there are one-time steps, else empty."""


def container_config(run: Run) -> ContainerConfig:
    """Entrypoint and Cmd are both ours, in exec form; a base's are never kept."""
    entrypoint, command = _split(run)
    return ContainerConfig(
        user=run.user,
        exposed_ports={port: {} for port in sorted(run.ports)},
        env=_environment(run.env),
        entrypoint=entrypoint,
        cmd=command,
        volumes={volume: {} for volume in sorted(run.volumes)},
        working_dir=run.workdir,
        labels=dict(run.labels),
        stop_signal=run.stop_signal,
    )


def _split(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(Entrypoint, Cmd): a program takes arguments, a service's command can be replaced as a whole."""
    if run.program:
        return (*run.launcher, *run.command), run.arguments
    return run.launcher, (*run.command, *run.arguments)


def container_path(users: Mapping[str, str]) -> str:
    """Where an image looks for programs; `users` is the user's environment."""
    return users.get("PATH", f"/{VENV}/bin:/usr/local/bin:/usr/bin:/bin")


def _environment(users: Mapping[str, str]) -> tuple[str, ...]:
    """The defaults first, then the user's, sorted, so that the bytes are the same whoever writes them."""
    values = {
        "PATH": container_path({}),
        "VIRTUAL_ENV": f"/{VENV}",
        "HOME": "/tmp",  # noqa: S108 - the one place that is writable under a read-only root
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "SSL_CERT_FILE": CERTIFICATES,
        **users,
    }
    return tuple(f"{key}={value}" for key, value in sorted(values.items()))
