"""Signals to a container's first process without the engine, whose own `kill` starts two or three programs: a tenth of a second."""

import subprocess
import threading

from shipwheel.engine.interface import Container

__all__ = ["QuickSignals"]

_PROGRAM = "import os, signal, sys\nprint(flush=True)\nfor line in sys.stdin: os.kill(1, getattr(signal, line.strip()))"


class QuickSignals:
    """Sends signals to a container: the first ones by the engine, later ones by a Python inside, if the engine lends that our input."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._inside: subprocess.Popen[bytes] | None = None
        self._answered = threading.Event()

    def send(self, signal: str) -> None:
        """Send a signal (`SIGURG`) to the container's first process."""
        if not self._sent_inside(signal):
            self._container.send(signal)
            if self._inside is None and self._container.exec_words:
                self._start()

    def close(self) -> None:
        """End the program inside. The container may have ended before."""
        if self._inside is not None:
            # Its input ends with the engine's program.
            self._inside.kill()
            self._inside.wait()

    def _sent_inside(self, signal: str) -> bool:
        if self._inside is None or self._inside.poll() is not None or not self._answered.is_set():
            return False
        assert self._inside.stdin is not None  # noqa: S101 - it is a pipe
        try:
            self._inside.stdin.write(f"{signal}\n".encode())
        except (OSError, ValueError):
            # It has just ended, and the pipe may be closed.
            return False
        return True

    def _start(self) -> None:
        words = [*self._container.exec_words, "python", "-I", "-S", "-c", _PROGRAM]
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        self._inside = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=nothing, bufsize=0, process_group=0)
        threading.Thread(target=self._await_answer, args=(self._inside,), daemon=True).start()

    def _await_answer(self, process: "subprocess.Popen[bytes]") -> None:
        with process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            if process.stdout.readline():
                self._answered.set()
            process.stdout.read()
