"""Real container engines for tests: each runs in namespaces of its own and leaves nothing behind.

Every engine lives in a `Sandbox`: a private mount and process namespace whose first process is this very file,
run as a program. Mounts, shims, monitors and network namespaces exist only in there, so that they are all gone
when that process ends, which it does when its standard input closes: also when the test run itself was killed.
Only the standard library is imported here, because that first process must start fast and needs nothing else.
"""

import itertools
import json
import os
import platform as host
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypedDict, Unpack

NATIVE = f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(host.machine(), host.machine()) }"
"""The platform that this machine runs without emulation."""

UNPRIVILEGED = 65532
"""The user and group that own the volumes: the ones that images without a root user run as."""

PACKAGES = {
    "containerd": "containerd",
    "crun": "crun",
    "ctr": "containerd",
    "docker": "docker-cli",
    "docker-registry": "docker-registry",
    "dockerd": "docker.io",
    "mount": "mount",
    "nsenter": "util-linux",
    "podman": "podman",
    "runc": "runc",
    "setpriv": "util-linux",
    "skopeo": "skopeo",
    "unshare": "util-linux",
    "/usr/libexec/qemu-binfmt/aarch64-binfmt-P": "qemu-user-binfmt",
}
"""The program that an engine needs, and the Debian package that has it."""

TOOLS = {
    "docker": ("containerd", "docker", "dockerd", "mount", "nsenter", "runc", "skopeo", "unshare"),
    "podman": ("crun", "mount", "nsenter", "podman", "runc", "unshare"),
    "containerd": ("containerd", "ctr", "mount", "nsenter", "runc", "unshare"),
    "registry": ("docker-registry", "setpriv"),
    "arm64": ("mount", "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"),
}
"""The programs that each fixture needs."""

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON = "/opt/venv/bin/python"
PATIENCE = 120.0
BINFMT = Path("/proc/sys/fs/binfmt_misc")
BINFMT_RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
CGROUPS = Path("/sys/fs/cgroup")

PROBE = """
import sys, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    status = opener.open(sys.argv[1], timeout=float(sys.argv[2])).status
except urllib.error.HTTPError as error:
    status = error.code
print("http-status", status)
"""
"""What the image's own Python runs to ask its server: containers without a network can't be asked from outside."""

CAPABILITIES = ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"]
CAPABILITIES += ["SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"]
"""What `ctr run` grants by default: it has no word for all of them, so that each one must be dropped by name."""


class EngineError(Exception):
    """An engine did not do what the harness asked for; the message has what it printed."""


def missing(fixture: str) -> str:
    """Say what this machine lacks for a fixture, naming the packages, or nothing when it has all."""
    if os.geteuid() != 0:
        return f"the {fixture} fixture must run as root: it starts a real engine in namespaces of its own"
    lacking = sorted({PACKAGES[tool] for tool in TOOLS[fixture] if not shutil.which(tool, path=SEARCH_PATH)})
    return f"the {fixture} fixture needs programs of: apt-get install {' '.join(lacking)}" if lacking else ""


def free_port() -> int:
    """Find a loopback port for a container on the host's network; another process could take it, if rarely."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until(done: Callable[[], bool], what: str, seconds: float = 60.0, pause: float = 0.02) -> None:
    """Ask until the answer is yes: one place for every wait, so that none of them is endless."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise EngineError(f"{what} did not happen within {seconds:g} seconds")
        time.sleep(pause)


def _tail(log: Path, lines: int = 30) -> str:
    """The end of a log, for error messages."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


# --- the first process of a sandbox -------------------------------------------------------------------------------


def _reap(*_: object) -> None:
    """Collect the orphans that fall to the first process of a namespace, which nobody else can do."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _hide_host() -> None:
    """Cover the folders that engines write to whatever their options say, and show one clean cgroup tree.

    The tree is version 2 even where the host mounts version 1 beside it: crun refuses such a mixture.
    """
    for kind, folder in (("tmpfs", "/run"), ("tmpfs", "/var/lib"), ("cgroup2", str(CGROUPS))):
        subprocess.run(["mount", "-t", kind, kind, folder], check=True)


