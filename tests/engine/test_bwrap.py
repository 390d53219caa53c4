"""bubblewrap that is ended while it starts: its child has left the group by then, and does not yet end with it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_programs import Programs
from support.process import has_ended, interrupted_when

from shipwheel.engine.bwrap import Bwrap
from shipwheel.engine.bwrap_container import BwrapContainer, make_scratch
from shipwheel.engine.interface import RunSpec
from shipwheel.engine.local import Binds
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.platform import Platform

STARTING = """
if os.fork() == 0:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    open("{child}.new", "w").write(str(os.getpid()))
    os.rename("{child}.new", "{child}")
time.sleep(600)
"""
"""The first process of a namespace ignores what it has no handler for (pid_namespaces(7))."""


@pytest.fixture
def child(programs: Programs, tmp_path: Path) -> Iterator[Path]:
    """Put a bubblewrap that never gets on on PATH. Yield the file in which it writes the PID of its child."""
    path = tmp_path / "child"
    programs.add("bwrap", STARTING.format(child=path))
    yield path
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(path.read_text()), signal.SIGKILL)


def spec_of(tmp_path: Path) -> RunSpec:
    """Return the spec of a container."""
    (tmp_path / "root").mkdir()
    return RunSpec(str(tmp_path / "root"), ExecutionConfig(cmd=("app",)), Platform("linux", "amd64"), "app-1")


def test_an_interrupted_start_leaves_no_child(child: Path, tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    interrupted_when(child.exists, lambda: Bwrap("0.11.0").start(spec))
    assert has_ended(int(child.read_text()))


def test_an_interrupted_run_to_the_end_leaves_no_child(child: Path, tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    interrupted_when(child.exists, lambda: Bwrap("0.11.0").capture(spec, 600))
    assert has_ended(int(child.read_text()))


def test_a_signal_to_the_own_group_does_not_reach_a_run_to_the_end(programs: Programs, tmp_path: Path) -> None:
    programs.add("bwrap", "print(os.getpgid(0) == os.getpid())")
    assert Bwrap("0.11.0").capture(spec_of(tmp_path), 60).stdout == "True\n"


def test_a_container_that_has_ended_leaves_its_number_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _signal: killed.append(group))
    scratch = make_scratch()
    BwrapContainer(spec_of(tmp_path), process, process.pid, {}, scratch, Binds((), ())).remove()
    assert (killed, scratch.root.exists()) == ([], False)
