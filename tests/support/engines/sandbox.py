"""Namespaces in which an engine's processes, mounts and network links live and end.

Shims, monitors, bridges and firewall rules exist only in there. They are all gone when the first process ends, which it does when its
standard input closes: also when the test run itself was killed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from support.engines.network import Relay
from support.engines.requirements import SEARCH_PATH
from support.process import HANG_S

__all__ = ["RUN", "TIMEOUT_S", "EngineError", "Sandbox", "log_tail", "wait_until"]

TIMEOUT_S = HANG_S
_MAX_PAUSE_S = 0.3
RUN = os.environ.setdefault("SHIPWHEEL_TEST_RUN", str(os.getpid()))
"""The number of this test run. Everything that an engine leaves on the machine has it in its name."""

_HOLDER = Path(__file__).with_name("holder.py")


class EngineError(Exception):
    """An engine did not do what it was asked for; the message contains what it printed."""


def wait_until(done: Callable[[], bool], what: str, seconds: float = HANG_S, pause: float = 0.05) -> None:
    """Poll until `done` returns true; raise EngineError after `seconds`, so that no wait is endless.

    The pauses grow: most questions start programs, which take time from what is waited for.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise EngineError(f"{what} did not happen within {seconds:g} seconds")
        time.sleep(pause)
        pause = min(1.2 * pause, _MAX_PAUSE_S)


def log_tail(log: Path, lines: int = 30) -> str:
    """Return the end of a log, for error messages."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


class Sandbox:
    """A private directory, and namespaces for mounts, processes, control groups, and a network with a loopback interface only."""

    def __init__(self, name: str) -> None:
        """Make the directory, whose path is short because socket paths must be, and start the first process."""
        self.root = Path(tempfile.mkdtemp(prefix=f"shipwheel-{RUN}-{name}-"))
        self.root.chmod(0o755)
        self._uid = 0
        self.cgroup = self.root.name
        self.environment = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": str(self.folder("home")), "TMPDIR": str(self.folder("tmp"))}
        self._prefix: tuple[str, ...] = ()
        self._children: list[subprocess.Popen[str]] = []
        self._relays: dict[int, Relay] = {}
        self._holder, self._first = self._start_holder()

    def folder(self, *parts: str) -> Path:
        """Return a directory below the sandbox's own; create it if it does not exist."""
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        if self._uid:
            os.chown(path, self._uid, self._uid)
        return path

    def belongs_to(self, uid: int) -> None:
        """Let all later commands run as an unprivileged user, who owns the directories of the sandbox."""
        self._uid = uid
        self._prefix = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
        for name in ("home", "tmp"):
            self.folder(name)

    def _start_holder(self) -> tuple[subprocess.Popen[str], int]:
        """Start the processes that hold the namespaces. Return the outer one, and the number of the first process inside."""
        argv = ["unshare", "--mount", sys.executable, "-I", str(_HOLDER), self.cgroup]
        with (self.root / "holder.log").open("w") as log:
            holder = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment, cwd=self.root
            )
        assert holder.stdin
        assert holder.stdout
        with holder.stdout as output:
            number = output.readline().strip()
        if not number:
            holder.stdin.close()
            holder.wait()
            why = log_tail(self.root / "holder.log")
            shutil.rmtree(self.root)
            raise EngineError(f"cannot create namespaces: {why}")
        return holder, int(number)

    def inside(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` in the namespaces. The working directory is lost, so paths must be absolute."""
        enter = ["nsenter", f"--target={self._first}", "--mount", "--pid", "--net", "--cgroup", "--"]
        return [*enter, "sh", "-c", 'echo 0 >/sys/fs/cgroup/init/cgroup.procs && exec "$@"', "sh", *self._prefix, *argv]

    def reach(self, host: str) -> None:
        """Make a server of this machine, 127.0.0.1:PORT, reachable in the sandbox under the same address."""
        port = int(host.rpartition(":")[2])
        if port not in self._relays:
            self._relays[port] = Relay(Path(f"/proc/{self._first}/ns/net"), port)

    def run(self, argv: Sequence[str], *, seconds: float = TIMEOUT_S, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. With `check`, raise EngineError with its output if it fails."""
        done = subprocess.run(
            self.inside(argv),
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
        """Start a command whose output goes to a file. It ends with the sandbox at the latest."""
        with log.open("w") as output:
            child = subprocess.Popen(
                self.inside(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True, env=self.environment
            )
        self._children.append(child)
        return child

    def serve(self, argv: Sequence[str], ready: Sequence[str], log: Path) -> None:
        """Start a daemon and wait until the command `ready`, which asks it something, succeeds."""
        daemon = self.spawn(argv, log)

        def answered() -> bool:
            if daemon.poll() is not None:
                raise EngineError(f"{argv[0]} ended with {daemon.returncode}:\n{log_tail(log)}")
            return self.run(ready, check=False).returncode == 0

        wait_until(answered, f"an answer from {argv[0]}", pause=0.2)

    def close(self) -> None:
        """End every process in the namespaces, and with them every mount and link; then remove the directory."""
        for relay in self._relays.values():
            relay.close()
        assert self._holder.stdin
        self._holder.stdin.close()
        try:
            self._holder.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        for child in self._children:
            child.wait()
        # In half of the time that Python takes for the files of many images.
        subprocess.run(["rm", "-rf", self.root], check=True)
