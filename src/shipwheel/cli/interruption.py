"""Ctrl-C and SIGTERM: stop the work at once, and end the process soon after, even if its threads still wait for a server."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["Interruption"]

CLEANUP_TIMEOUT_S = 1.5
"""How long threads may take to clean up. A thread that waits for a server does not notice the signal."""

_REPEAT_S = 0.5
"""A signal that arrives again within this time is the same one: a terminal signals every process, and some pass it on."""

_SIGNALS = tuple(number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)


class Interruption:
    """The handler of SIGINT, SIGTERM and SIGHUP: calls what was registered, then raises KeyboardInterrupt in the main thread.

    After `CLEANUP_TIMEOUT_S`, or what `allow` says, or at the next signal, the process removes scratch directories and exits without
    waiting for its threads. A signal after that exits at once. `write` shows the last line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._stops: list[Callable[[], None]] = []
        self._signal = signal.SIGINT
        self._since: float | None = None
        self._reported = False
        self._cleanup_s = CLEANUP_TIMEOUT_S
        self._removes = False

    @property
    def status(self) -> int:
        """The exit code, as in a shell: 128 and the signal's number, so 130 after Ctrl-C."""
        return 128 + self._signal

    def register(self, stop: Callable[[], None]) -> None:
        """Call `stop` when a signal arrives. It runs in the signal handler, so it must not block."""
        self._stops.append(stop)

    def allow(self, seconds: float) -> None:
        """Give the work this time to clean up after a signal: an engine takes longer than a thread."""
        self._cleanup_s = seconds

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals inside the block. Ignored signals, as under nohup, stay ignored."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        changed = {number: handler for number, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)}
        for number in changed:
            signal.signal(number, self._handle)
        try:
            yield
        finally:
            if self._since is None:
                for number, handler in changed.items():
                    signal.signal(number, handler)

    def report(self) -> None:
        """Print, once, that the command was interrupted."""
        if not self._reported:
            self._reported = True
            self._write("Interrupted. No partial files were left; run the same command to continue.")

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._since is not None:
            if time.monotonic() - self._since > _REPEAT_S:
                self._exit()
            return
        self._since = time.monotonic()
        self._signal = signal.Signals(number)
        watchdog = threading.Timer(self._cleanup_s, self._exit)
        watchdog.daemon = True
        watchdog.start()
        for stop in self._stops:
            # One that writes fails if the signal came while the program was writing.
            with suppress(Exception):
                stop()
        raise KeyboardInterrupt

    def _exit(self) -> None:
        if not self._removes:
            # Threads may be about to: on a busy machine, ending a compiler and removing its files takes longer than they have.
            self._removes = True
            from shipwheel.cleanup.scratch import remove_scratch

            with suppress(Exception):
                remove_scratch()
        self.report()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(self.status)
