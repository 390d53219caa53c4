"""The command line that docker, podman and nerdctl share.

https://docs.docker.com/reference/cli/docker/container/run; podman-run(1) and nerdctl's page agree with it in everything used here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shipwheel.container.variables import container_variables
from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.engine.delivery import report_present
from shipwheel.engine.dockerlike_container import DockerLikeContainer
from shipwheel.engine.emulation import check_runnable
from shipwheel.engine.interface import Mount, Port, RunSpec
from shipwheel.engine.program import EngineFailure, ProgramResult, run_program, run_with_messages
from shipwheel.engine.supervise import send_with_program, supervise
from shipwheel.engine.tee import Tail
from shipwheel.errors import EngineError
from shipwheel.events import Reporter
from shipwheel.oci.execution import ExecutionConfig, execution_config
from shipwheel.oci.model import ContainerConfig
from shipwheel.platform import Platform

__all__ = ["DockerLike", "InspectedImage", "is_elsewhere"]

_START_TIMEOUT_S = 300.0
"""Some engines first copy an image's files into a volume."""

_NOT_STARTED = (
    "Check that the name (--name) and ports (-p) are free and that the command is in the image. Without --detach you see its output."
)


class _Config(msgspec.Struct, frozen=True, rename="pascal"):
    """The Config of `image inspect`. Engines write null for empty values, and may write Entrypoint as a string."""

    user: str | None = None
    exposed_ports: dict[str, Any] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | str | None = None
    cmd: list[str] | None = None
    volumes: dict[str, Any] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None

    @property
    def container_config(self) -> ContainerConfig:
        """The config as the image has it."""
        entrypoint = (self.entrypoint,) if isinstance(self.entrypoint, str) else self.entrypoint or ()
        return ContainerConfig(
            user=self.user or "",
            exposed_ports={key: {} for key in self.exposed_ports or ()},
            env=tuple(self.env or ()),
            entrypoint=tuple(entrypoint),
            cmd=tuple(self.cmd or ()),
            volumes={key: {} for key in self.volumes or ()},
            working_dir=self.working_dir or "",
            labels=dict(self.labels or {}),
            stop_signal=self.stop_signal or "",
        )


class _RootFS(msgspec.Struct, frozen=True, rename="pascal"):
    layers: list[str] | None = None


class InspectedImage(msgspec.Struct, frozen=True, rename="pascal"):
    """The parts of `image inspect` that are used."""

    os: str = ""
    architecture: str = ""
    config: _Config | None = None
    root_fs: _RootFS | None = msgspec.field(default=None, name="RootFS")

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The layers' diff_ids, bottom first."""
        return tuple((self.root_fs.layers or ()) if self.root_fs else ())

    @property
    def labels(self) -> Mapping[str, str]:
        """The config's labels."""
        return (self.config.labels or {}) if self.config else {}


