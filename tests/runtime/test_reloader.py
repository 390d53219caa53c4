"""The process in front of a command in development, run as it is in a container."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.process import ended

from shipwheel.runtime import reloader

SERVES = "import os, signal, time; print('started', os.getpid(), flush=True); signal.pause()"
IGNORES = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SERVES}"
FAILS = "print('started', 0, flush=True); raise SystemExit(3)"


@contextmanager
def running(program: str, grace: float = 5.0) -> Iterator["subprocess.Popen[str]"]:
    options = {"command": [sys.executable, "-c", program], "grace": grace, "stop": "SIGTERM"}
    argv = [sys.executable, "-I", "-S", "-c", Path(reloader.__file__).read_text(), json.dumps(options)]
    with ended(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) as process:
        try:
            yield process
        finally:
            # Its commands have sessions of their own. There is no such file of one that has ended and was waited for.
            with suppress(FileNotFoundError):
                for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)


def started(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    word, _, number = process.stdout.readline().partition(" ")
    assert word == "started"
    return int(number)


@pytest.mark.parametrize(("program", "grace"), [(SERVES, 5.0), (IGNORES, 0.05)])
def test_starts_again_on_a_signal(program: str, grace: float) -> None:
    with running(program, grace) as process:
        first = started(process)
        process.send_signal(reloader.RESTART)
        assert started(process) != first
        assert not Path(f"/proc/{first}").exists()


def test_ends_with_its_command() -> None:
    with running(SERVES) as process:
        number = started(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
        assert not Path(f"/proc/{number}").exists()


def test_outlives_a_command_that_fails() -> None:
    with running(FAILS) as process:
        started(process)
        assert process.stderr is not None
        assert "ended with status 3; saving a file starts it again" in process.stderr.readline()
        process.send_signal(reloader.RESTART)
        started(process)


def test_starts_what_has_ended_and_nothing_else() -> None:
    with running(FAILS) as process:
        started(process)
        assert process.stderr is not None
        assert "ended with status 3" in process.stderr.readline()
        process.send_signal(reloader.START)
        started(process)
    with running(SERVES) as process:
        first = started(process)
        process.send_signal(reloader.START)
        assert Path(f"/proc/{first}").exists()
        process.send_signal(reloader.RESTART)
        assert started(process) != first, "the next line is that of the restart"


def test_outlives_a_command_that_cannot_start() -> None:
    options = {"command": ["/nowhere"], "grace": 1, "stop": "SIGTERM"}
    argv = [sys.executable, "-I", "-S", "-c", Path(reloader.__file__).read_text(), json.dumps(options)]
    with ended(subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)) as process:
        assert process.stderr is not None
        assert "cannot start /nowhere" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 128 + signal.SIGINT


def test_survives_a_signal_that_comes_too_early() -> None:
    with running(SERVES) as process:
        process.send_signal(reloader.RESTART)
        number = started(process)
        process.send_signal(reloader.RESTART)
        assert started(process) != number


def test_what_is_saved_while_a_command_ends_is_read_by_the_next_start() -> None:
    thread = threading.get_ident()
    pending: list[bool] = []

    class Recorded(reloader.Reloader):
        def start(self) -> None:
            pending.append(reloader.RESTART in signal.sigpending())
            signal.pthread_kill(thread, reloader.RESTART if len(pending) == 1 else signal.SIGTERM)

        def end(self, number: int, grace: float) -> None:
            signal.pthread_kill(thread, reloader.RESTART)

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        assert Recorded([], 1.0).run() == 128 + signal.SIGTERM
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert pending == [False, False], "started twice, and the second time with nothing left to do"
