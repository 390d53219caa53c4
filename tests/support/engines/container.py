"""What tests can ask of any engine and any container, and what all engines have in common."""

import itertools
import os
import platform as machine
import re
import subprocess
import tarfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self, TypedDict, Unpack

from support.engines.sandbox import TIMEOUT_S, EngineError, Sandbox

__all__ = [
    "HTTP_PROBE",
    "NATIVE",
    "PYTHON",
    "STOPPED",
    "UNPRIVILEGED",
    "BaseEngine",
    "Container",
    "ContainerSpec",
    "Engine",
    "ExecResult",
    "RunOptions",
]

NATIVE = f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine.machine(), machine.machine()) }"
"""The platform that this machine runs without emulation."""

UNPRIVILEGED = 65532
"""The user and group of images without a user of their own. They own the volumes."""

PYTHON = "/opt/venv/bin/python"
"""The interpreter in the images that shipwheel builds."""

STOPPED = 143
"""The exit code of a container whose command SIGTERM ended: by default, or raised again after a graceful shutdown, as uvicorn does."""

HTTP_PROBE = """
import sys, time, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
end = time.monotonic() + float(sys.argv[3])
while True:
    try:
        status = opener.open(sys.argv[1], timeout=float(sys.argv[2])).status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError:
        status = 0
    if 0 < status < 400 or time.monotonic() >= end:
        break
    time.sleep(0.1)
print("http-status", status)
"""
"""A program for the image's own Python, because containers without a network cannot be reached from outside.

It requests a URL until that answers with a status below 400: a new Python for each request would take the time that the server needs to
start, many times over under emulation. Arguments: the URL, the seconds that a request may take, and those that it tries again. The status
is 0 if nothing answered.
"""


class ExecResult(NamedTuple):
    """How a command in a container ended, and its output and error output together."""

    exit_code: int
    output: str


class RunOptions(TypedDict, total=False):
    """The keyword arguments of `Engine.run`, the same for every engine."""

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
class ContainerSpec:
    """A container to run. The defaults are those of a careful production setup."""

    image: str
    command: Sequence[str] | None = None
    """Replaces the image's command."""
    entrypoint: Sequence[str] | None = None
    """Replaces the image's entrypoint and its command."""
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    """A volume's name -> its path in the container; see `Engine.volume`."""
    read_only: bool = True
    tmpfs: Sequence[str] = ("/tmp",)
    cap_drop_all: bool = True
    """Drop every capability and prevent gaining new ones."""
    network: str = "none"
    """`none`, which has a loopback interface of its own, or `host`, which is the sandbox's network."""
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
    def exec(self, argv: Sequence[str], *, seconds: float = TIMEOUT_S) -> ExecResult:
        """Run a command in the container, as its user and with its environment."""

    @abstractmethod
    def logs(self) -> str:
        """Return everything that the container has printed, output and error output together."""

    @abstractmethod
    def running(self) -> bool:
        """Return whether the container's process is alive."""

    @abstractmethod
    def stop(self, grace_seconds: int = 10) -> int:
        """Send the image's stop signal, kill the container after the grace period, and return its exit code."""

    @abstractmethod
    def wait(self, timeout: float = TIMEOUT_S) -> int:
        """Wait until the container ends by itself and return its exit code."""

    @abstractmethod
    def remove(self) -> None:
        """Kill the container if it runs and remove it with its unnamed volumes. Volumes of `Engine.volume` stay."""

    def http_status(self, url: str, timeout: float = 60.0, wait: float = 0.0, python: str = PYTHON) -> int | None:
        """Request a URL from inside with the image's Python. Return the status, or None if nothing answered.

        `wait` is how many seconds it may take until the status is below 400.
        """
        code, output = self.exec([python, "-c", HTTP_PROBE, url, f"{timeout:g}", f"{wait:g}"], seconds=wait + TIMEOUT_S)
        found = re.search(r"^http-status (\d+)$", output, re.MULTILINE)
        return int(found[1]) or None if code == 0 and found else None

    def wait_http(self, url: str, seconds: float = TIMEOUT_S, python: str = PYTHON) -> int:
        """Wait until a URL answers with a status below 400 and return it. Fail at once when the container has ended."""
        end = time.monotonic() + seconds
        while True:
            if not self.running():
                raise EngineError(f"the container ended with {self.wait()} before {url} answered; its logs:\n{self.logs()}")
            status = self.http_status(url, wait=max(end - time.monotonic(), 0), python=python)
            if status is not None and status < 400:
                return status
            if time.monotonic() >= end:
                raise EngineError(f"{url} gave no good answer within {seconds:g} seconds, but {status}; the logs:\n{self.logs()}")
            # The container has ended, or cannot run programs yet.
            time.sleep(0.1)


class Engine(Protocol):
    """What tests can ask of any engine."""

    name: str
    sandbox: Sandbox

    def load(self, source: Path, platform: str = NATIVE) -> str:
        """Load an archive or a layout directory. Return the reference to run, which is checked to be of the platform."""

    def run(self, image: str, **options: Unpack[RunOptions]) -> Container:
        """Start a container. It is running, or has already ended, when this returns."""

    def run_once(self, image: str, *, timeout: float = TIMEOUT_S, **options: Unpack[RunOptions]) -> subprocess.CompletedProcess[str]:
        """Run a container to its end and remove it. The exit code is the container's."""

    def volume(self, name: str) -> Path:
        """Return the host's directory of a volume."""

    def cli(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the engine's own command line tool, connected to this engine."""

    def reach(self, host: str) -> None:
        """Make a server of this machine, 127.0.0.1:PORT, reachable for the engine."""

    def stop(self) -> None:
        """End the engine and everything that it started, and remove everything that it stored."""


class BaseEngine(ABC):
    """What the engines share: a sandbox, names and volumes."""

    name: str
    tool: tuple[str, ...]

    def __init__(self) -> None:
        """Start the engine. If that fails, nothing is left behind."""
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
        """See `Engine.volume`: the unprivileged user owns the directory, as a new volume of a cluster would be."""
        folder = self.sandbox.root / "volumes" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        return folder

    def cli(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """See `Engine.cli`."""
        return self.sandbox.run([*self.tool, *argv], check=check)

    def reach(self, host: str) -> None:
        """See `Engine.reach`."""
        self.sandbox.reach(host)

    def _new_name(self) -> str:
        """Return a name for a container or file that this engine has not used yet."""
        return f"{self.name}-{next(self._count)}"

    def _pack(self, layout: Path) -> Path:
        """Pack a layout directory as a tar archive, for the tools that accept no directory."""
        archive = self.sandbox.folder("packed") / f"{self._new_name()}.tar"
        with tarfile.open(archive, "w") as tar:
            for path in sorted(layout.iterdir()):
                tar.add(path, path.name)
        return archive
