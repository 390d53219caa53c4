"""Run a container in the foreground: wait for the engine's program, and turn signals into the container's stop signal.

The program has a process group of its own, so that Ctrl-C in a terminal reaches shipwheel only. Every engine's container then gets the
same: its stop signal, and after the grace period a kill.
"""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple

from shipwheel.engine.interface import RunSpec
from shipwheel.engine.tee import Tail, passed_on
from shipwheel.errors import EngineError

__all__ = ["Send", "Supervised", "send_with_program", "supervise"]

Send = Callable[[str], Callable[[], bool | None]]
"""Starts sending a signal (`SIGTERM`) to the container. Returns a function that says whether it arrived, None while that is unknown."""

_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_FORWARDED = ("SIGUSR1", "SIGUSR2")

_REPEAT_S = 0.5
"""A signal that repeats within this time counts once, as in the rest of the command line."""

_POLL_S = 0.1
_IDLE_POLL_S = 1.0
"""Windows delivers no signal to a thread that waits for a lock, so it must wake up regularly."""


class Supervised(NamedTuple):
    """The program's exit status, 128 plus the number if a signal ended it, and whether it was told to stop."""

    status: int
    stopped: bool


def supervise(
    argv: Sequence[str],
    send: Send,
    spec: RunSpec,
    tail: Tail | None = None,
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Supervised:
    """Run the engine's program for a container until it ends, and keep the end of its output in `tail`, unless that is a terminal's.

    Raises EngineError if the program cannot be started.
    """
    events: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    with _signal_handlers(events.put, tty=spec.tty), _output(spec, tail) as (stdout, stderr):
        try:
            process = subprocess.Popen(
                argv,
                stdin=None if spec.interactive or spec.tty else subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=None if env is None else dict(env),
                pass_fds=tuple(pass_fds),
                **_own_group(spec.tty),
            )
        except OSError as error:
            raise EngineError(f"cannot start {argv[0]}: {error.strerror or error}", hint="Install it again.") from error
        threading.Thread(target=_report_end, args=(process, events), daemon=True).start()
        stopped = _SignalRelay(send, spec.stop_signal, spec.grace).run(events)
        status = process.wait()
    return Supervised(128 - status if status < 0 else status, stopped)


def _output(spec: RunSpec, tail: Tail | None) -> contextlib.AbstractContextManager[tuple[int | None, int | None]]:
    return contextlib.nullcontext((None, None)) if spec.tty or tail is None else passed_on(tail)


def send_with_program(*argv: str) -> Send:
    """Return a function that sends signals with a program. `{}` in `argv` stands for the signal's name."""

    def send(name: str) -> Callable[[], bool | None]:
        words = [name if word == "{}" else word for word in argv]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

        def arrived() -> bool | None:
            status = process.poll()
            return None if status is None else status == 0

        return arrived

    return send


class _SignalRelay:
    """Relays signals to the container until the program ends."""

    def __init__(self, send: Send, stop_signal: str, grace: float) -> None:
        self._send = send
        self._signal = stop_signal
        self._grace = grace
        self._arrived: Callable[[], bool | None] | None = None
        self._stopped_at: float | None = None
        self._killed = False

    def run(self, events: "queue.SimpleQueue[str | None]") -> bool:
        """Handle signal names from the queue until a None says that the program ended. Return whether it was told to stop."""
        while True:
            try:
                event = events.get(timeout=_IDLE_POLL_S if self._stopped_at is None else _POLL_S)
            except queue.Empty:
                self._check()
                continue
            if event is None:
                return self._stopped_at is not None
            if event in _FORWARDED:
                self._send(event)
            else:
                self._stop(event)

    def _stop(self, event: str) -> None:
        now = time.monotonic()
        if self._stopped_at is None:
            self._stopped_at = now
            self._start_sending("SIGKILL" if event == "SIGQUIT" else self._signal)
        elif now - self._stopped_at > _REPEAT_S:
            self._start_sending("SIGKILL")

    def _start_sending(self, name: str) -> None:
        self._killed = name == "SIGKILL"
        self._signal = name
        self._arrived = self._send(name)

    def _check(self) -> None:
        """Send a signal again that did not arrive, since the container was not there yet; kill after the grace period."""
        if self._stopped_at is None:
            return
        if not self._killed and time.monotonic() - self._stopped_at > self._grace:
            self._start_sending("SIGKILL")
        elif self._arrived is not None and (arrived := self._arrived()) is not None:
            self._arrived = None if arrived else self._send(self._signal)


def _report_end(process: "subprocess.Popen[bytes]", events: "queue.SimpleQueue[str | None]") -> None:
    process.wait()
    events.put(None)


def _own_group(tty: bool) -> dict[str, Any]:
    """Return Popen's arguments for a process group. A program on the terminal stays in the terminal's: there Ctrl-C is a key."""
    if tty:
        return {}
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined,unused-ignore]
    return {"process_group": 0}


@contextlib.contextmanager
def _signal_handlers(put: Callable[[str], None], *, tty: bool) -> Iterator[None]:
    """Put the names of signals during the block. Signals that are ignored, as under nohup, stay ignored."""
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        put(signal.Signals(number).name)

    for name in (*_STOPPING, *_FORWARDED):
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) == signal.SIG_IGN:
            continue
        before[number] = signal.signal(number, (lambda *_: None) if tty and name in ("SIGINT", "SIGQUIT") else handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
