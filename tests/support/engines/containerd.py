"""A containerd alone, used through its own `ctr`."""

import json
import re
import subprocess
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Unpack

from support.engines.container import NATIVE, BaseEngine, Container, ContainerSpec, ExecResult, RunOptions
from support.engines.sandbox import TIMEOUT_S, EngineError, Sandbox, wait_until

__all__ = ["Containerd", "start_containerd"]

_CAPABILITIES = ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"]
_CAPABILITIES += ["SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"]
"""What `ctr run` grants by default. It has no option for all of them, so each one must be dropped by name."""

_CONFIG = """
version = 2
root = "{root}/containerd/root"
state = "{root}/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{root}/containerd.sock"
[debug]
level = "warn"
"""


def start_containerd(sandbox: Sandbox) -> str:
    """Start a containerd without its plugins for clusters. Return its socket."""
    config = sandbox.root / "containerd.toml"
    config.write_text(_CONFIG.format(root=sandbox.root))
    address = str(sandbox.root / "containerd.sock")
    sandbox.serve(["containerd", "--config", str(config)], ["ctr", "--address", address, "version"], sandbox.root / "containerd.log")
    return address


class _CtrContainer(Container):
    """A container of `ctr run`, which stays in the foreground: its output is the log, its exit code is the container's."""

    def __init__(self, engine: "Containerd", name: str, process: subprocess.Popen[str], log: Path) -> None:
        """Refer to the container of a `ctr run` process."""
        self.engine = engine
        self.name = name
        self._process = process
        self._log = log

    def exec(self, argv: Sequence[str], *, seconds: float = TIMEOUT_S) -> ExecResult:
        """See `Container.exec`."""
        command = [*self.engine.tool, "tasks", "exec", "--exec-id", self.engine._new_name(), self.name, *argv]
        done = self.engine.sandbox.run(command, seconds=seconds, check=False)
        return ExecResult(done.returncode, done.stdout + done.stderr)

    def logs(self) -> str:
        """See `Container.logs`."""
        return self._log.read_text("utf-8", "replace")

    def running(self) -> bool:
        """See `Container.running`."""
        return self._process.poll() is None

    def started(self) -> bool:
        """Return whether the container's process has started, or has ended already: `ctr run` takes a moment to start it."""
        rows = self.engine.cli("tasks", "list").stdout.splitlines()
        return not self.running() or any(row.split()[::2] == [self.name, "RUNNING"] for row in rows)

    def stop(self, grace_seconds: int = 10) -> int:
        """See `Container.stop`. Without an option, ctr sends the image's stop signal."""
        self.engine.cli("tasks", "kill", self.name, check=False)
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(grace_seconds)
        self.engine.cli("tasks", "kill", "--signal", "SIGKILL", self.name, check=False)
        return self.wait()

    def wait(self, timeout: float = TIMEOUT_S) -> int:
        """See `Container.wait`."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{self.name} did not end within {timeout:g} seconds; its logs:\n{self.logs()}") from error

    def remove(self) -> None:
        """See `Container.remove`. `ctr run --rm` removes the container when it has ended."""
        self.stop(0)


class Containerd(BaseEngine):
    """A containerd, used through `ctr`."""

    name = "containerd"

    def _start(self) -> None:
        """Start the daemon."""
        self.tool = ("ctr", "--address", start_containerd(self.sandbox), "--namespace", "shipwheel")

    def load(self, source: Path, platform: str = NATIVE) -> str:
        """Import all platforms: importing a second one later makes containerd drop the content of the first.

        It unpacks this machine's platform. What is for another one, its first container unpacks.
        """
        archive = self._pack(source.resolve()) if source.is_dir() else source.resolve()
        command = ["images", "import", "--all-platforms"]
        if platform == NATIVE:
            found = re.findall(r"^unpacking (\S+) \(", self.cli(*command, str(archive)).stdout, re.MULTILINE)
        else:
            self.cli(*command, "--no-unpack", str(archive))
            found = self.cli("images", "list", "--quiet", f"target.digest=={_top(archive)}").stdout.split()
        if not found:
            raise EngineError(f"containerd has no image of {source}")
        self._config(found[0], platform)
        return str(found[0])

    def run(self, image: str, **options: Unpack[RunOptions]) -> Container:
        """See `Engine.run`."""
        spec = ContainerSpec(image, **options)
        name = self._new_name()
        log = self.sandbox.folder("logs") / name
        mark = self.sandbox.folder("pids") / name
        argv = [*self.tool, "run", "--pid-file", str(mark), *self._arguments(name, spec)]
        container = _CtrContainer(self, name, self.sandbox.spawn(argv, log), log)
        wait_until(container.started, f"the start of {name}")
        if not mark.exists():
            raise EngineError(f"{' '.join(argv)}\nstarted nothing:\n{container.logs()}")
        return container

    def run_once(self, image: str, *, timeout: float = TIMEOUT_S, **options: Unpack[RunOptions]) -> subprocess.CompletedProcess[str]:
        """See `Engine.run_once`."""
        name = self._new_name()
        argv = [*self.tool, "run", *self._arguments(name, ContainerSpec(image, **options))]
        try:
            return self.sandbox.run(argv, seconds=timeout, check=False)
        except subprocess.TimeoutExpired:
            self.cli("tasks", "kill", "--signal", "SIGKILL", name, check=False)
            raise

    def _arguments(self, name: str, spec: ContainerSpec) -> list[str]:
        """Return the arguments of `run`, as close as ctr comes to what docker does.

        By default, ctr asks for CPU shares, which fails if the cgroup tree has no CPU controller.
        """
        flags = ["--rm", "--platform", spec.platform, "--cpu-shares", "0", "--seccomp"]
        flags += ["--read-only"] if spec.read_only else []
        flags += [f"--cap-drop=CAP_{name}" for name in _CAPABILITIES] if spec.cap_drop_all else ["--allow-new-privs"]
        flags += ["--net-host"] if spec.network == "host" else []
        flags += ["--user", spec.user] if spec.user else []
        flags += [f"--env={name}={value}" for name, value in spec.env.items()]
        flags += [f"--mount=type=tmpfs,src=tmpfs,dst={path},options=nosuid:nodev:noexec:mode=1777" for path in spec.tmpfs]
        flags += [f"--mount=type=bind,src={self.volume(name)},dst={path},options=rbind:rw" for name, path in spec.volumes.items()]
        return [*flags, spec.image, name, *self._argv(spec)]

    def _argv(self, spec: ContainerSpec) -> list[str]:
        """Return the command to run instead of the image's, if any: a command of ctr replaces the entrypoint as well."""
        if spec.entrypoint:
            return [*spec.entrypoint, *(spec.command or [])]
        if spec.command:
            return [*(self._config(spec.image, spec.platform).get("Entrypoint") or []), *spec.command]
        return []

    def _config(self, image: str, platform: str) -> dict[str, Any]:
        """Return the container configuration of the image for a platform; raise EngineError if the image does not exist."""
        rows = self.cli("images", "list", f"name=={image}").stdout.splitlines()[1:]
        wanted = platform.split("/")[:2]
        for manifest in self._manifests(rows[0].split()[2] if rows else ""):
            config = self._blob(manifest["config"]["digest"])
            if [config["os"], config["architecture"]] == wanted:
                return dict(config.get("config") or {})
        raise EngineError(f"containerd has no {image} of {platform}: {rows}")

    def _manifests(self, digest: str) -> list[dict[str, Any]]:
        """Return the manifest, or the manifests of the image index, without attestations."""
        top = self._blob(digest)
        real = [entry for entry in top.get("manifests", []) if entry.get("platform", {}).get("os") != "unknown"]
        return [self._blob(entry["digest"]) for entry in real] if "manifests" in top else [top]

    def _blob(self, digest: str) -> dict[str, Any]:
        """Read a JSON document from containerd's content store."""
        found: dict[str, Any] = json.loads(self.cli("content", "get", digest).stdout)
        return found


def _top(archive: Path) -> str:
    """Return the digest of the image index in an archive."""
    with tarfile.open(archive) as tar:
        entry = tar.extractfile("index.json")
        assert entry
        return str(json.load(entry)["manifests"][0]["digest"])
