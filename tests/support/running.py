"""A shipwheel command that runs until it is stopped, as a person starts it in a terminal."""

import sys
from dataclasses import dataclass
from pathlib import Path

from support.engines import EngineError, wait_until
from support.process import HANG_S
from support.run_target import RunTarget

__all__ = ["Run", "answer", "start"]

STARTER = """
import os, subprocess, sys
folder, *argv = sys.argv[1:]
with open(f"{folder}/out", "w") as out, open(f"{folder}/err", "w") as err:
    process = subprocess.Popen(argv, stdout=out, stderr=err, start_new_session=True)
open(f"{folder}/pid", "w").write(str(process.pid))
status = process.wait()
open(f"{folder}/status.new", "w").write(str(status))
os.rename(f"{folder}/status.new", f"{folder}/status")
"""
"""Starts a command in a session of its own, as a terminal does, so that a test can signal the whole process group like Ctrl-C."""

PROBE = """
import os, sys, time, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
while True:
    try:
        print(opener.open(sys.argv[1], timeout=5).read().decode())
        sys.exit()
    except OSError:
        if os.path.exists(sys.argv[2]):
            sys.exit(1)
    time.sleep(0.1)
"""
"""Waits for the answer of a URL, unless a file appears that says that nothing will answer."""


def answer(target: RunTarget, url: str, end: Path) -> str:
    """Return the first response of a URL in the sandbox, or "" when the file `end` appears."""
    return target.sandbox.run([sys.executable, "-I", "-c", PROBE, url, str(end)], check=False).stdout


@dataclass
class Run:
    """A running `shipwheel run`, or another command that runs containers."""

    target: RunTarget
    folder: Path

    def read(self, name: str) -> str:
        """Return its output (`out`), error output (`err`), process ID (`pid`) or exit code (`status`), or "" if there is none yet."""
        path = self.folder / name
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def ended(self) -> bool:
        """Return whether it has ended."""
        return bool(self.read("status"))

    def wait_http(self, url: str) -> str:
        """Return the first response of a URL. Fail when the command has ended."""
        said = answer(self.target, url, self.folder / "status")
        if not said:
            raise EngineError(f"it ended with {self.read('status')}:\n{self.read('out')}{self.read('err')}")
        return said

    def signal_group(self, name: str) -> None:
        """Signal every process of the group, as a terminal does on Ctrl-C."""
        self.target.sandbox.run(["kill", f"-{name}", "--", f"-{self.read('pid')}"])

    def status(self, seconds: float = HANG_S) -> int:
        """Wait for its end. Return the exit code."""
        wait_until(self.ended, "the end of shipwheel", seconds)
        return int(self.read("status"))


def start(target: RunTarget, *arguments: str, command: str = "run", directory: Path = Path("/")) -> Run:
    """Start `shipwheel run`, or another command, in the background."""
    folder = target.sandbox.folder(f"run-{len(list(target.sandbox.root.glob('run-*')))}")
    argv = ["env", f"--chdir={directory}", sys.executable, "-m", "shipwheel", command, "--engine", target.name, *arguments]
    target.sandbox.spawn([sys.executable, "-I", "-c", STARTER, str(folder), *argv], folder / "log")
    run = Run(target, folder)
    wait_until(lambda: bool(run.read("pid")), "the start of shipwheel")
    return run
