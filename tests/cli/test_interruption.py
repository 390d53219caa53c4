"""Signals: exit codes, threads that hang, and ignored signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from support.process import HANG_S, ended

from shipwheel.cleanup import scratch
from shipwheel.cli.interruption import CLEANUP_TIMEOUT_S, Interruption

HANGING = """
import os, sys, threading, time
from shipwheel.cli.interruption import Interruption

interruption = Interruption(lambda text: print(text, file=sys.stderr))
interruption.register(lambda: 1 / 0)
interruption.register(lambda: os.write(1, b"stopped\\n"))
with interruption.handled():
    thread = threading.Thread(target=time.sleep, args=(3600,))
    thread.start()
    try:
        print("ready", flush=True)
        thread.join()
    except KeyboardInterrupt:
        interruption.report()
        sys.exit(interruption.status)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_exits_although_a_thread_hangs(number: signal.Signals) -> None:
    argv = [sys.executable, "-c", HANGING]
    with ended(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=HANG_S)
    assert (process.returncode, out) == (128 + number, "stopped\n")
    assert err.count("Interrupted.") == 1


STUCK = """
import sys, threading, time
from pathlib import Path
from shipwheel.cli.interruption import Interruption
from shipwheel.cleanup.scratch import removed_at_the_end, scratch_directory

def build():
    with scratch_directory() as place, removed_at_the_end(Path(sys.argv[1])):
        (place / "closed").mkdir()
        (place / "closed" / "file").write_text("")
        (place / "closed").chmod(0)
        print(place, flush=True)
        time.sleep(3600)

interruption = Interruption(lambda text: print(text, file=sys.stderr))
interruption.allow(0.05)
with interruption.handled():
    threading.Thread(target=build).start()
    try:
        time.sleep(3600)
    except KeyboardInterrupt:
        sys.exit(interruption.status)
"""


def test_a_build_that_does_not_end_in_time_leaves_no_directory(tmp_path: Path) -> None:
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    argv = [sys.executable, "-c", STUCK, str(exchange)]
    with ended(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        place = Path(process.stdout.readline().strip())
        assert place.is_dir() and place.name.startswith("shipwheel-")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=HANG_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert not place.exists() and not exchange.exists()


def test_a_directory_that_cannot_be_removed_does_not_keep_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    (tmp_path / "other").mkdir()
    (tmp_path / "deep").mkdir()
    removals = {tmp_path / "deep": Mock(side_effect=RecursionError), tmp_path / "other": (tmp_path / "other").rmdir}
    monkeypatch.setattr(scratch, "_removals", removals)
    monkeypatch.setattr(scratch, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(os, "_exit", exits.append)
    Interruption(print)._exit()
    assert (exits, (tmp_path / "other").exists()) == ([130], False)
    monkeypatch.setattr(scratch, "remove_scratch", Mock(side_effect=MemoryError))
    Interruption(print)._exit()
    assert exits == [130, 130]


def test_a_second_signal_exits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    now = 1000.0
    monkeypatch.setattr(os, "_exit", exits.append)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(threading, "Timer", lambda *_: Mock())
    interruption = Interruption(print)
    with pytest.raises(KeyboardInterrupt), interruption.handled():
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    assert not exits, "the same signal, passed on by the parent process"
    now += CLEANUP_TIMEOUT_S
    signal.raise_signal(signal.SIGINT)
    assert exits == [130]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_restores_the_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruption(print).handled():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_leaves_ignored_signals_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption(print).handled():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
