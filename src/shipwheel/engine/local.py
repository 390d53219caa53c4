"""Engines that run on this machine only: without a daemon elsewhere, without a network and without volumes of their own.

Their volumes are directories below the user's data directory, and files that programs read variables from are in memory: neither on disk
nor in the list of processes.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from shipwheel.engine.emulation import emulated_platforms
from shipwheel.engine.interface import RunSpec
from shipwheel.errors import EngineError
from shipwheel.platform import Platform, host_platform

__all__ = ["Bind", "EnvFile", "LocalEngine", "bind_mounts", "env_file", "logs_directory", "memory_file", "volumes_directory"]


class LocalEngine:
    """An engine on this machine's kernel, whose containers are in this machine's network."""

    publishes = False
    detaches = True
    emulation_hint = ""

    def __init__(self, version: str) -> None:
        self._version = version

    def version(self) -> str:
        """See `Engine.version`."""
        return self._version

    def host(self) -> Platform:
        """See `Engine.host`."""
        return host_platform()

    def platforms(self) -> tuple[Platform, ...]:
        """See `Engine.platforms`."""
        return (self.host(), *emulated_platforms())


class Bind(NamedTuple):
    """A file or directory of this machine, its path in the container, and "rw" or "ro"."""

    source: str
    target: str
    mode: str


def volumes_directory() -> Path:
    """Return the directory of named volumes."""
    return _data_directory() / "volumes"


def logs_directory() -> Path:
    """Return the directory of containers' logs, for engines that store none."""
    return _data_directory() / "logs"


@contextmanager
def bind_mounts(spec: RunSpec, *, chown: bool) -> Iterator[tuple[Bind, ...]]:
    """Yield the bind mounts for a container's mounts. Create named volumes that are new, and remove throwaway ones after the block.

    With `chown`, give new volumes to the container's user, if root runs this. Raises EngineError if a volume cannot be created.
    """
    owner = (spec.user or spec.config.user) if chown and hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    temporary: list[Path] = []
    try:
        binds = []
        for mount in spec.mounts:
            if mount.is_path:
                source = Path(mount.source)
            elif mount.source:
                source = _named_volume(volumes_directory() / mount.source, owner)
            else:
                temporary.append(Path(tempfile.mkdtemp(prefix="shipwheel-volume-")))
                source = _give_to(temporary[-1], owner)
            binds.append(Bind(str(source), mount.target, "ro" if mount.read_only else "rw"))
        yield tuple(binds)
    except OSError as error:
        hint = "Set XDG_DATA_HOME to a directory that you can write to, or use --ephemeral."
        raise EngineError(f"cannot create a volume: {error.filename}: {error.strerror or error}", hint=hint) from error
    finally:
        for directory in temporary:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def memory_file(data: bytes) -> Iterator[int]:
    """Yield a file descriptor that reads as these bytes. Linux only."""
    handle = os.memfd_create("shipwheel")
    try:
        os.write(handle, data)
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle
    finally:
        os.close(handle)


class EnvFile(NamedTuple):
    """Flags that give a program variables, and the file descriptors that it must inherit."""

    flags: tuple[str, ...]
    pass_fds: tuple[int, ...]


@contextmanager
def env_file(env: Mapping[str, str]) -> Iterator[EnvFile]:
    """Yield `--env-file` with a file in memory, and `--env` for the variables that no line of it can hold."""
    flags = tuple(f"--env={name}={value}" for name, value in env.items() if "\n" in value)
    lines = "".join(f"{name}={value}\n" for name, value in env.items() if "\n" not in value)
    if not lines:
        yield EnvFile(flags, ())
        return
    with memory_file(lines.encode()) as handle:
        yield EnvFile((*flags, f"--env-file=/proc/self/fd/{handle}"), (handle,))


def _data_directory() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("shipwheel")).absolute()


def _named_volume(directory: Path, owner: str) -> Path:
    if directory.is_dir():
        return directory
    directory.mkdir(parents=True)
    return _give_to(directory, owner)


def _give_to(directory: Path, owner: str) -> Path:
    directory.chmod(0o755)
    uid, _, gid = owner.partition(":")
    if uid.isdecimal():
        os.chown(directory, int(uid), int(gid) if gid.isdecimal() else int(uid))
    return directory
