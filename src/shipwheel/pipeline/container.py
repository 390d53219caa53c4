"""How an image is run: its config, from the settings and the launch that was found. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from shipwheel.base.base import Base
from shipwheel.oci.model import ContainerConfig
from shipwheel.venv import VENV

__all__ = ["Run", "container_config", "container_path", "container_user"]

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
DEFAULT_USER = "65532:65532"

_NOT_KEPT = ("PYTHONHOME", "PYTHONPATH")
"""Of a base's environment: they would come before what is in the virtual environment, or in its place."""


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
    certificates: str = CERTIFICATES
    """The path of a bundle of certificates, empty where the base has none."""


def container_config(run: Run, below: ContainerConfig | None = None) -> ContainerConfig:
    """Entrypoint and Cmd are both ours, in exec form; a base's are never kept.

    Of the base's config `below`, the environment, ports, volumes and labels stay under ours; what its labels say of the base as an image
    (annotations.md: org.opencontainers.image.*) is not true of this one.
    """
    entrypoint, command = _split(run)
    below = below or ContainerConfig()
    kept = {key: value for key, value in below.labels.items() if not key.startswith("org.opencontainers.image.")}
    return ContainerConfig(
        user=run.user,
        exposed_ports={port: {} for port in sorted({*below.exposed_ports, *run.ports})},
        env=_environment(run.env, below.environment, run.certificates),
        entrypoint=entrypoint,
        cmd=command,
        volumes={volume: {} for volume in sorted({*below.volumes, *run.volumes})},
        working_dir=run.workdir,
        labels={**kept, **run.labels},
        stop_signal=run.stop_signal or below.stop_signal,
    )


def _split(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(Entrypoint, Cmd): a program takes arguments, a service's command can be replaced as a whole."""
    if run.program:
        return (*run.launcher, *run.command), run.arguments
    return run.launcher, (*run.command, *run.arguments)


def container_path(users: Mapping[str, str], below: str = "") -> str:
    """Where an image looks for programs; `users` is the user's environment, `below` the base's own path."""
    return users.get("PATH", f"/{VENV}/bin:{below or '/usr/local/bin:/usr/bin:/bin'}")


def container_user(user: str | None, base: Base) -> str:
    """uid:gid: what the user says, else the base image's, which is not root, else ours."""
    return user or (base.image.facts.user if base.image is not None else "") or DEFAULT_USER


def _environment(users: Mapping[str, str], below: Mapping[str, str], certificates: str) -> tuple[str, ...]:
    """The base's first, then the defaults, then the user's, sorted, so that the bytes are the same whoever writes them."""
    values = {
        **{name: value for name, value in below.items() if name and name not in _NOT_KEPT},
        "PATH": container_path({}, below.get("PATH", "")),
        "VIRTUAL_ENV": f"/{VENV}",
        "HOME": "/tmp",  # noqa: S108 - the one place that is writable under a read-only root
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **({"SSL_CERT_FILE": certificates} if certificates else {}),
        **users,
    }
    return tuple(f"{key}={value}" for key, value in sorted(values.items()))
