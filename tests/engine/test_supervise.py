"""Signals while a container runs: its stop signal, the kill after the grace period, and those that are forwarded."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.fake_programs import Programs
from support.process import HANG_S, ended, until

SCRIPT = """
import json, os, sys
from shipwheel.engine.interface import RunSpec
from shipwheel.engine.supervise import send_with_program, supervise
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.platform import Platform
argv, grace = json.loads(sys.argv[1]), float(sys.argv[2])
spec = RunSpec("image", ExecutionConfig(), Platform("linux", "amd64"), "name", grace=grace)
result = supervise(argv, send_with_program("fake", "kill", "--signal", "{}", "name"), spec)
print(json.dumps(result))
"""

CONTAINER = """
def handle(number, frame):
    report("ended", signal.Signals(number).name)
    os._exit(5)
signal.signal(signal.SIGTERM, handle if {listens} else signal.SIG_IGN)
signal.signal(signal.SIGUSR1, lambda *_: report("passed", "SIGUSR1"))
signal.signal(signal.SIGINT, lambda *_: report("interrupted", "yes"))
report("pid", str(os.getpid()))
while True: time.sleep(0.05)
"""

KILL = """
path = os.path.join(os.path.dirname(sys.argv[0]), "pid")
if {missing} > len(open(os.path.join(os.path.dirname(sys.argv[0]), "calls")).read().splitlines()) or not os.path.exists(path):
    sys.exit(1)
os.kill(int(open(path).read()), getattr(signal, args[2]))
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(programs: Programs) -> Iterator[Start]:
    """Starts a supervised container, in a process group of its own, and waits until it is up."""

    def begin(*, listens: bool = True, grace: float = 30, missing: int = 0) -> "subprocess.Popen[str]":
        programs.add("container", CONTAINER.format(listens=listens))
        programs.add("fake", KILL.format(missing=missing))
        argv = [sys.executable, "-c", SCRIPT, json.dumps([str(programs.folder / "container")]), str(grace)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True, env=programs.environment())
        running.enter_context(ended(process))
        until(lambda: programs.read("pid"), process)
        return process

    with ExitStack() as running:
        yield begin


def result_of(process: "subprocess.Popen[str]") -> object:
    output, _ = process.communicate(timeout=HANG_S)
    return json.loads(output)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_the_process_group_stops_the_container(start: Start, programs: Programs, name: str) -> None:
    process = start()
    os.killpg(process.pid, getattr(signal, name))
    assert result_of(process) == [5, True]
    assert programs.read("ended") == "SIGTERM"
    assert programs.read("interrupted") == "", "the group's signal does not reach the engine's program"


def test_kills_the_container_after_the_grace_period(start: Start, programs: Programs) -> None:
    process = start(listens=False, grace=0.3)
    os.kill(process.pid, signal.SIGINT)
    assert result_of(process) == [128 + signal.SIGKILL, True]
    assert [call[3] for call in programs.called("fake")] == ["SIGTERM", "SIGKILL"]


def test_a_second_ctrl_c_kills_the_container(start: Start, programs: Programs) -> None:
    process = start(listens=False, grace=600)
    os.kill(process.pid, signal.SIGINT)
    until(lambda: programs.called("fake"), process)
    time.sleep(0.6)  # A signal that arrives within half a second counts as the same one.
    os.kill(process.pid, signal.SIGINT)
    assert result_of(process) == [128 + signal.SIGKILL, True]


def test_sends_a_signal_again_until_the_container_exists(start: Start, programs: Programs) -> None:
    process = start(missing=4)
    os.kill(process.pid, signal.SIGTERM)
    assert result_of(process) == [5, True]
    assert len(programs.called("fake")) > 1


def test_forwards_other_signals(start: Start, programs: Programs) -> None:
    process = start()
    os.kill(process.pid, signal.SIGUSR1)
    until(lambda: programs.read("passed") == "SIGUSR1", process)
    os.kill(process.pid, signal.SIGTERM)
    assert result_of(process) == [5, True]


def test_returns_when_the_container_ends(programs: Programs, tmp_path: Path) -> None:
    programs.add("container", "sys.exit(3)")
    argv = [sys.executable, "-c", SCRIPT, json.dumps([str(programs.folder / "container")]), "1"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, env=programs.environment())
    assert json.loads(done.stdout) == [3, False]
