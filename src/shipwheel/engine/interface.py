"""What an engine is, and what it is asked to run."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from shipwheel.errors import EngineError
from shipwheel.events import Reporter
from shipwheel.oci.image import Image, ImageIndex
from shipwheel.oci.model import ContainerConfig
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store import Store

__all__ = ["ENGINES", "Detached", "Engine", "Mount", "Port", "RunSpec", "image_for", "keeps_none"]

ENGINES = ("docker", "podman", "nerdctl", "containerd", "bwrap")
"""The names, in the order in which they are looked for. bwrap runs images and keeps none, so it is used only when it is named."""


class Port(msgspec.Struct, frozen=True):
    """A port of the container and where this machine has it. An empty address stands for all of the machine's."""

    container: int
    host: int
    protocol: str = "tcp"
    address: str = ""


class Mount(msgspec.Struct, frozen=True):
    """What is at `target` in the container: an absolute path of this machine, the name of a volume, or, when empty, a throwaway volume."""

    source: str
    target: str
    read_only: bool = False

    @property
    def is_path(self) -> bool:
        """Whether the source is a file or a directory of this machine."""
        return self.source.startswith(("/", "\\")) or self.source[1:2] == ":"


class RunSpec(msgspec.Struct, frozen=True):
    """One container to run. `config` is what the image says; the other fields say what is added to it or replaces it."""

    image: str
    config: ContainerConfig
    platform: Platform
    name: str
    args: tuple[str, ...] = ()
    """Instead of the image's Cmd; behind its Entrypoint."""
    entrypoint: tuple[str, ...] | None = None
    """Instead of the image's Entrypoint; its Cmd is not used then either."""
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = {}
    user: str | None = None
    read_only: bool = True
    """The root is read-only, and /tmp is in memory."""
    interactive: bool = False
    """Standard input is the container's."""
    tty: bool = False
    """Standard input and output are a terminal."""
    grace: int = 10
    """Seconds from the stop signal to the kill."""

    @property
    def command(self) -> tuple[str, ...]:
        """All words of the process, as image-spec, config.md, has them: Entrypoint, then Cmd or what replaces it."""
        if self.entrypoint is not None:
            return (*self.entrypoint, *self.args)
        return (*self.config.entrypoint, *(self.args or self.config.cmd))


class Detached(msgspec.Struct, frozen=True):
    """A container that was started and stays: the commands that show what it says, stop it, and remove it."""

    logs: str
    stop: str
    remove: str


class Engine(Protocol):
    """Something that runs containers. Every method raises EngineError when the engine does not do what it should."""

    name: str
    publishes: bool
    """Whether ports can be mapped; else the container is in this machine's network."""
    maps_user: bool
    """Whether what the image's user writes into a mounted directory belongs to who runs the engine."""
    detaches: bool
    """Whether a container can outlive the command that starts it."""
    emulation_hint: str
    """The engine's own way to emulators for foreign platforms, empty if it has none."""

    def version(self) -> str:
        """The engine's version, for people."""

    def host(self) -> Platform:
        """The platform that the engine runs without emulation."""

    def platforms(self) -> tuple[Platform, ...]:
        """What it can run: the host's platform first, then those that are emulated."""

    def has(self, image: str) -> bool:
        """Whether it has an image of this name or digest."""

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """Makes the engine have an image under this name, and returns what to call it. Of several platforms it is the engine's own.

        Layers that the engine is known to have are not sent. Raises DamagedBlob if a part in the store is damaged.
        """

    def pull(self, image: str, platform: Platform) -> None:
        """Has the engine fetch an image from its registry; its progress goes to standard error."""

    def inspect(self, image: str) -> tuple[ContainerConfig, Platform]:
        """What an image that the engine has says of how it is run, and its platform."""

    def run(self, spec: RunSpec) -> int:
        """Runs a container in the foreground until it ends, removes it and its throwaway volumes, and returns its exit status.

        Must be called from the main thread: SIGINT, SIGTERM and SIGHUP stop the container meanwhile, SIGUSR1 and SIGUSR2 are passed on.
        """

    def start(self, spec: RunSpec) -> Detached:
        """Starts a container without waiting for its end; it stays, ended too, until it is removed. An interactive one cannot be."""


def image_for(index: ImageIndex, host: Platform) -> Image:
    """The image of several that is for an engine's own platform, else the first."""
    return next((image for image in index.images if host.matches(image.platform)), index.images[0])


def keeps_none(engine: str) -> EngineError:
    """The error for a container that should stay, of an engine that does not detach."""
    hint = f"Name an engine that does: {', '.join(ENGINES[:-1])}. Or run it in the background, with & behind the command."
    return EngineError(f"{engine} keeps no containers: what it runs ends with the command that started it", hint=hint)
