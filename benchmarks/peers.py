"""The peers: buildah, and BuildKit in docker's daemon, each in namespaces of its own, with the same Dockerfile.

Every build is pushed to a registry that keeps the earlier pushes, because these tools skip the layers that a registry has already. The
peers reach it and the package index through the loopback interface of their namespace.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from measure import Cost, cpu_of_tree, run
from support.engines import SEARCH_PATH, Dockerd, Podman, Registry, Sandbox, missing

__all__ = ["PEERS", "Inputs", "Peer", "running", "unavailable"]

BASE = "localhost/bench-base:1"
PEERS = ("BuildKit", "buildah")

_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096")
"""By default, buildah requests higher limits than some machines grant."""

_PLUGINS = tuple(Path(folder, "docker-buildx") for folder in ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins"))


@dataclass(frozen=True, slots=True)
class Inputs:
    """The project with its Dockerfile and requirements.txt, the base image as an archive, the package index, a folder to work in.

    `contexts` are directories with tools that the build mounts, by their names in the Dockerfile.
    """

    project: Path
    base: Path
    index: str
    root: Path
    platforms: str
    contexts: Mapping[str, Path]

    def arguments(self) -> list[str]:
        """Return the arguments of both tools."""
        values = [f"--build-arg={key}={value}" for key, value in (("BASE", BASE), ("INDEX", self.index))]
        contexts = [f"--build-context={name}={path}" for name, path in self.contexts.items()]
        return [*values, *contexts, "--network=host", f"--platform={self.platforms}"]


class Peer(Protocol):
    """A tool that is ready to build."""

    written: dict[str, int]

    def use(self, project: Path) -> None:
        """Build from this directory from now on."""

    def forget(self) -> None:
        """Remove all caches and pushed images, but keep the base image."""

    def build(self, name: str = "") -> Cost:
        """Build and push. Record in `written`, under the name, how many bytes of blobs the registry received."""


def unavailable(name: str) -> str:
    """Return why a peer cannot be measured here, or ""."""
    problem = missing({"BuildKit": "docker", "buildah": "podman"}[name]) or missing("registry")
    if not problem and name == "buildah" and not shutil.which("buildah", path=SEARCH_PATH):
        return "buildah is not installed"
    if not problem and name == "BuildKit" and not any(path.exists() for path in _PLUGINS):
        return "docker's buildx is not installed"
    return problem


@contextmanager
def running(name: str, inputs: Inputs) -> Iterator[Peer]:
    """Run a peer with its daemons and with the base image in its storage."""
    inputs.root.mkdir(parents=True, exist_ok=True)
    with Podman() if name == "buildah" else Dockerd(containerd_store=True) as engine:
        side = _Buildah(engine.sandbox, inputs) if name == "buildah" else _BuildKit(engine.sandbox, inputs, engine.tool)
        try:
            yield side
        finally:
            side.registry.stop()


class _Side:
    """What both peers share: a registry, and measured commands in a sandbox."""

    def __init__(self, sandbox: Sandbox, inputs: Inputs) -> None:
        self.sandbox = sandbox
        self.inputs = inputs
        self.project = inputs.project
        self.registry = self._start_registry()
        self.written: dict[str, int] = {}
        self.sandbox.reach(urlsplit(inputs.index).netloc)

    def use(self, project: Path) -> None:
        self.project = project

    def forget(self) -> None:
        self.registry.stop()
        self.registry = self._start_registry()

    def _start_registry(self) -> Registry:
        """Start a registry that the peer reaches through a relay. The relay's processor time is not counted."""
        registry = Registry()
        self.sandbox.reach(registry.host)
        return registry

    def build(self, name: str = "") -> Cost:
        before = self._blobs()
        cost = self._build()
        self.written[name] = sum(size for digest, size in self._blobs().items() if digest not in before)
        return cost

    @property
    def _tag(self) -> str:
        return f"{self.registry.host}/bench-app:1"

    def _blobs(self) -> dict[str, int]:
        return {
            path.parent.name: path.stat().st_size for path in self.registry.root.glob("storage/docker/registry/v2/blobs/sha256/*/*/data")
        }

    def _build(self) -> Cost:
        raise NotImplementedError

    def _run(self, argv: Sequence[str]) -> Cost:
        return run(self.sandbox.inside(argv), env=self.sandbox.environment, cwd=self.inputs.root, log=self.inputs.root / "log")


class _Buildah(_Side):
    """buildah: builds into its own storage, then pushes, without a daemon."""

    def __init__(self, sandbox: Sandbox, inputs: Inputs) -> None:
        super().__init__(sandbox, inputs)
        self._pull()

    def _pull(self) -> None:
        self.sandbox.run(["buildah", "pull", "--quiet", f"docker-archive:{self.inputs.base}"])

    def forget(self) -> None:
        super().forget()
        self.sandbox.run(["buildah", "rmi", "--all", "--force"])
        # Cache mounts are below TMPDIR. What buildah knows about blobs is below /var/lib, which belongs to the sandbox.
        shutil.rmtree(self.sandbox.root / "tmp", ignore_errors=True)
        self.sandbox.folder("tmp")
        self.sandbox.run(["find", "/var/lib/containers", "-name", "blob-info-cache*", "-delete"], check=False)
        self._pull()

    def _build(self) -> Cost:
        flags = ["--layers", "--pull=never", "--isolation=chroot", *_LIMITS, "--quiet", f"--tag={self._tag}"]
        built = self._run(["buildah", "build", *flags, *self.inputs.arguments(), str(self.project)])
        pushed = self._run(["buildah", "push", "--quiet", "--tls-verify=false", self._tag])
        return Cost(built.wall + pushed.wall, built.cpu + pushed.cpu)


class _BuildKit(_Side):
    """BuildKit: builds and pushes in docker's daemon, whose processor time is counted as well."""

    def __init__(self, sandbox: Sandbox, inputs: Inputs, tool: Sequence[str]) -> None:
        super().__init__(sandbox, inputs)
        self._tool = tool
        self.sandbox.run([*tool, "load", "--input", str(inputs.base)])

    def forget(self) -> None:
        super().forget()
        self.sandbox.run([*self._tool, "builder", "prune", "--all", "--force"])

    def _build(self) -> Cost:
        flags = ["--provenance=false", "--quiet", f"--output=type=image,name={self._tag},push=true,registry.insecure=true"]
        daemons = [child.pid for child in self.sandbox._children]
        before = cpu_of_tree(daemons)
        cost = self._run([*self._tool, "buildx", "build", *flags, *self.inputs.arguments(), str(self.project)])
        return Cost(cost.wall, cost.cpu + cpu_of_tree(daemons) - before)
