"""Runs an image's steps, then becomes its command. Runs inside the image, with the standard library alone.

The steps run once for a volume: each that ended well leaves a mark there, so that after a crash the work goes on with the step
that did not. Some run at every start: what they do depends on the image as well. A lock keeps two containers on one
volume from doing it at the same time.
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

SETTINGS = Path("/opt/shipwheel/launch.json")


def say(text: str) -> None:
    """Writes a line to standard error."""
    print(f"shipwheel: {text}", file=sys.stderr, flush=True)  # noqa: T201 - this is a program of its own


def mark_of(steps: list[list[str]], number: int) -> str:
    """The name of a step's mark: of the step and of all before it, so that changed steps run again."""
    return hashlib.sha256(json.dumps(steps[: number + 1]).encode()).hexdigest()[:16]


class Signals:
    """Passes the signals that stop a container on to the step that runs, or ends the launcher where none does.

    Without a handler the kernel drops them, as it does for the first process of a container, and the engine waits and kills.
    """

    def __init__(self) -> None:
        self.stopped = 0
        self.busy = False
        self.child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Signals":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)

    def handle(self, number: int, _frame: object) -> None:
        """Called by the interpreter."""
        if not self.busy:
            sys.exit(128 + number)
        self.stopped = number
        if self.child is not None:
            self.child.send_signal(number)

    def run(self, step: list[str]) -> int:
        """Runs one step; its exit status, or 128 and the signal."""
        self.busy = True
        try:
            self.child = subprocess.Popen(step)
            if self.stopped:
                # It came between the start of the step and our knowing of it.
                self.child.send_signal(self.stopped)
            status = self.child.wait()
        finally:
            self.busy, self.child = False, None
        if self.stopped:
            return 128 + self.stopped
        return status if status >= 0 else 128 - status


def run(step: list[str], signals: Signals, when: str) -> int:
    """Runs one step and says what went wrong; its exit status, 127 or 126 when it cannot be started."""
    name = " ".join(step)
    say(f"{when} start: {name}")
    try:
        status = signals.run(step)
    except FileNotFoundError:
        say(f"the step {name!r} names a program that is not in the image")
        return 127
    except OSError as error:
        say(f"the step {name!r} cannot be started: {error.strerror}")
        return 126
    if status:
        say(f"the step {name!r} ended with status {status}; it runs again at the next start")
    return status


def prepare(steps: list[list[str]], marks: Path, always: list[int]) -> int:
    """Runs the steps that have no mark yet, and those of the numbers `always`; the exit status of the first that fails, else 0."""
    todo = [(step, marks / mark_of(steps, number), number in always) for number, step in enumerate(steps)]
    try:
        if all(mark.exists() and not again for _, mark, again in todo):
            return 0
        marks.mkdir(parents=True, exist_ok=True)
        with Signals() as signals, (marks / "lock").open("w") as lock:
            hold(lock)
            for step, mark, again in todo:
                if mark.exists() and not again:
                    continue
                status = run(step, signals, "every" if again else "first")
                if status:
                    return status
                mark.touch()
    except OSError as error:
        say(f"the volume cannot be written ({error}); it must be writable for user {os.getuid()}")
        return 1
    return 0


def hold(lock: io.TextIOWrapper) -> None:
    """Waits for the lock, which ends with the process."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        say(f"the volume has no locks ({error.strerror}): do not start two containers on it for the first time at once")


def main() -> None:
    """Prepares the volume, then replaces itself by the command."""
    settings = json.loads(SETTINGS.read_text())
    command = sys.argv[1:]
    status = prepare(settings["steps"], Path(settings["marks"]), settings["always"])
    if status:
        sys.exit(status)
    if not command:
        say("no command was given")
        sys.exit(2)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # The interpreter ignores these, and what is ignored stays so in the command.
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - exec form, no shell
    except OSError as error:
        say(f"the command {command[0]!r} cannot be started: {error.strerror}")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main()
