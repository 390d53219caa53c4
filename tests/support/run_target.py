"""Engines as `shipwheel run` meets them: found on PATH and in the environment, in a sandbox."""

import os
import subprocess
from dataclasses import dataclass

from shipwheel.testing import forks
from support.command import TEST_CACHE
from support.engines import Containerd, Dockerd, Podman, Sandbox

__all__ = ["SEES_EMULATORS", "RunTarget", "bwrap_target", "containerd_target", "docker_target", "podman_target", "rootless_target"]

_REMOVE_ALL = {
    "docker": "docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes",
    "podman": "podman rm --all --force --time 0 --volumes",
    "containerd": "ctr tasks ls -q | xargs -r ctr tasks rm --force; ctr containers ls -q | xargs -r ctr containers rm",
}
"""Engine -> a shell's command line that removes all containers."""

SEES_EMULATORS = ["unshare", "--mount", "sh", "-c", 'mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && exec "$@"', "sh"]
"""Lets a command of a sandbox see which emulators the kernel has."""


@dataclass
class RunTarget:
    """An engine for `shipwheel run`: its name, its sandbox, and how to list what it holds."""

    name: str
    sandbox: Sandbox
    listing: tuple[tuple[str, ...], ...]
    """Commands that list containers, unnamed volumes and tasks. They must print nothing afterwards."""

    def __post_init__(self) -> None:
        """Give programs in the sandbox the store and the settings of this test run."""
        self.sandbox.environment |= {"SHIPWHEEL_CACHE": str(TEST_CACHE), "XDG_DATA_HOME": str(self.sandbox.folder("data"))}
        self.sandbox.environment |= {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SHIPWHEEL_", "PYTHONPATH"))
        }

    def shipwheel(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end in the sandbox, whatever its exit code: a fork of a process in there that has imported shipwheel."""
        command = forks.Command(None, arguments, "/", forks.without_start_variables(self.sandbox.environment), -1)
        return subprocess.CompletedProcess(arguments, *forks.run(command, tuple(self.sandbox.inside(()))))

    def left(self) -> str:
        """Return the remaining containers, volumes and tasks, and the processes of the image's Python."""
        return "".join(self.sandbox.run(command).stdout for command in self.listing) + self.running()

    def remove_all(self) -> None:
        """Remove what a failed test has left: its container has the port of the next ones, which would wait for it until they give up."""
        self.sandbox.run(["sh", "-c", _REMOVE_ALL.get(self.name, ":")], check=False)
        self.sandbox.run(["pkill", "-KILL", "-f", "/opt/venv/bin"], check=False)

    def running(self) -> str:
        """Return the processes of the image's Python."""
        return self.sandbox.run(["pgrep", "-af", "/opt/venv/bin"], check=False).stdout


def docker_target(running: Dockerd) -> RunTarget:
    """Return a docker daemon."""
    root = running.sandbox.root
    running.sandbox.environment |= {"DOCKER_HOST": f"unix://{root / 'docker.sock'}", "DOCKER_CONFIG": str(root / "cli")}
    return RunTarget("docker", running.sandbox, (("docker", "ps", "-aq"), ("docker", "volume", "ls", "-qf", "dangling=true")))


def podman_target(running: Podman) -> RunTarget:
    """Return podman."""
    return _podman(running.sandbox)


def rootless_target(sandbox: Sandbox) -> RunTarget:
    """Return the podman of a person without rights."""
    return _podman(sandbox)


def _podman(sandbox: Sandbox) -> RunTarget:
    return RunTarget("podman", sandbox, (("podman", "ps", "-aq"), ("podman", "volume", "ls", "-qf", "dangling=true")))


def containerd_target(running: Containerd) -> RunTarget:
    """Return a containerd, which is used through ctr."""
    root = running.sandbox.root
    running.sandbox.environment |= {"CONTAINERD_ADDRESS": str(root / "containerd.sock"), "CONTAINERD_NAMESPACE": "tests"}
    return RunTarget("containerd", running.sandbox, (("ctr", "containers", "ls", "-q"), ("ctr", "tasks", "ls", "-q")))


def bwrap_target(sandbox: Sandbox) -> RunTarget:
    """Return bubblewrap, which needs no engine."""
    return RunTarget("bwrap", sandbox, ())
