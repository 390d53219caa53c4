"""What docker, podman and nerdctl have in common: their command line.

https://docs.docker.com/reference/cli/docker/container/run; podman-run(1) and nerdctl's page follow it in all that is used here.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from shipwheel.engine.delivery import present
from shipwheel.engine.emulation import runnable
from shipwheel.engine.interface import Detached, Mount, Port, RunSpec
from shipwheel.engine.program import Answer, ask, first_line, tell
from shipwheel.engine.refusal import Refusal, refusal
from shipwheel.engine.supervise import by_program, supervise
from shipwheel.errors import EngineError
from shipwheel.events import Reporter
from shipwheel.oci.model import ContainerConfig
from shipwheel.platform import Platform

__all__ = ["DockerLike", "Inspected", "refused"]

_CLIENTS_OWN = ("DOCKER_", "CONTAINER", "NERDCTL_", "BUILDKIT_", "XDG_", "LD_", "GO", "SSH_", "PODMAN_", "STORAGE_", "TMP", "LC_")
_STARTS = 300.0
"""Seconds that an engine has to start a container: some copy an image's files into a volume first."""

_NOT_STARTED = "Is the name taken (--name), or a port (-p), or is the command not in the image? Without --detach its messages are shown."
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


class _Config(msgspec.Struct, frozen=True, rename="pascal"):
    """`image inspect`: Config. The engines write null for what is empty, and Entrypoint may be a text."""

    user: str | None = None
    exposed_ports: dict[str, Any] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | str | None = None
    cmd: list[str] | None = None
    volumes: dict[str, Any] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None


class _RootFS(msgspec.Struct, frozen=True, rename="pascal"):
    layers: list[str] | None = None


class Inspected(msgspec.Struct, frozen=True, rename="pascal"):
    """`image inspect`: what is used of it."""

    id: str = ""
    os: str = ""
    architecture: str = ""
    config: _Config | None = None
    root_fs: _RootFS | None = msgspec.field(default=None, name="RootFS")
    repo_digests: list[str] | None = None

    @property
    def digest(self) -> str:
        """The ID as a digest: docker writes the algorithm before it, podman does not."""
        return self.id if ":" in self.id else f"sha256:{self.id}"

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The layers' diff_ids, bottom first."""
        return tuple((self.root_fs.layers or ()) if self.root_fs else ())

    @property
    def labels(self) -> Mapping[str, str]:
        """The config's labels."""
        return (self.config.labels or {}) if self.config else {}


