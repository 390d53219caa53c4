"""An image's execution parameters, checked: how its containers run (image-spec 1.1, config.md: config).

A config may say anything. Engines get its values as arguments and as lines of files, so only checked ones leave this module.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from shipwheel.container.path import ContainerPath, as_container_path
from shipwheel.container.signals import signal_name
from shipwheel.errors import ImageError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.model import ContainerConfig

__all__ = ["ExecutionConfig", "ExposedPort", "execution_config"]

_CONTROL = lazy_pattern(r"[\x00-\x1f\x7f]")
_USER = lazy_pattern(r"(?:(?!-)[^\x00-\x20\x7f:,=]+)?(?::(?!-)[^\x00-\x20\x7f:,=]+)?")
_PORT = lazy_pattern(r"([0-9]{1,5})(?:/(tcp|udp|sctp))?")


class ExposedPort(NamedTuple):
    """A port that the container listens on."""

    number: int
    protocol: str

    def __str__(self) -> str:
        """Return it as configs have it: `80/tcp`."""
        return f"{self.number}/{self.protocol}"


class ExecutionConfig(msgspec.Struct, frozen=True):
    """An image's execution parameters. No text has a NUL."""

    environment: Mapping[str, str] = {}
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = "/"
    user: str = ""
    """A name or number, `:` and a group's may follow. Empty for root."""
    volumes: tuple[ContainerPath, ...] = ()
    exposed_ports: tuple[ExposedPort, ...] = ()
    labels: Mapping[str, str] = {}
    stop_signal: str = "SIGTERM"


def execution_config(config: ContainerConfig, name: str) -> ExecutionConfig:
    """Check the parameters of an image. Raise ImageError with its `name` and the field for a value that no engine could take."""
    return ExecutionConfig(
        environment=_environment(config.env, name),
        entrypoint=_words(config.entrypoint, f"{name}: Entrypoint"),
        cmd=_words(config.cmd, f"{name}: Cmd"),
        working_dir=_working_dir(config.working_dir, name),
        user=_user(config.user, name),
        volumes=tuple(sorted({_volume(volume, name) for volume in config.volumes})),
        exposed_ports=tuple(sorted({_port(port, name) for port in config.exposed_ports})),
        labels=config.labels,
        stop_signal=_stop_signal(config.stop_signal, name),
    )


def _environment(entries: Iterable[str], name: str) -> dict[str, str]:
    """Return the variables; an entry without a name or without `=` sets none."""
    pairs = (entry.partition("=") for entry in _words(entries, f"{name}: Env"))
    return {variable: value for variable, equals, value in pairs if variable and equals}


def _words(words: Iterable[str], where: str) -> tuple[str, ...]:
    found = tuple(words)
    for word in found:
        if "\0" in word:
            raise _invalid(f"{where} has the word {word[:80]!r}, which contains NUL")
    return found


def _working_dir(text: str, name: str) -> str:
    if _CONTROL.search(text):
        raise _invalid(f"{name}: WorkingDir is {text[:80]!r}, which contains control characters")
    return text if text.startswith("/") else f"/{text}"


def _user(text: str, name: str) -> str:
    if not _USER.fullmatch(text):
        raise _invalid(f"{name}: User is {text[:80]!r}, which is neither a user nor a user and a group")
    return text


def _volume(text: str, name: str) -> ContainerPath:
    path = as_container_path(text if text.startswith("/") else f"/{text}")
    if path is None:
        raise _invalid(f"{name}: Volumes has {text[:80]!r}, which is not a path that a volume can be mounted at")
    return path


def _port(text: str, name: str) -> ExposedPort:
    match = _PORT.fullmatch(text)
    if match is None or not 0 < int(match[1]) < 65536:
        raise _invalid(f"{name}: ExposedPorts has {text[:80]!r}, which is not a port")
    return ExposedPort(int(match[1]), match[2] or "tcp")


def _stop_signal(text: str, name: str) -> str:
    signal = signal_name(text) if text else "SIGTERM"
    if signal is None:
        raise _invalid(f"{name}: StopSignal is {text[:80]!r}, which is not a signal")
    return signal


def _invalid(message: str) -> ImageError:
    return ImageError(message, hint="The image's config is malformed or hostile: do not use the image, or make it again.")
