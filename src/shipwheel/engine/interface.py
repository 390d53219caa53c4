"""The interface of an engine, and the description of a container to run."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from shipwheel.engine.program import ProgramResult
from shipwheel.errors import EngineError
from shipwheel.events import Reporter
from shipwheel.oci.image import Image, ImageIndex
from shipwheel.oci.model import ContainerConfig
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store import Store

__all__ = ["ENGINES", "Detached", "Engine", "Mount", "Port", "RunSpec", "detach_error", "image_for"]

ENGINES = ("docker", "podman", "nerdctl", "containerd", "bwrap")
"""The engines' names, in the order in which shipwheel looks for them. bwrap stores no images, so it is used only when it is named."""


class Port(msgspec.Struct, frozen=True):
    """A port of the container, published at `host` on this machine. An empty address means all of the machine's."""

    container: int
    host: int
    protocol: str = "tcp"
    address: str = ""


class Mount(msgspec.Struct, frozen=True):
    """A mount at `target` in the container. `source` is an absolute path on this machine, a volume's name, or "" for a throwaway volume."""

    source: str
    target: str
    read_only: bool = False

    @property
    def is_path(self) -> bool:
        """True if the source is a file or directory of this machine."""
        return self.source.startswith(("/", "\\")) or self.source[1:2] == ":"


class RunSpec(msgspec.Struct, frozen=True):
    """A container to run. `config` is the image's; the other fields add to it or replace parts of it."""

    image: str
    config: ContainerConfig
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
    """Mount the root read-only, and /tmp in memory."""
    network: str = ""
    """Set to "none" to leave the container only its loopback device; empty for the engine's default."""
    no_privileges: bool = False
    """Drop every capability, and gain none from setuid programs."""
    interactive: bool = False
    """Pass standard input to the container."""
    tty: bool = False
    """Standard input and output are a terminal."""
    grace: int = 10
    """Seconds from the stop signal to the kill."""

    @property
    def command(self) -> tuple[str, ...]:
        """The process's words (image-spec, config.md): Entrypoint, then Cmd or its replacement."""
        if self.entrypoint is not None:
            return (*self.entrypoint, *self.args)
        return (*self.config.entrypoint, *(self.args or self.config.cmd))

    @property
    def stop_signal(self) -> str:
        """The signal that stops the container."""
        return self.config.stop_signal or "SIGTERM"


class Detached(msgspec.Struct, frozen=True):
    """A container that runs in the background: the commands that show its output, stop it, and remove it."""

    logs: str
    stop: str
    remove: str


class Engine(Protocol):
    """A container engine. Every method raises EngineError if the engine fails."""

    name: str
    publishes: bool
    """True if it can publish ports; otherwise the container is in this machine's network."""
    maps_user: bool
    """True if files that the image's user writes into a mounted directory belong to the user who runs the engine."""
    detaches: bool
    """True if a container can outlive the command that starts it."""
    emulation_hint: str
    """The engine's own command that installs emulators for other platforms, empty without one."""

    def version(self) -> str:
        """Return the engine's version, for people."""

    def host(self) -> Platform:
        """Return the platform that the engine runs without emulation."""

    def platforms(self) -> tuple[Platform, ...]:
        """Return the platforms that it can run: the host's, then the emulated ones."""

    def has(self, image: str) -> bool:
        """Return whether it has an image of this name or digest."""

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """Load the image for the engine's platform under a name, and return the name that the engine knows it by.

        Does not send layers that the engine has. Raises DamagedBlob if a part in the store is damaged.
        """

    def pull(self, image: str, platform: Platform) -> None:
        """Let the engine pull an image from its registry. Progress goes to standard error."""

    def inspect(self, image: str) -> tuple[ContainerConfig, Platform]:
        """Return the config and the platform of one of the engine's images."""

    def run(self, spec: RunSpec) -> int:
        """Run a container in the foreground until it ends, remove it and its throwaway volumes, and return its exit status.

        Call it in the main thread: SIGINT, SIGTERM and SIGHUP stop the container meanwhile, SIGUSR1 and SIGUSR2 are forwarded to it.
        """

    def capture(self, spec: RunSpec, timeout: float) -> ProgramResult:
        """Run a container without input to its end, remove it and its throwaway volumes, and return its exit status and output.

        `timeout` in seconds; a container that exceeds it is killed.
        """

    def start(self, spec: RunSpec) -> Detached:
        """Start a container in the background, not interactively. It stays until it is removed, also after it has ended."""


def image_for(index: ImageIndex, host: Platform) -> Image:
    """Return the image for the engine's own platform, else the first."""
    return next((image for image in index.images if host.matches(image.platform)), index.images[0])


def detach_error(engine: str) -> EngineError:
    """Return the error for --detach with an engine that cannot detach."""
    hint = f"Use another engine: {', '.join(ENGINES[:-1])}. Or run the command in the background, with & at its end."
    return EngineError(f"{engine} cannot detach: its containers end with the command that started them", hint=hint)
