"""Ending a program: what it started ends with it, also where it tried to get away."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.process import has_ended

from shipwheel.kill import kill_with_children

_CHILD = "import os, time; open('child.new', 'w').write(str(os.getpid())); os.rename('child.new', 'child'); time.sleep(600)"
_PROGRAM = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-Sc', sys.argv[1]], start_new_session=True); time.sleep(600)"


def _started(folder: Path) -> tuple["subprocess.Popen[bytes]", int]:
    program = subprocess.Popen([sys.executable, "-Sc", _PROGRAM, _CHILD], cwd=folder, start_new_session=True)
    while not (folder / "child").exists():
        time.sleep(0.01)
    return program, int((folder / "child").read_text())


def test_a_child_in_a_group_of_its_own_ends_too(tmp_path: Path) -> None:
    program, child = _started(tmp_path)
    kill_with_children(program)
    assert program.returncode == -signal.SIGKILL
    assert has_ended(child)


def test_a_program_that_has_ended_leaves_nothing_to_do(tmp_path: Path) -> None:
    program, child = _started(tmp_path)
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    kill_with_children(program)
    os.kill(child, signal.SIGKILL)
    assert program.returncode == -signal.SIGKILL
