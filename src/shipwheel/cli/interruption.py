"""Signals that end a command: the work stops at once, and the process soon after, whatever its threads are waiting for."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

__all__ = ["Interruption"]

PATIENCE = 1.5
"""Seconds that the threads have to clean up. One that waits for a server does not notice that it should end."""

_REPEATED = 0.5
"""Seconds within which a signal that comes again is the same one: a terminal sends it to every process, and some pass it on."""

_SIGNALS = tuple(number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None)


class Interruption:
    """What happens on SIGINT, SIGTERM and SIGHUP: whatever was registered is called, the main thread gets a KeyboardInterrupt.

    A process that is still there after `PATIENCE`, or when the signal comes again, ends without waiting for its threads.
    """

    def __init__(self) -> None:
        self._stops: list[Callable[[], None]] = []
        self._signal = signal.SIGINT
        self._since: float | None = None
        self._told = False

    @property
    def status(self) -> int:
        """The exit code that says which signal it was, as shells have it: 130 after Ctrl-C."""
        return 128 + self._signal

    def register(self, stop: Callable[[], None]) -> None:
        """Has `stop` called when a signal comes, from the signal handler: it must not wait for anything."""
        self._stops.append(stop)

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handles the signals for the time of the block; those that are ignored, as by nohup, stay so."""
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

    def tell(self) -> None:
        """Says, once, that the command was interrupted."""
        if not self._told:
            self._told = True
            with suppress(OSError):
                click.echo("Interrupted. Nothing is half-written; the same command goes on from here.", err=True)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._since is not None:
            if time.monotonic() - self._since > _REPEATED:
                self._leave()
            return
        self._since = time.monotonic()
        self._signal = signal.Signals(number)
        for stop in self._stops:
            stop()
        watchdog = threading.Timer(PATIENCE, self._leave)
        watchdog.daemon = True
        watchdog.start()
        raise KeyboardInterrupt

    def _leave(self) -> None:
        if sys.stderr.isatty():
            # The bars hide the cursor, and do not come to showing it again.
            click.echo("\x1b[?25h", err=True, nl=False)
        self.tell()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(self.status)