class DockerLike:
    """An engine with docker's command line."""

    name = ""
    publishes = True
    is_remote = False
    maps_user = False
    detaches = True
    networks = True
    groups = False
    takes_pipes = True
    limits = True
    lists_changes = True
    """True if it has the command `diff`."""
    emulation_hint = ""

    def __init__(self, version: str, host: Platform, platforms: tuple[Platform, ...]) -> None:
        self._version = version
        self._host = host
        self._platforms = platforms

    def version(self) -> str:
        """See `Engine.version`."""
        return self._version

    def host(self) -> Platform:
        """See `Engine.host`."""
        return self._host

    def platforms(self) -> tuple[Platform, ...]:
        """See `Engine.platforms`."""
        return self._platforms

    def as_caller(self, user: str) -> tuple[str, tuple[str, ...]]:
        """See `Engine.as_caller`. Group 0 may write to the volumes of our images."""
        return user, ("--group-add=0",)

    def has(self, image: str) -> bool:
        """See `Engine.has`."""
        return bool(self._inspect_images([image]))

    def pull(self, image: str, platform: Platform) -> None:
        """See `Engine.pull`."""
        if run_with_messages([self.name, "pull", "--platform", str(platform), image]):
            hint = f"See {self.name}'s message above. Check the image's name, and that you are logged in."
            raise EngineError(f"{self.name} could not pull {image}", hint=hint)

    def inspect(self, image: str) -> tuple[ExecutionConfig, Platform]:
        """See `Engine.inspect`."""
        found = next(iter(self._inspect_images([image])), None)
        if found is None:
            raise EngineError(f"{self.name} has no image {image}", hint=f"Load it, or run {self.name} pull {image}.")
        config = execution_config((found.config or _Config()).container_config, image)
        return config, Platform(found.os or "linux", found.architecture)

    def run(self, spec: RunSpec, tail: Tail | None = None) -> int:
        """See `Engine.run`."""
        check_runnable(spec.platform, self.platforms(), self.emulation_hint)
        environment, flags = container_variables(spec.env)
        argv = [self.name, "run", "--rm", *self._flags(spec), *flags, *self._image_and_arguments(spec)]
        send = send_with_program(self.name, "kill", "--signal", "{}", spec.name)
        status, stopped = supervise(argv, send, spec, tail, env=environment)
        if stopped or status > 128:
            # --rm removes the container, unless the engine's program ended before that.
            self._remove(spec.name)
        return status

    def has_started(self, spec: RunSpec) -> bool:
        """See `Engine.has_started`."""
        return run_program([self.name, "container", "inspect", "--format", "{{.State.Running}}", spec.name]).stdout.strip() == "true"

    def capture(self, spec: RunSpec, timeout: float) -> ProgramResult:
        """See `Engine.capture`."""
        check_runnable(spec.platform, self.platforms(), self.emulation_hint)
        environment, flags = container_variables(spec.env)
        argv = [self.name, "run", "--rm", *self._flags(spec), *flags, *self._image_and_arguments(spec)]
        ended = False
        try:
            result = run_program(argv, timeout=timeout, env=environment)
            ended = result.status == 0
        finally:
            if not ended:
                self._remove(spec.name)
        return result

    def start(self, spec: RunSpec) -> DockerLikeContainer:
        """See `Engine.start`."""
        check_runnable(spec.platform, self.platforms(), self.emulation_hint)
        environment, flags = container_variables(spec.env)
        detach = ("--detach", "--stop-timeout", str(spec.grace))
        argv = [self.name, "run", *detach, *self._flags(spec), *flags, *self._image_and_arguments(spec)]
        result = run_program(argv, timeout=_START_TIMEOUT_S, env=environment)
        container = DockerLikeContainer(self.name, spec, lists_changes=self.lists_changes)
        if not result.ok:
            # The container may exist without having started. If the name was taken, it is another one.
            if result.failure is not EngineFailure.NAME_TAKEN:
                container.remove()
            raise EngineError(f"{self.name} could not start {spec.name}: {result.reason}", hint=_NOT_STARTED)
        return container

    def images(self) -> tuple[InspectedImage, ...]:
        """Return all of the engine's images."""
        names = run_program([self.name, "image", "ls", "--quiet", "--no-trunc"]).stdout.split()
        return self._inspect_images(list(dict.fromkeys(names)))

    def _tag_present_image(self, digests: Sequence[str], name: str, reporter: Reporter) -> bool:
        """Name the engine's image with one of these digests. Return False if it has none."""
        if not any(self.has(digest) and run_program([self.name, "tag", digest, name]).ok for digest in digests):
            return False
        report_present(self.name, reporter)
        return True

    def _own_flags(self, spec: RunSpec) -> tuple[str, ...]:  # noqa: ARG002 - overridden
        """Return flags of `run` that only this engine needs."""
        return ()

    def _remove(self, container: str) -> None:
        run_program([self.name, "rm", "--force", "--volumes", container])

    def _inspect_images(self, names: Sequence[str]) -> tuple[InspectedImage, ...]:
        """Return the engine's images of these names, without those that it does not have."""
        if not names:
            return ()
        result = run_program([self.name, "image", "inspect", *names])
        try:
            # A missing image makes the status bad, but the others are printed.
            return tuple(decode_json(result.stdout or "[]", list[InspectedImage]))
        except InvalidDocument:
            return ()

    def _flags(self, spec: RunSpec) -> Iterator[str]:
        yield from ("--name", spec.name, "--pull", "never", "--platform", str(spec.platform), *self._own_flags(spec))
        if spec.read_only:
            yield "--read-only"
        yield from (f"--tmpfs={path}" for path in spec.tmpfs)
        if spec.no_privileges:
            yield "--cap-drop=ALL"
        if spec.no_privileges or spec.no_new_privileges:
            yield "--security-opt=no-new-privileges"
        if spec.network:
            yield f"--network={spec.network}"
        yield from (f"--network-alias={alias}" for alias in spec.aliases)
        yield from (f"--label={name}={value}" for name, value in spec.labels.items())
        if spec.restarts:
            yield "--restart=unless-stopped"
        if spec.cpus is not None:
            yield f"--cpus={spec.cpus:g}"
        if spec.memory is not None:
            yield f"--memory={spec.memory}b"
        if spec.user:
            yield from ("--user", spec.user)
        if spec.interactive:
            yield "--interactive"
        if spec.tty:
            yield "--tty"
        yield from (f"--publish={_port(port)}" for port in spec.ports)
        yield from (f"--volume={_mount(mount)}" for mount in spec.mounts)
        yield from spec.engine_options

    def _image_and_arguments(self, spec: RunSpec) -> Iterator[str]:
        """Yield the image and its arguments. --entrypoint takes one word; its other words go before the arguments."""
        if spec.entrypoint is None:
            yield from (spec.image, *spec.args)
            return
        first, *rest = spec.entrypoint or ("",)
        yield from (f"--entrypoint={first}", spec.image, *rest, *spec.args)


def is_elsewhere(address: str) -> bool:
    """Return whether an engine's address (`ssh://host`, `tcp://host:2376`, `unix:///socket`) is on another machine."""
    host = urlsplit(address.strip()).hostname
    return host is not None and host != "localhost" and not host.startswith("127.") and host != "::1"


def _port(port: Port) -> str:
    address = f"[{port.address}]" if ":" in port.address else port.address
    return f"{address}:{port.host}:{port.container}/{port.protocol}".removeprefix(":")


def _mount(mount: Mount) -> str:
    words = [mount.source, mount.target] if mount.source else [mount.target]
    return ":".join([*words, "ro"] if mount.read_only else words)
