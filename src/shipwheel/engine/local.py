"""Engines that run on this machine only: without a daemon elsewhere, without a network and without volumes of their own.

Their volumes are directories below the user's data directory, and files that programs read variables from are in memory: neither on disk
nor in the list of processes.
"""

import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from shipwheel.engine.emulation import emulated_platforms
from shipwheel.engine.interface import MAX_LOG_LINES, Container, RunSpec
from shipwheel.errors import EngineError
from shipwheel.platform import Platform, host_platform

__all__ = [
    "Bind",
    "Binds",
    "EnvFile",
    "LocalContainer",
    "LocalEngine",
    "bind_mounts",
    "env_file",
    "last_lines",
    "logs_directory",
    "make_binds",
    "memory_file",
    "volumes_directory",
]

_POLL_S = 0.05
_KILL_TIMEOUT_S = 10.0


class LocalEngine:
    """An engine on this machine's kernel, whose containers are in this machine's network."""

    publishes = False
    is_remote = False
    detaches = True
    networks = False
    groups = False
    takes_pipes = True
    limits = True
    emulation_hint = ""

    def __init__(self, version: str) -> None:
        self._version = version

    def version(self) -> str:
        """See `Engine.version`."""
        return self._version

    def host(self) -> Platform:
        """See `Engine.host`."""
        return host_platform()

    def as_caller(self, user: str) -> tuple[str, tuple[str, ...]]:
        """See `Engine.as_caller`."""
        return user, ()

    def platforms(self) -> tuple[Platform, ...]:
        """See `Engine.platforms`."""
        return (self.host(), *emulated_platforms())


class LocalContainer(Container):
    """A container on this machine, whose engine does not wait between the stop signal and the kill."""

    def stop(self, grace: float | None = None) -> int:
        """See `Container.stop`."""
        for signal, seconds in ((self.spec.stop_signal, self.spec.grace if grace is None else grace), ("SIGKILL", _KILL_TIMEOUT_S)):
            self.send(signal)
            deadline = time.monotonic() + seconds
            while (state := self.state()).running and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            if state.exit_code is not None:
                return state.exit_code
        raise EngineError(f"{self.spec.name} did not end when it was killed", hint=f"Try again later: {self.commands.stop}")


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


class Binds(NamedTuple):
    """The bind mounts of a container, and the directories that stand for its throwaway volumes."""

    mounts: tuple[Bind, ...]
    throwaway: tuple[Path, ...]

    def remove(self) -> None:
        """Remove the throwaway volumes."""
        for directory in self.throwaway:
            shutil.rmtree(directory, ignore_errors=True)


def make_binds(spec: RunSpec, *, chown: bool) -> Binds:
    """Return the bind mounts for a container's mounts. Creates named volumes that are new, and throwaway ones.

    With `chown`, gives new volumes to the container's user, and to group 0 with the same rights, if root runs this. Raises EngineError if
    a volume cannot be created.
    """
    owner = (spec.user or spec.config.user) if chown and hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    mounts: list[Bind] = []
    throwaway: list[Path] = []
    try:
        for mount in spec.mounts:
            if mount.is_path:
                source = Path(mount.source)
            elif mount.source:
                source = _named_volume(volumes_directory() / mount.source, owner)
            else:
                throwaway.append(Path(tempfile.mkdtemp(prefix="shipwheel-volume-")))
                source = _give_to(throwaway[-1], owner)
            mounts.append(Bind(str(source), mount.target, "ro" if mount.read_only else "rw"))
    except OSError as error:
        Binds((), tuple(throwaway)).remove()
        hint = "Set XDG_DATA_HOME to a directory that you can write to, or use --ephemeral."
        raise EngineError(f"cannot create a volume: {error.filename}: {error.strerror or error}", hint=hint) from error
    return Binds(tuple(mounts), tuple(throwaway))


@contextmanager
def bind_mounts(spec: RunSpec, *, chown: bool) -> Iterator[tuple[Bind, ...]]:
    """Yield the bind mounts for a container's mounts (see `make_binds`), and remove throwaway volumes after the block."""
    binds = make_binds(spec, chown=chown)
    try:
        yield binds.mounts
    finally:
        binds.remove()


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


def last_lines(log: Path) -> str:
    """Return the last MAX_LOG_LINES lines of a container's log, empty if there is none."""
    try:
        with log.open(encoding="utf-8", errors="replace", newline="") as stream:
            return "".join(deque(stream, MAX_LOG_LINES))
    except FileNotFoundError:
        return ""


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
    uid = owner.partition(":")[0]
    if uid.isdecimal():
        os.chown(directory, int(uid), 0)
        directory.chmod(0o775)
    return directory