def _remove_cgroups(top: Path) -> None:
    """Remove a tree of control groups; the kernel still counts a killed process for a moment, hence the retries."""
    for _ in range(250):
        for folder, _dirs, _files in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        if not top.exists():
            return
        time.sleep(0.02)


def _hold(cgroup: str) -> None:
    """Keep a sandbox alive until the owner closes our input or dies, then end all that is in it."""
    _hide_host()
    signal.signal(signal.SIGCHLD, _reap)
    print("ready", flush=True)
    sys.stdin.buffer.read()
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # In a process namespace this reaches that namespace alone.
    _remove_cgroups(CGROUPS / cgroup)


# --- the sandbox, seen from the tests -----------------------------------------------------------------------------


class Sandbox:
    """A private folder, and namespaces in which an engine's processes and mounts live and end."""

    def __init__(self, name: str) -> None:
        """Make the folder and start the first process; its path is short because socket paths must be."""
        self.root = Path(tempfile.mkdtemp(prefix=f"shipwheel-{name}-"))
        self.root.chmod(0o755)
        self.cgroup = self.root.name
        self.environment = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": str(self.folder("home")), "TMPDIR": str(self.folder("tmp"))}
        self._children: list[subprocess.Popen[str]] = []
        self._holder = self._start_holder()

    def folder(self, *parts: str) -> Path:
        """A folder in the sandbox's own, made when it isn't there."""
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _start_holder(self) -> subprocess.Popen[str]:
        """Start the first process of the namespaces and wait until it has made its mounts."""
        unshare = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
        argv = [*unshare, sys.executable, "-I", str(Path(__file__).resolve()), self.cgroup]
        with (self.root / "holder.log").open("w") as log:
            holder = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment, cwd=self.root
            )
        assert holder.stdin
        assert holder.stdout
        with holder.stdout as output:
            ready = output.readline() == "ready\n"
        if not ready:
            holder.stdin.close()
            holder.wait()
            why = _tail(self.root / "holder.log")
            shutil.rmtree(self.root)
            raise EngineError(f"no namespaces can be made here: {why}")
        return holder

    def _inside(self, argv: Sequence[str]) -> list[str]:
        """The command that runs another one in the namespaces; it forgets the working folder, so paths must be absolute."""
        proc = f"/proc/{self._holder.pid}/ns"
        return ["nsenter", f"--mount={proc}/mnt", f"--pid={proc}/pid_for_children", "--", *argv]

    def run(self, argv: Sequence[str], *, seconds: float = PATIENCE, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; a failure is an error that has what the command printed."""
        done = subprocess.run(
            self._inside(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=self.environment,
            check=False,
        )
        if check and done.returncode:
            raise EngineError(f"{' '.join(argv)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def spawn(self, argv: Sequence[str], log: Path) -> subprocess.Popen[str]:
        """Start a command whose output goes to a file; it ends with the sandbox at the latest."""
        with log.open("w") as output:
            child = subprocess.Popen(
                self._inside(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True, env=self.environment
            )
        self._children.append(child)
        return child

    def serve(self, argv: Sequence[str], ready: Sequence[str], log: Path) -> None:
        """Start a daemon and wait until a command that asks it something succeeds."""
        daemon = self.spawn(argv, log)

        def answered() -> bool:
            if daemon.poll() is not None:
                raise EngineError(f"{argv[0]} ended with {daemon.returncode}:\n{_tail(log)}")
            return self.run(ready, check=False).returncode == 0

        wait_until(answered, f"an answer from {argv[0]}")

    def close(self) -> None:
        """End every process in the namespaces, and with them every mount; then remove the folder."""
        assert self._holder.stdin
        self._holder.stdin.close()
        try:
            self._holder.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        for child in self._children:
            child.wait()
        shutil.rmtree(self.root)


# --- containers ---------------------------------------------------------------------------------------------------


class ExecResult(NamedTuple):
    """How a command in a container ended, and its output and error output together."""

    exit_code: int
    output: str


class RunOptions(TypedDict, total=False):
    """The keywords of `Engine.run`, the same for every engine."""

    command: Sequence[str] | None
    entrypoint: Sequence[str] | None
    env: Mapping[str, str]
    volumes: Mapping[str, str]
    read_only: bool
    tmpfs: Sequence[str]
    cap_drop_all: bool
    network: str
    user: str | None
    platform: str


@dataclass(frozen=True)
class Spec:
    """One container to run. The defaults are what a careful person would use to run an image in production."""

    image: str
    command: Sequence[str] | None = None
    """Instead of the image's command."""
    entrypoint: Sequence[str] | None = None
    """Instead of the image's entrypoint; its command is not used then either."""
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    """A volume's name, and the path in the container; see `Engine.volume`."""
    read_only: bool = True
    tmpfs: Sequence[str] = ("/tmp",)
    cap_drop_all: bool = True
    """No capabilities, and none to be gained."""
    network: str = "none"
    """`none`, which has a loopback interface of its own, or `host`."""
    user: str | None = None
    platform: str = NATIVE


class Container(ABC):
    """A container that was started. As a context manager it is removed at the end."""

    name: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()

    @abstractmethod
    def exec(self, argv: Sequence[str], *, seconds: float = PATIENCE) -> ExecResult:
        """Run a command in the container, as its user and with its environment."""

    @abstractmethod
    def logs(self) -> str:
        """What the container has printed, output and error output together."""

    @abstractmethod
    def running(self) -> bool:
        """Whether the container's process is alive."""

    @abstractmethod
    def stop(self, grace_seconds: int = 10) -> int:
        """Send the image's stop signal, after the grace period kill; the exit code."""

    @abstractmethod
    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the container's own end; the exit code."""

    @abstractmethod
    def remove(self) -> None:
        """End the container if it runs and forget it; also its unnamed volumes. Volumes of `Engine.volume` stay."""

    def http_status(self, url: str, timeout: float = 10.0, python: str = PYTHON) -> int | None:
        """Ask a URL from inside with the image's Python: the status, or None when nothing answered."""
        code, output = self.exec([python, "-c", PROBE, url, f"{timeout:g}"])
        found = re.search(r"^http-status (\d+)$", output, re.MULTILINE)
        return int(found[1]) if code == 0 and found else None

    def wait_http(self, url: str, seconds: float = 60.0, python: str = PYTHON) -> int:
        """Wait until a URL answers with a status below 400 and say which; fail at once when the container has ended."""
        seen: list[int | None] = []

        def answered() -> bool:
            if not self.running():
                raise EngineError(f"the container ended with {self.wait()} before {url} answered; its logs:\n{self.logs()}")
            seen.append(self.http_status(url, python=python))
            return 0 < (seen[-1] or 0) < 400

        try:
            wait_until(answered, f"a good answer from {url}", seconds, pause=0.1)
        except EngineError as error:
            raise EngineError(f"{error} (answers: {list(dict.fromkeys(seen))}); the logs:\n{self.logs()}") from error
        return seen[-1] or 0


class Engine(Protocol):
    """What tests may ask of any engine."""

    name: str

    def load(self, source: Path, platform: str = NATIVE) -> str:
        """Load an archive or a layout folder; the reference to run, which is checked to be of that platform."""

    def run(self, image: str, **options: Unpack[RunOptions]) -> Container:
        """Start a container; it is running, or has already ended, when this returns."""

    def run_once(self, image: str, *, timeout: float = PATIENCE, **options: Unpack[RunOptions]) -> subprocess.CompletedProcess[str]:
        """Run a container to its end and remove it; the exit code is the container's."""

    def volume(self, name: str) -> Path:
        """The host's folder of a volume."""

    def cli(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the engine's own command line tool, connected to this engine."""

    def stop(self) -> None:
        """End the engine and all that it started, and remove all that it stored."""


class _Base(ABC):
    """What the engines share: their sandbox, names and volumes."""

    name: str
    tool: tuple[str, ...]

    def __init__(self) -> None:
        """Start the engine; a failure leaves nothing behind either."""
        with ExitStack() as undo:
            self.sandbox = Sandbox(self.name)
            undo.callback(self.sandbox.close)
            self._count = itertools.count()
            self._start()
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @abstractmethod
    def _start(self) -> None:
        """Write the engine's configuration and start its daemons."""

    def stop(self) -> None:
        """See `Engine.stop`."""
        self.sandbox.close()

    def volume(self, name: str) -> Path:
        """See `Engine.volume`: a folder that the unprivileged user owns, as a new volume of a cluster would be."""
        folder = self.sandbox.root / "volumes" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        return folder

    def cli(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """See `Engine.cli`."""
        return self.sandbox.run([*self.tool, *argv], check=check)

    def _new_name(self) -> str:
        """A name for a container or file that this engine hasn't used yet."""
        return f"{self.name}-{next(self._count)}"

    def _pack(self, layout: Path) -> Path:
        """A layout folder as a tar archive, for the tools that take no folder."""
        archive = self.sandbox.folder("packed") / f"{self._new_name()}.tar"
        with tarfile.open(archive, "w") as tar:
            for path in sorted(layout.iterdir()):
                tar.add(path, path.name)
        return archive


# --- docker and podman --------------------------------------------------------------------------------------------


class _CliContainer(Container):
    """A container of docker or podman, whose command lines agree on all that is used here."""

    def __init__(self, engine: "_DockerLike", name: str) -> None:
        """Refer to a container that runs already."""
        self.engine = engine
        self.name = name

    def exec(self, argv: Sequence[str], *, seconds: float = PATIENCE) -> ExecResult:
        """See `Container.exec`."""
        done = self.engine.sandbox.run([*self.engine.tool, "exec", self.name, *argv], seconds=seconds, check=False)
        return ExecResult(done.returncode, done.stdout + done.stderr)

    def logs(self) -> str:
        """See `Container.logs`."""
        done = self.engine.cli("logs", self.name)
        return done.stdout + done.stderr

    def running(self) -> bool:
        """See `Container.running`."""
        return self.engine.cli("inspect", "--format", "{{.State.Running}}", self.name).stdout.strip() == "true"

    def stop(self, grace_seconds: int = 10) -> int:
        """See `Container.stop`."""
        self.engine.cli("stop", "--time", str(grace_seconds), self.name)
        return self.wait()

    def wait(self, timeout: float = PATIENCE) -> int:
        """See `Container.wait`."""
        try:
            done = self.engine.sandbox.run([*self.engine.tool, "wait", self.name], seconds=timeout)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{self.name} did not end within {timeout:g} seconds; its logs:\n{self.logs()}") from error
        return int(done.stdout)

    def remove(self) -> None:
        """See `Container.remove`."""
        self.engine.cli("rm", "--force", "--volumes", self.name, check=False)


class _DockerLike(_Base):
    """Docker and podman: the same command line, but other ways to load an image."""

    run_flags: tuple[str, ...] = ()

    def run(self, image: str, **options: Unpack[RunOptions]) -> Container:
        """See `Engine.run`."""
        name = self._new_name()
        container = _CliContainer(self, name)
        try:
            self.cli("run", "--detach", *self._arguments(name, Spec(image, **options)))
        except EngineError:
            container.remove()
            raise
        return container

    def run_once(self, image: str, *, timeout: float = PATIENCE, **options: Unpack[RunOptions]) -> subprocess.CompletedProcess[str]:
        """See `Engine.run_once`."""
        name = self._new_name()
        argv = [*self.tool, "run", *self._arguments(name, Spec(image, **options))]
        try:
            return self.sandbox.run(argv, seconds=timeout, check=False)
        finally:
            _CliContainer(self, name).remove()

    def _arguments(self, name: str, spec: Spec) -> list[str]:
        """The arguments of `run`; never a pull, which would go to a real registry for a mistyped name."""
        first, *rest = spec.entrypoint or [""]
        flags = ["--name", name, "--pull", "never", "--platform", spec.platform, "--network", spec.network, *self.run_flags]
        flags += ["--read-only"] if spec.read_only else []
        flags += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"] if spec.cap_drop_all else []
        flags += ["--user", spec.user] if spec.user else []
        flags += ["--entrypoint", first] if first else []
        flags += [f"--tmpfs={path}" for path in spec.tmpfs]
        flags += [f"--env={name}={value}" for name, value in spec.env.items()]
        flags += [f"--volume={self.volume(name)}:{path}" for name, path in spec.volumes.items()]
        return [*flags, spec.image, *rest, *(spec.command or [])]

    def _pick(self, references: Sequence[str], platform: str, source: Path) -> str:
        """The identity of the one loaded image that is of the platform: a name can move from one to another."""
        seen = []
        for reference in dict.fromkeys(references):
            done = self.cli("image", "inspect", "--format", "{{.Id}} {{.Os}}/{{.Architecture}}", reference, check=False)
            seen.append(f"{reference} {done.stdout.strip() or done.stderr.strip()}")
            if done.stdout.split()[1:] == ["/".join(platform.split("/")[:2])]:
                return done.stdout.split()[0]
        raise EngineError(f"{self.name} got no image of {platform} out of {source}, but: {seen}")


class Dockerd(_DockerLike):
    """A docker daemon with a containerd of its own, which starts faster than the one that dockerd would start."""

    name = "docker"

    def __init__(self, *, containerd_store: bool = False) -> None:
        """Choose where images are kept: in docker's own store, or in containerd's as newer versions do, which knows indexes."""
        self.containerd_store = containerd_store
        super().__init__()

    def _start(self) -> None:
        """Start both daemons; no bridge and no firewall rules, which are the host's."""
        root = self.sandbox.root
        self.tool = ("docker", "--config", str(root / "cli"), "--host", f"unix://{root / 'docker.sock'}")
        self.run_flags = ("--cgroup-parent", f"/{self.sandbox.cgroup}")
        containerd = _start_containerd(self.sandbox)
        (root / "daemon.json").write_text(json.dumps({"features": {"containerd-snapshotter": self.containerd_store}}))
        argv = ["dockerd", "--config-file", str(root / "daemon.json"), "--log-level", "warn", "--containerd", containerd]
        argv += ["--data-root", str(root / "data"), "--exec-root", str(root / "exec"), "--pidfile", str(root / "docker.pid")]
        argv += ["--host", f"unix://{root / 'docker.sock'}", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        self.sandbox.serve(argv, [*self.tool, "version"], root / "dockerd.log")

    def load(self, source: Path, platform: str = NATIVE) -> str:
        """Load an archive that has docker's own index in it; a layout folder goes through skopeo."""
        source = source.resolve()
        if source.is_dir():
            return self._load_layout(source, platform)
        found = re.findall(r"^Loaded image(?: ID)?: (\S+)$", self.cli("load", "--input", str(source)).stdout, re.MULTILINE)
        if self.containerd_store and found:
            return str(found[0])  # An index for all platforms, of which `run` takes the right one.
        return self._pick([*found, *_configs(source)], platform, source)

    def _load_layout(self, layout: Path, platform: str) -> str:
        """Copy one platform of a layout into the daemon, which has no way to take a folder."""
        system, architecture = platform.split("/")[:2]
        name = f"localhost/{self._new_name()}:latest"
        argv = ["skopeo", "copy", "--quiet", "--override-os", system, "--override-arch", architecture]
        argv += ["--dest-daemon-host", f"unix://{self.sandbox.root / 'docker.sock'}", f"oci:{layout}", f"docker-daemon:{name}"]
        self.sandbox.run(argv)
        return self._pick([name], platform, layout)


def _configs(archive: Path) -> list[str]:
    """The identities of the images in docker's index of an archive: of several with one name docker names only the last."""
    with tarfile.open(archive) as tar:
        entry = tar.extractfile("manifest.json") if "manifest.json" in tar.getnames() else None
        found: list[dict[str, Any]] = json.load(entry) if entry else []
    return [f"sha256:{Path(image['Config']).stem}" for image in found]


PODMAN_CONTAINERS = """
[containers]
log_driver = "k8s-file"
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
image_copy_tmp_dir = "{root}/tmp"
lock_type = "file"
runtime = "{runtime}"
stop_timeout = 0
static_dir = "{root}/static"
tmp_dir = "{root}/state"
volume_path = "{root}/podman-volumes"
[network]
network_config_dir = "{root}/networks"
"""

PODMAN_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{root}/graph"
runroot = "{root}/run"
"""


class Podman(_DockerLike):
    """Podman with storage of its own. It has no daemon: each command is a process in the sandbox."""

    name = "podman"
    tool = ("podman",)

    def __init__(self, runtime: str = "crun") -> None:
        """Choose the low-level runtime: crun or runc."""
        self.runtime = runtime
        super().__init__()

    def _start(self) -> None:
        """Write the configuration and see that podman heeds it."""
        root = self.sandbox.root
        self.run_flags = ("--cgroup-parent", f"/{self.sandbox.cgroup}")
        for variable, text in (("CONTAINERS_CONF", PODMAN_CONTAINERS), ("CONTAINERS_STORAGE_CONF", PODMAN_STORAGE)):
            path = root / f"{variable.lower()}.toml"
            path.write_text(text.format(root=root, runtime=self.runtime))
            self.sandbox.environment[variable] = str(path)
        used = self.cli("info", "--format", "{{.Store.GraphRoot}} {{.Host.OCIRuntime.Name}}").stdout.split()
        if used != [str(root / "graph"), self.runtime]:
            raise EngineError(f"podman does not heed its private configuration: {used}")

    def load(self, source: Path, platform: str = NATIVE) -> str:
        """Load an archive or a layout as a person would; only a foreign platform has to be asked for."""
        source = source.resolve()
        if platform == NATIVE and not source.is_dir():
            printed = self.cli("load", "--quiet", "--input", str(source)).stdout
            return self._pick(re.findall(r"^Loaded image: (\S+)$", printed, re.MULTILINE), platform, source)
        printed = self.cli("pull", "--quiet", "--platform", platform, self._transport(source, platform)).stdout
        return self._pick(printed.split(), platform, source)

    def _transport(self, source: Path, platform: str) -> str:
        """Where to pull from. Podman mixes up the platforms of a folder when a foreign one is asked for, but not of an archive."""
        if not source.is_dir():
            return f"oci-archive:{source}"
        return f"oci:{source}" if platform == NATIVE else f"oci-archive:{self._pack(source)}"


# --- containerd ---------------------------------------------------------------------------------------------------

CONTAINERD = """
version = 2
root = "{root}/containerd/root"
state = "{root}/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{root}/containerd.sock"
[debug]
level = "warn"
"""


def _start_containerd(sandbox: Sandbox) -> str:
    """Start a containerd without the plugins for clusters, which tests don't use; its socket."""
    config = sandbox.root / "containerd.toml"
    config.write_text(CONTAINERD.format(root=sandbox.root))
    address = str(sandbox.root / "containerd.sock")
    sandbox.serve(["containerd", "--config", str(config)], ["ctr", "--address", address, "version"], sandbox.root / "containerd.log")
    return address


class _CtrContainer(Container):
    """A container of `ctr run`, which stays in the foreground: its output is the log and its exit code the container's."""

    def __init__(self, engine: "Containerd", name: str, process: subprocess.Popen[str], log: Path) -> None:
        """Refer to a container whose `ctr run` is that process."""
        self.engine = engine
        self.name = name
        self._process = process
        self._log = log

    def exec(self, argv: Sequence[str], *, seconds: float = PATIENCE) -> ExecResult:
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
        """Whether the container's process is there to be asked things: `ctr run` takes a moment to get that far."""
        rows = self.engine.cli("tasks", "list").stdout.splitlines()
        return not self.running() or any(row.split()[::2] == [self.name, "RUNNING"] for row in rows)

    def stop(self, grace_seconds: int = 10) -> int:
        """See `Container.stop`: without a name for the signal ctr takes the image's."""
        self.engine.cli("tasks", "kill", self.name, check=False)
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(grace_seconds)
        self.engine.cli("tasks", "kill", "--signal", "SIGKILL", self.name, check=False)
        return self.wait()

    def wait(self, timeout: float = PATIENCE) -> int:
        """See `Container.wait`."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{self.name} did not end within {timeout:g} seconds; its logs:\n{self.logs()}") from error

    def remove(self) -> None:
        """See `Container.remove`: `ctr run --rm` removes the container by itself once it has ended."""
        self.stop(0)


class Containerd(_Base):
    """A containerd alone, used through its own `ctr`."""

    name = "containerd"

    def _start(self) -> None:
        """Start the daemon."""
        self.tool = ("ctr", "--address", _start_containerd(self.sandbox), "--namespace", "shipwheel")

    def load(self, source: Path, platform: str = NATIVE) -> str:
        """Import all platforms, because importing a second one alone makes containerd drop the first one's content."""
        archive = self._pack(source.resolve()) if source.is_dir() else source.resolve()
        printed = self.cli("images", "import", "--all-platforms", str(archive)).stdout
        found = re.search(r"^unpacking (\S+) \(", printed, re.MULTILINE)
        if not found:
            raise EngineError(f"containerd named no image when it imported {source}: {printed}")
        self._config(found[1], platform)
        return found[1]

    def run(self, image: str, **options: Unpack[RunOptions]) -> Container:
        """See `Engine.run`."""
        spec = Spec(image, **options)
        name = self._new_name()
        log = self.sandbox.folder("logs") / name
        mark = self.sandbox.folder("pids") / name
        argv = [*self.tool, "run", "--pid-file", str(mark), *self._arguments(name, spec)]
        container = _CtrContainer(self, name, self.sandbox.spawn(argv, log), log)
        wait_until(container.started, f"the start of {name}")
        if not mark.exists():
            raise EngineError(f"{' '.join(argv)}\nstarted nothing:\n{container.logs()}")
        return container

    def run_once(self, image: str, *, timeout: float = PATIENCE, **options: Unpack[RunOptions]) -> subprocess.CompletedProcess[str]:
        """See `Engine.run_once`."""
        name = self._new_name()
        argv = [*self.tool, "run", *self._arguments(name, Spec(image, **options))]
        try:
            return self.sandbox.run(argv, seconds=timeout, check=False)
        except subprocess.TimeoutExpired:
            self.cli("tasks", "kill", "--signal", "SIGKILL", name, check=False)
            raise

    def _arguments(self, name: str, spec: Spec) -> list[str]:
        """The arguments of `run`, as near as ctr comes to what docker does.

        No CPU shares: ctr asks for some by default, which fails where the cgroup tree has no CPU controller.
        """
        flags = ["--rm", "--platform", spec.platform, "--cgroup", f"/{self.sandbox.cgroup}/{name}", "--cpu-shares", "0", "--seccomp"]
        flags += ["--read-only"] if spec.read_only else []
        flags += [f"--cap-drop=CAP_{name}" for name in CAPABILITIES] if spec.cap_drop_all else ["--allow-new-privs"]
        flags += ["--net-host"] if spec.network == "host" else []
        flags += ["--user", spec.user] if spec.user else []
        flags += [f"--env={name}={value}" for name, value in spec.env.items()]
        flags += [f"--mount=type=tmpfs,src=tmpfs,dst={path},options=nosuid:nodev:noexec:mode=1777" for path in spec.tmpfs]
        flags += [f"--mount=type=bind,src={self.volume(name)},dst={path},options=rbind:rw" for name, path in spec.volumes.items()]
        return [*flags, spec.image, name, *self._argv(spec)]

    def _argv(self, spec: Spec) -> list[str]:
        """The process to run, when it isn't just the image's: ctr has no entrypoint, its command replaces both."""
        if spec.entrypoint:
            return [*spec.entrypoint, *(spec.command or [])]
        if spec.command:
            return [*(self._config(spec.image, spec.platform).get("Entrypoint") or []), *spec.command]
        return []

    def _config(self, image: str, platform: str) -> dict[str, Any]:
        """What the image says about its process, for the platform; an error when it isn't there."""
        rows = self.cli("images", "list", f"name=={image}").stdout.splitlines()[1:]
        wanted = platform.split("/")[:2]
        for manifest in self._manifests(rows[0].split()[2] if rows else ""):
            config = self._blob(manifest["config"]["digest"])
            if [config["os"], config["architecture"]] == wanted:
                return dict(config.get("config") or {})
        raise EngineError(f"containerd has no {image} of {platform}: {rows}")

    def _manifests(self, digest: str) -> list[dict[str, Any]]:
        """The manifests below a digest, which may be an index's; attestations are not for any platform."""
        top = self._blob(digest)
        real = [entry for entry in top.get("manifests", []) if entry.get("platform", {}).get("os") != "unknown"]
        return [self._blob(entry["digest"]) for entry in real] if "manifests" in top else [top]

    def _blob(self, digest: str) -> dict[str, Any]:
        """A JSON document out of containerd's content store."""
        found: dict[str, Any] = json.loads(self.cli("content", "get", digest).stdout)
        return found


# --- the registry -------------------------------------------------------------------------------------------------

REGISTRY = """
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: "{root}/storage"}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
"""


class Registry:
    """Debian's docker-registry on a loopback port that the kernel chooses, without TLS."""

    def __init__(self, more: str = "") -> None:
        """Start it, with more lines of configuration; it dies with the test run, even a killed one."""
        self.root = Path(tempfile.mkdtemp(prefix="shipwheel-registry-"))
        self._log = self.root / "log"
        config = self.root / "config.yml"
        config.write_text(REGISTRY.format(root=self.root) + more)
        argv = ["setpriv", "--pdeathsig", "KILL", "--", "docker-registry", "serve", str(config)]
        environment = {"PATH": SEARCH_PATH, "HOME": str(self.root), "OTEL_TRACES_EXPORTER": "none"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.root)
        with ExitStack() as undo:
            undo.callback(self.stop)
            wait_until(self._listens, "a registry that listens")
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _listens(self) -> bool:
        """Whether the log tells the port."""
        if self._process.poll() is not None:
            raise EngineError(f"docker-registry ended with {self._process.returncode}:\n{_tail(self._log)}")
        return bool(self._found())

    def _found(self) -> "re.Match[str] | None":
        """The address in the log."""
        return re.search(r"listening on (127\.0\.0\.1:\d+)", self._log.read_text("utf-8", "replace"))

    @property
    def host(self) -> str:
        """The registry's part of an image name: address and port."""
        found = self._found()
        assert found
        return found[1]

    @property
    def url(self) -> str:
        """Where to ask it over HTTP."""
        return f"http://{self.host}"

    def logs(self) -> str:
        """What the registry has logged."""
        return self._log.read_text("utf-8", "replace")

    def stop(self) -> None:
        """End it and remove what it stored."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.root)


# --- emulation ----------------------------------------------------------------------------------------------------


_ENTRIES = itertools.count()


def _handlers() -> dict[str, str]:
    """The kernel's handlers of foreign programs, by name."""
    names = [path for path in BINFMT.iterdir() if path.name not in ("register", "status")] if BINFMT.exists() else []
    return {path.name: path.read_text() for path in names}


def _emulates(handler: str, magic: str) -> bool:
    """Whether a handler runs our kind of program in containers too, which takes flag F: opened at once, on the host."""
    flags = re.search(r"^flags: (\S*)$", handler, re.MULTILINE)
    return handler.startswith("enabled") and f"magic {magic}" in handler and "F" in (flags[1] if flags else "")


def ensure_binfmt() -> Callable[[], None]:
    """Let the kernel run arm64 programs with qemu, also in containers; returns what undoes just that.

    Our own entry bears our process id, so that two test runs at once don't take it from each other.
    """
    undo = ExitStack()
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
        undo.callback(_unmount_binfmt)
    _, _, kind, offset, magic, mask, interpreter, flags = BINFMT_RULE.read_text().strip().split(":")
    plain = re.sub(r"\\x(..)", r"\1", magic)
    if not any(_emulates(handler, plain) for name, handler in _handlers().items() if not name.startswith("shipwheel-")):
        entry = f"shipwheel-{os.getpid()}-{next(_ENTRIES)}"
        flags = "".join(dict.fromkeys(flags + "F"))
        (BINFMT / "register").write_text(":".join(["", entry, kind, offset, magic, mask, interpreter, flags]))
        undo.callback((BINFMT / entry).write_text, "-1")
    return undo.close


def _unmount_binfmt() -> None:
    """Unmount what we mounted, unless somebody else has come to use it."""
    if not _handlers():
        subprocess.run(["umount", str(BINFMT)], check=False)


if __name__ == "__main__":
    _hold(sys.argv[1])
