"""Run a command, and start it again on SIGURG, or on SIGWINCH if it has ended: what `shipwheel dev` puts in front of a container's command.

Runs inside the container, as an argument of the image's own Python, with the standard library alone. Each command has a session of its own,
so that processes which it leaves behind end with it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

__all__ = ["Reloader", "log", "main", "send"]

RESTART = signal.SIGURG
"""Ignored by a process that has not got so far as to block it, which then starts the command with what was saved anyway."""
START = signal.SIGWINCH
"""The same for a command that has ended."""
UNLIMITED_S = 1e6
STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP}


def log(text: str) -> None:
    """Write a line to standard error."""
    print(f"shipwheel: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a program of its own, without a logger


class Reloader:
    """Runs one command after the other. All signals are blocked and taken one by one, so none is lost and nothing runs in between.

    `grace` is the number of seconds from the stop signal to the kill.
    """

    def __init__(self, command: "list[str]", grace: float, stop_signal: int = signal.SIGTERM) -> None:
        self.command = command
        self.grace = grace
        self.stop_signal = stop_signal
        self.signals = STOPPING | {RESTART, START, signal.SIGCHLD, stop_signal}
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run until a signal stops it. Return the exit status: 128 plus that signal."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        self.start()
        while True:
            number = signal.sigwait(self.signals)
            if number == signal.SIGCHLD:
                self.reap()
            elif number == START:
                if self.process is None:
                    self.start()
            elif number == RESTART:
                self.end(self.stop_signal, self.grace)
                # What was saved meanwhile is read by the start below.
                while signal.sigtimedwait({RESTART}, 0):
                    pass
                self.start()
            else:
                self.end(number, UNLIMITED_S)
                return 128 + number

    def start(self) -> None:
        """Start the command. If it cannot be started, wait for the next signal."""
        try:
            self.process = subprocess.Popen(
                self.command,
                start_new_session=True,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals),
            )
        except OSError as error:
            log(f"cannot start {self.command[0]}: {error.strerror}; saving a file tries again")

    def reap(self) -> None:
        """Take the exit status of every child that has ended, orphans included."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self.process is not None and pid == self.process.pid:
                code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
                self.process.returncode = code
                self.process = None
                log(f"{self.command[0]} ended with status {code}; saving a file starts it again")

    def end(self, number: int, grace: float) -> None:
        """Send a signal to the command, and kill what is left of its processes when it has ended, at the latest after `grace` seconds."""
        if self.process is None:
            return
        process, self.process = self.process, None
        send(process.pid, number, group=False)
        deadline = time.monotonic() + grace
        # Popen.wait(timeout) looks every 50 ms, which the developer waits for.
        while process.poll() is None and (left := deadline - time.monotonic()) > 0:
            signal.sigtimedwait({signal.SIGCHLD}, left)
        send(process.pid, signal.SIGKILL, group=True)
        process.wait()


def send(pid: int, number: int, *, group: bool) -> None:
    """Send a signal to a process or to all processes of its session, if there still are any."""
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(pid, number)


def main() -> None:
    """Run the command of the argument, a JSON document."""
    options = json.loads(sys.argv[1])
    number = getattr(signal, options["stop"], signal.SIGTERM)
    sys.exit(Reloader(options["command"], options["grace"], number).run())


if __name__ == "__main__":
    main()
