"""A container in the foreground: its program is waited for, and signals that come meanwhile go to the container.

The program is in a process group of its own, so that a terminal's Ctrl-C reaches us alone: what reaches the container is then the
same for every engine, its stop signal, and after the grace period the kill.
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
from typing import Any

from shipwheel.errors import EngineError

__all__ = ["by_program", "supervise"]

Send = Callable[[str], Callable[[], bool | None]]
"""Begins to send a signal (`SIGTERM`) to the container; what it returns says whether it got there, None while that is not known."""

_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
_PASSED_ON = ("SIGUSR1", "SIGUSR2")

_REPEATED = 0.5
"""Seconds within which a signal that comes again is the same one, as for the rest of the command line."""

_TICK = 0.1
_IDLE = 1.0
"""Windows delivers no signal to a thread that waits for a lock: it has to look up now and then."""


def supervise(
    argv: Sequence[str],
    send: Send,
    *,
    stop_signal: str,
    grace: float,
    env: Mapping[str, str] | None = None,
    interactive: bool = False,
    tty: bool = False,
    pass_fds: Sequence[int] = (),
    started: Callable[["subprocess.Popen[bytes]"], None] = lambda _process: None,
) -> tuple[int, bool]:
    """Runs the program until it ends: its exit status, 128 and the number if a signal ended it, and whether it was asked to stop.

    `grace` is in seconds. `started` is called with the process. Raises EngineError if the program cannot be started.
    """
    events: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    with _handled(events.put, tty=tty):
        try:
            process = subprocess.Popen(
                argv,
                stdin=None if interactive or tty else subprocess.DEVNULL,
                env=None if env is None else dict(env),
                pass_fds=tuple(pass_fds),
                **_own_group(tty),
            )
        except OSError as error:
            raise EngineError(f"{argv[0]} cannot be started: {error.strerror or error}", hint="Install it again.") from error
        started(process)
        threading.Thread(target=_tell_end, args=(process, events), daemon=True).start()
        asked = _Watch(send, stop_signal, grace).until_end(events)
        status = process.wait()
    return (128 - status if status < 0 else status), asked


def by_program(*argv: str) -> Send:
    """Sends signals with a program that takes the signal's name as its last-but-one word: `docker kill --signal NAME CONTAINER`.

    `argv` has `{}` where the name goes.
    """

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


class _Watch:
    """What is done about signals until the program ends."""

    def __init__(self, send: Send, stop_signal: str, grace: float) -> None:
        self._send = send
        self._signal = stop_signal
        self._grace = grace
        self._arrived: Callable[[], bool | None] | None = None
        self._since: float | None = None
        self._killed = False

    def until_end(self, events: "queue.SimpleQueue[str | None]") -> bool:
        """Whether the container was asked to stop before the program ended."""
        while True:
            try:
                event = events.get(timeout=_IDLE if self._since is None else _TICK)
            except queue.Empty:
                self._look()
                continue
            if event is None:
                return self._since is not None
            if event in _PASSED_ON:
                self._send(event)
            else:
                self._stop(event)

    def _stop(self, event: str) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self._begin("SIGKILL" if event == "SIGQUIT" else self._signal)
        elif now - self._since > _REPEATED:
            self._begin("SIGKILL")

    def _begin(self, name: str) -> None:
        self._killed = name == "SIGKILL"
        self._signal = name
        self._arrived = self._send(name)

    def _look(self) -> None:
        """A signal that did not arrive, since the container was not there yet, is sent again; after the grace period comes the kill."""
        if self._since is None:
            return
        if not self._killed and time.monotonic() - self._since > self._grace:
            self._begin("SIGKILL")
        elif self._arrived is not None and (arrived := self._arrived()) is not None:
            self._arrived = None if arrived else self._send(self._signal)


def _tell_end(process: "subprocess.Popen[bytes]", events: "queue.SimpleQueue[str | None]") -> None:
    process.wait()
    events.put(None)


def _own_group(tty: bool) -> dict[str, Any]:
    """A program that works the terminal has to be in the terminal's group; there Ctrl-C is a key and no signal."""
    if tty:
        return {}
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined,unused-ignore]
    return {"process_group": 0}


@contextlib.contextmanager
def _handled(put: Callable[[str], None], *, tty: bool) -> Iterator[None]:
    """Puts the names of signals for the time of the block. Those that are ignored, as by nohup, stay so."""
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        put(signal.Signals(number).name)

    for name in (*_STOPPING, *_PASSED_ON):
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) == signal.SIG_IGN:
            continue
        before[number] = signal.signal(number, (lambda *_: None) if tty and name in ("SIGINT", "SIGQUIT") else handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
