"""The interface of an engine and of its containers, and the description of a container to run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

from shipwheel.container.path import ContainerPath
from shipwheel.engine.program import ProgramResult
from shipwheel.engine.tee import Tail
from shipwheel.errors import EngineError
from shipwheel.events import Reporter
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.oci.image import Image, ImageIndex
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.store import Store

__all__ = [
    "ENGINES",
    "EXEC_TIMEOUT_S",
    "MAX_LOG_LINES",
    "Container",
    "ContainerCommands",
    "ContainerState",
    "Engine",
    "Mount",
    "Port",
    "RunSpec",
    "check_supported",
    "detach_error",
    "image_for",
]

ENGINES = ("docker", "podman", "nerdctl", "containerd", "bwrap")
"""The engines' names, in the order in which shipwheel looks for them. bwrap stores no images, so it is used only when it is named."""

MAX_LOG_LINES = 1000
"""Lines of a container's output that `Container.logs` returns."""

EXEC_TIMEOUT_S = 60.0


class Port(msgspec.Struct, frozen=True):
    """A port of the container, published at `host` on this machine. An empty address means all of the machine's."""

    container: int
    host: int
    protocol: str = "tcp"
    address: str = ""


class Mount(msgspec.Struct, frozen=True):
    """A mount at `target` in the container. `source` is an absolute path on this machine, a volume's name, or "" for a throwaway volume."""

    source: str
    target: ContainerPath
    read_only: bool = False

    @property
    def is_path(self) -> bool:
        """True if the source is a file or directory of this machine."""
        return self.source.startswith(("/", "\\")) or self.source[1:2] == ":"


class RunSpec(msgspec.Struct, frozen=True):
    """A container to run. `config` is the image's; the other fields add to it or replace parts of it."""

    image: str
    config: ExecutionConfig
    platform: Platform
    name: str
    args: tuple[str, ...] = ()
    """Replaces the image's Cmd, behind its Entrypoint."""
    entrypoint: tuple[str, ...] | None = None
    """Replaces the image's Entrypoint and Cmd."""
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = {}
    user: str | None = None
    read_only: bool = True
    """Mount the root read-only. Otherwise what is written goes to a layer that is removed with the container."""
    tmpfs: tuple[ContainerPath, ...] = (ContainerPath("/tmp"),)  # noqa: S108 - in the container
    """Directories in memory, which every user may write to."""
    no_privileges: bool = False
    """Drop every capability, and gain none from setuid programs."""
    no_new_privileges: bool = False
    """Gain no capabilities from setuid programs."""
    network: str = ""
    """The engine's default network if empty, `none` for a loopback interface alone, `host`, or the name of one of the engine's networks."""
    aliases: tuple[str, ...] = ()
    """Names by which the other containers of its network find it."""
    labels: Mapping[str, str] = {}
    """Labels of the container, beside those of the image."""
    restarts: bool = False
    """Start it again whenever it ends, until someone stops it."""
    interactive: bool = False
    """Pass standard input to the container."""
    tty: bool = False
    """Standard input and output are a terminal."""
    grace: int = 10
    """Seconds from the stop signal to the kill."""
    cpus: float | None = None
    """The number of CPUs that it may use."""
    memory: int | None = None
    """The bytes of memory that it may use."""
    engine_options: tuple[str, ...] = ()
    """More words for the command of the engine that runs the container."""

    @property
    def command(self) -> tuple[str, ...]:
        """The process's words (image-spec, config.md): Entrypoint, then Cmd or its replacement."""
        if self.entrypoint is not None:
            return (*self.entrypoint, *self.args)
        return (*self.config.entrypoint, *(self.args or self.config.cmd))

    @property
    def stop_signal(self) -> str:
        """The signal that stops the container."""
        return self.config.stop_signal


class ContainerCommands(msgspec.Struct, frozen=True):
    """The commands with which a user follows a container's output, stops it, and removes it."""

    logs: str
    stop: str
    remove: str


class ContainerState(msgspec.Struct, frozen=True):
    """The state of a container. `exit_code` is None while it runs, and 128 plus the number if a signal ended it."""

    exit_code: int | None = None
    out_of_memory: bool = False
    """True if the engine says that the kernel killed it because it exceeded its memory."""

    @property
    def running(self) -> bool:
        """True if the container's first process has not ended."""
        return self.exit_code is None