class DockerLike:
    """An engine that is used through its own program."""

    name = ""
    publishes = True
    maps_user = False
    detaches = True
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

    def has(self, image: str) -> bool:
        """See `Engine.has`."""
        return self.image(image) is not None

    def pull(self, image: str, platform: Platform) -> None:
        """See `Engine.pull`."""
        if tell([self.name, "pull", "--platform", str(platform), image]):
            raise EngineError(
                f"{self.name} could not pull {image}", hint="See its message above. Is the name right, and are you logged in?"
            )

    def inspect(self, image: str) -> tuple[ContainerConfig, Platform]:
        """See `Engine.inspect`."""
        found = self.image(image)
        if found is None:
            raise EngineError(f"{self.name} has no image {image}", hint=f"Load it, or {self.name} pull {image}.")
        said = found.config or _Config()
        entrypoint = (said.entrypoint,) if isinstance(said.entrypoint, str) else said.entrypoint or ()
        config = ContainerConfig(
            user=said.user or "",
            exposed_ports={key: {} for key in said.exposed_ports or ()},
            env=tuple(said.env or ()),
            entrypoint=tuple(entrypoint),
            cmd=tuple(said.cmd or ()),
            volumes={key: {} for key in said.volumes or ()},
            working_dir=said.working_dir or "",
            labels=dict(said.labels or {}),
            stop_signal=said.stop_signal or "",
        )
        return config, Platform(found.os or "linux", found.architecture)

    def run(self, spec: RunSpec) -> int:
        """See `Engine.run`."""
        runnable(spec.platform, self.platforms(), self.emulation_hint)
        environment, flags = _environment(spec.env)
        argv = [self.name, "run", "--rm", *self._flags(spec), *flags, *self._process(spec)]
        status, asked = supervise(
            argv,
            by_program(self.name, "kill", "--signal", "{}", spec.name),
            stop_signal=spec.config.stop_signal or "SIGTERM",
            grace=spec.grace,
            env=environment,
            interactive=spec.interactive,
            tty=spec.tty,
        )
        if asked or status > 128:
            # The engine has removed it with --rm, unless its program was ended before it came to that.
            ask([self.name, "rm", "--force", "--volumes", spec.name])
        return status

    def start(self, spec: RunSpec) -> Detached:
        """See `Engine.start`."""
        runnable(spec.platform, self.platforms(), self.emulation_hint)
        environment, flags = _environment(spec.env)
        stays = ("--detach", "--stop-timeout", str(spec.grace))
        answer = ask([self.name, "run", *stays, *self._flags(spec), *flags, *self._process(spec)], seconds=_STARTS, env=environment)
        if not answer.ok:
            # It may be there all the same, never started; one that had the name before is not ours.
            if refusal(answer) is not Refusal.NAME_TAKEN:
                ask([self.name, "rm", "--force", "--volumes", spec.name])
            raise EngineError(f"{self.name} did not start {spec.name}: {refused(answer, self.name)}", hint=_NOT_STARTED)
        return Detached(f"{self.name} logs -f {spec.name}", f"{self.name} stop {spec.name}", f"{self.name} rm --volumes {spec.name}")

    def image(self, image: str) -> Inspected | None:
        """What the engine says of one image; None if it has none of that name."""
        return next(iter(self._inspected([image])), None)

    def images(self) -> tuple[Inspected, ...]:
        """What the engine says of all its images."""
        names = ask([self.name, "image", "ls", "--quiet", "--no-trunc"]).output.split()
        return self._inspected(list(dict.fromkeys(names)))

    def _tagged(self, digests: Sequence[str], called: str, reporter: Reporter) -> bool:
        """Whether the engine has an image under one of these digests, which is then called so."""
        if not any(self.has(digest) and ask([self.name, "tag", digest, called]).ok for digest in digests):
            return False
        present(self.name, reporter)
        return True

    def _own_flags(self, spec: RunSpec) -> tuple[str, ...]:  # noqa: ARG002 - for those that have some
        """Flags of `run` that this engine alone needs."""
        return ()

    def _inspected(self, names: Sequence[str]) -> tuple[Inspected, ...]:
        if not names:
            return ()
        answer = ask([self.name, "image", "inspect", *names])
        try:
            # One that was removed meanwhile makes the status bad; the others are there all the same.
            return tuple(msgspec.json.decode(answer.output or "[]", type=list[Inspected]))
        except msgspec.MsgspecError:
            return ()

    def _flags(self, spec: RunSpec) -> Iterator[str]:
        yield from ("--name", spec.name, "--pull", "never", "--platform", str(spec.platform), *self._own_flags(spec))
        if spec.read_only:
            yield from ("--read-only", "--tmpfs", "/tmp")  # noqa: S108 - in the container
        if spec.user:
            yield from ("--user", spec.user)
        if spec.interactive:
            yield "--interactive"
        if spec.tty:
            yield "--tty"
        yield from (f"--publish={_port(port)}" for port in spec.ports)
        yield from (f"--volume={_mount(mount)}" for mount in spec.mounts)

    def _process(self, spec: RunSpec) -> Iterator[str]:
        """The image and its arguments. --entrypoint takes one word: the others come first among the arguments."""
        if spec.entrypoint is None:
            yield from (spec.image, *spec.args)
            return
        first, *rest = spec.entrypoint or ("",)
        yield from (f"--entrypoint={first}", spec.image, *rest, *spec.args)


def refused(answer: Answer, program: str) -> str:
    """Why a program did not answer, on one line."""
    return first_line(answer.errors) or first_line(answer.output) or f"{program} ended with {answer.status}"


def _environment(wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The program's environment, and the flags for the container's.

    `--env NAME` takes the value from the program's own environment, so that it is not in the list of processes for all to see; names
    that mean something to the program itself are given with their value.
    """
    environment, flags = dict(os.environ), []
    for name, value in wanted.items():
        known = name in os.environ and os.environ[name] != value
        if known or name.upper().startswith(_CLIENTS_OWN) or name.upper() in _PROXIES or not name:
            flags += ["--env", f"{name}={value}"]
        else:
            environment[name] = value
            flags += ["--env", name]
    return environment, flags


def _port(port: Port) -> str:
    address = f"[{port.address}]" if ":" in port.address else port.address
    return f"{address}:{port.host}:{port.container}/{port.protocol}".removeprefix(":")


def _mount(mount: Mount) -> str:
    words = [mount.source, mount.target] if mount.source else [mount.target]
    return ":".join([*words, "ro"] if mount.read_only else words)
