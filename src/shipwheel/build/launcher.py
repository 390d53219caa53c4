"""Runs an image's one-time steps, then becomes its command. Runs inside the image, with the standard library alone.

The steps run once for a volume: each that ended well leaves a mark there, so that after a crash the work goes on with the step
that did not. A lock keeps two containers on one volume from doing it at the same time.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

SETTINGS = Path("/opt/shipwheel/launch.json")


def say(text: str) -> None:
    """Writes a line to standard error."""
    print(f"shipwheel: {text}", file=sys.stderr, flush=True)  # noqa: T201 - this is a program of its own


def mark_of(steps: list[list[str]], number: int) -> str:
    """The name of a step's mark: of the step and of all before it, so that changed steps run again."""
    return hashlib.sha256(json.dumps(steps[: number + 1]).encode()).hexdigest()[:16]


def run(step: list[str]) -> int:
    """Runs one step, passing on the signals that stop a container; its exit status, or 128 and the signal."""
    stopped = 0

    def forward(number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = number
        if child is not None:
            child.send_signal(number)

    child: subprocess.Popen[bytes] | None = None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    try:
        child = subprocess.Popen(step)
        if stopped:
            child.send_signal(stopped)
        status = child.wait()
    except FileNotFoundError:
        say(f"the step {' '.join(step)!r} names a program that is not in the image")
        return 127
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    if stopped:
        return 128 + stopped
    return status if status >= 0 else 128 - status


def prepare(steps: list[list[str]], marks: Path) -> int:
    """Runs the steps that have no mark yet; the exit status of the first that fails, else 0."""
    try:
        marks.mkdir(parents=True, exist_ok=True)
        lock = (marks / "lock").open("w")
    except OSError as error:
        say(f"the volume cannot be written ({error}); it must be writable for user {os.getuid()}")
        return 1
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for number, step in enumerate(steps):
            mark = marks / mark_of(steps, number)
            if mark.exists():
                continue
            say(f"first start: {' '.join(step)}")
            status = run(step)
            if status:
                say(f"the step {' '.join(step)!r} ended with status {status}; it runs again at the next start")
                return status
            mark.touch()
    return 0


def main() -> None:
    """Prepares the volume, then replaces itself by the command."""
    settings = json.loads(SETTINGS.read_text())
    command = sys.argv[1:]
    status = prepare(settings["steps"], Path(settings["marks"]))
    if status:
        sys.exit(status)
    if not command:
        say("no command was given")
        sys.exit(2)
    try:
        os.execvp(command[0], command)  # noqa: S606 - exec form, no shell
    except OSError as error:
        say(f"the command {command[0]!r} cannot be started: {error.strerror}")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