class Container(ABC):
    """A container in the background. As a context manager, it is removed at the end.

    Every method raises EngineError if the engine fails. A container of bwrap ends with the thread that started it.
    """

    exec_words: tuple[str, ...] = ()
    """The words before those of a program that runs inside with our standard input; empty if the engine has none."""

    def __init__(self, spec: RunSpec, commands: ContainerCommands) -> None:
        self.spec = spec
        self.commands = commands

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()

    @abstractmethod
    def state(self) -> ContainerState:
        """Return whether it runs, or how it ended."""

    @abstractmethod
    def logs(self) -> str:
        """Return the last MAX_LOG_LINES lines of its output so far, standard output and standard error together.

        docker and podman read the two as separate streams, so lines of one may come before earlier lines of the other.
        """

    @abstractmethod
    def exec(self, argv: Sequence[str], *, timeout: float = EXEC_TIMEOUT_S) -> ProgramResult:
        """Run a program inside, as the container's user and with its environment and working directory.

        The status is 126 or 127 if the program cannot be started, and 124 if it exceeds `timeout` seconds. It may then run on until the
        container is removed.
        """

    @abstractmethod
    def send(self, signal: str) -> None:
        """Send a signal (`SIGHUP`) to its first process, if that runs."""

    @abstractmethod
    def stop(self, grace: float | None = None) -> int:
        """Send the stop signal, kill it after `grace` seconds (the spec's if None), and return its exit code. It may have ended before."""

    @abstractmethod
    def changes(self) -> tuple[str, ...] | None:
        """Return the absolute paths that it created, changed or deleted in its root file system, also after its end.

        Leaves out directories that only lead to others. None if the engine does not tell.
        """

    @abstractmethod
    def remove(self) -> None:
        """Kill it if it runs, and remove it with its throwaway volumes. Does nothing the second time."""


class Engine(Protocol):
    """A container engine. Every method raises EngineError if the engine fails."""

    name: str
    publishes: bool
    """True if it can publish ports; otherwise the container is in this machine's network."""
    is_remote: bool
    """True if its containers are on another machine, where their ports are published."""
    maps_user: bool
    """True if files that the image's user writes into a mounted directory belong to the user who runs the engine."""
    detaches: bool
    """True if a container can outlive the process that starts it."""
    networks: bool
    """True if it has networks of its own beside `host` and `none`."""
    groups: bool
    """True if `group.py` can manage its containers, networks and volumes by their labels."""
    takes_pipes: bool
    """True if a container's input can come from elsewhere than a terminal."""
    limits: bool
    """True if it can limit a container's CPUs and memory."""
    emulation_hint: str
    """The engine's own command that installs emulators for other platforms, empty without one."""

    def version(self) -> str:
        """Return the engine's version, for people."""

    def host(self) -> Platform:
        """Return the platform that the engine runs without emulation."""

    def platforms(self) -> tuple[Platform, ...]:
        """Return the platforms that it can run: the host's, then the emulated ones."""

    def as_caller(self, user: str) -> tuple[str, tuple[str, ...]]:
        """Return as which user a container must run, and with which options of the engine, so that the files that it writes into mounted
        directories belong to `user` (`UID:GID`) of this machine."""

    def has(self, image: str) -> bool:
        """Return whether it has an image of this name or digest."""

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """Load the image for the engine's platform under a name, and return the name that the engine knows it by.

        Does not send layers that the engine has. Raises DamagedBlob if a part in the store is damaged.
        """

    def pull(self, image: str, platform: Platform) -> None:
        """Let the engine pull an image from its registry. Progress goes to standard error."""

    def inspect(self, image: str) -> tuple[ExecutionConfig, Platform]:
        """Return the config and the platform of one of the engine's images."""

    def run(self, spec: RunSpec, tail: Tail | None = None) -> int:
        """Run a container in the foreground until it ends, remove it and its throwaway volumes, and return its exit status.

        `tail` gets the end of the output, unless the container has the terminal.
        Call it in the main thread: SIGINT, SIGTERM and SIGHUP stop the container meanwhile, SIGUSR1 and SIGUSR2 are forwarded to it.
        """

    def has_started(self, spec: RunSpec) -> bool:
        """Return whether the container of a `run` runs yet; True for an engine without proxies in front of a container's ports."""

    def capture(self, spec: RunSpec, timeout: float) -> ProgramResult:
        """Run a container without input to its end, remove it and its throwaway volumes, and return its exit status and output.

        `timeout` in seconds; a container that exceeds it is killed.
        """

    def start(self, spec: RunSpec) -> Container:
        """Start a container in the background, without input. It stays until it is removed, also after it has ended.

        Raises EngineError if it does not start; then nothing is left of it.
        """


def image_for(index: ImageIndex, host: Platform) -> Image:
    """Return the image for the engine's own platform, else the first."""
    return next((image for image in index.images if host.matches(image.platform)), index.images[0])


def check_supported(engine: Engine, *, network: str, limited: bool) -> None:
    """Raise EngineError for a network, or for limits of CPUs and memory, that the engine does not have."""
    if network not in ("", "host", "none") and not engine.networks:
        raise EngineError(f"{engine.name} has no network {network!r}", hint="It has `host`, which is the default, and `none`.")
    if limited and not engine.limits:
        raise EngineError(f"{engine.name} cannot limit CPUs and memory", hint=f"Use another engine: {', '.join(ENGINES[:-1])}.")


def detach_error(engine: str) -> EngineError:
    """Return the error for --detach with an engine that cannot detach."""
    hint = f"Use another engine: {', '.join(ENGINES[:-1])}. Or run the command in the background, with & at its end."
    return EngineError(f"{engine} cannot detach: its containers end with the command that started them", hint=hint)
