"""Run an image's start steps, tell its server how many CPUs there are, then become its command.

Runs inside the image, with the standard library alone.

Each step runs once per volume. A step that succeeds leaves a mark on the volume, so after a crash the next start goes on with the step
that failed. Steps that also depend on the image run at every start. A lock keeps two containers from running steps on one volume at the
same time.
"""

import fcntl
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

__all__ = ["main"]

SETTINGS = Path("/opt/shipwheel/launch.json")
CGROUPS = Path("/sys/fs/cgroup")


def log(text: str) -> None:
    """Write a line to standard error."""
    print(f"shipwheel: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a program of its own, without a logger


def mark_name(steps: list[list[str]], number: int) -> str:
    """Return the file name of a step's mark: a hash of the step and of all steps before it, so that changed steps run again."""
    return hashlib.sha256(json.dumps(steps[: number + 1]).encode()).hexdigest()[:16]


class SignalForwarder:
    """Forward the signals that stop a container to the running step, or exit if none is running.

    Without a handler the signal would end this process and leave the step running; as a container's first process, without an init, the
    kernel would drop it. `stop_signal` is the number of the image's own.
    """

    def __init__(self, stop_signal: int = signal.SIGTERM) -> None:
        self.numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, stop_signal}
        self.received = 0
        self.running = False
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "SignalForwarder":
        for number in self.numbers:
            signal.signal(number, self.handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self.numbers:
            signal.signal(number, signal.SIG_DFL)

    def handle(self, number: int, _frame: object) -> None:
        """Handle a signal; called by the interpreter."""
        if not self.running:
            sys.exit(128 + number)
        self.received = number
        if self.process is not None:
            self.process.send_signal(number)

    def run(self, step: list[str]) -> int:
        """Run one step and return its exit status, or 128 plus the signal that ended it."""
        self.running = True
        try:
            self.process = subprocess.Popen(step)
            if self.received:
                # The signal came after the process started and before `self.process` was set.
                self.process.send_signal(self.received)
            status = self.process.wait()
        finally:
            self.running, self.process = False, None
        if self.received:
            return 128 + self.received
        return status if status >= 0 else 128 - status


def run_step(step: list[str], signals: SignalForwarder, when: str) -> int:
    """Run one step and report a failure. Return its exit status: 127 if its program is missing, 126 if it cannot be started."""
    name = " ".join(step)
    log(f"{when} start: {name}")
    try:
        status = signals.run(step)
    except FileNotFoundError:
        log(f"cannot run the step {name!r}: its program is not in the image")
        return 127
    except OSError as error:
        log(f"cannot run the step {name!r}: {error.strerror}")
        return 126
    if status:
        log(f"the step {name!r} failed with status {status}; it runs again at the next start")
    return status


def run_steps(steps: list[list[str]], marks: Path, always: list[int], signals: SignalForwarder) -> int:
    """Run the steps without a mark and those whose numbers are in `always`. Return the first failure's exit status, else 0."""
    todo = [(step, marks / mark_name(steps, number), number in always) for number, step in enumerate(steps)]
    try:
        if all(mark.exists() and not repeat for _, mark, repeat in todo):
            return 0
        marks.mkdir(parents=True, exist_ok=True)
        with signals, (marks / "lock").open("w") as lock:
            acquire(lock)
            for step, mark, repeat in todo:
                if mark.exists() and not repeat:
                    continue
                status = run_step(step, signals, "every" if repeat else "first")
                if status:
                    return status
                mark.touch()
    except OSError as error:
        log(f"cannot write to the volume ({error}); make it writable for user {os.getuid()}")
        return 1
    return 0


def acquire(lock: io.TextIOWrapper) -> None:
    """Wait for the lock, which the kernel releases when this process ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        log(f"the volume does not support locks ({error.strerror}): do not start two containers on it for the first time at once")


def cpu_limit(cgroups: Path = CGROUPS) -> "int | None":
    """Return the number of CPUs that the container's quota allows, rounded up; None without a quota (cgroup v2: cpu.max, v1: cpu.cfs_*)."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = map(int, " ".join((cgroups / file).read_text() for file in files).split())
        except (OSError, ValueError):
            # There is no such file, or no quota: "max 100000".
            continue
        if quota > 0 and period > 0:
            return -(-quota // period)
    return None


def set_workers(variable: str) -> None:
    """Set the variable from which the server takes its number of processes: to WEB_CONCURRENCY, else to the number of CPUs of the quota."""
    limit = cpu_limit()
    workers = os.environ.get("WEB_CONCURRENCY") or (str(min(limit, len(os.sched_getaffinity(0)))) if limit else "")
    if workers:
        os.environ.setdefault(variable, workers)


def main() -> None:
    """Run the steps, then replace this process with the command."""
    settings = json.loads(SETTINGS.read_text())
    command = sys.argv[1:]
    status = run_steps(settings["steps"], Path(settings["marks"]), settings["always"], SignalForwarder(settings["stop-signal"]))
    if status:
        sys.exit(status)
    if settings["workers"]:
        set_workers(settings["workers"])
    if not command:
        log("no command to run")
        sys.exit(2)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # The interpreter ignores these, and the command would inherit that.
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - exec form, no shell
    except OSError as error:
        log(f"cannot start the command {command[0]!r}: {error.strerror}")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
