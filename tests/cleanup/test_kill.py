"""Ending a program: what it started ends with it, also where it tried to get away."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.process import has_ended, until

from shipwheel.cleanup.kill import kill_with_children

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


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_child_ends_where_there_are_no_handles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(_pid: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refused)
    program, child = _started(tmp_path)
    kill_with_children(program)
    until(lambda: has_ended(child))


def test_a_process_with_many_files_waits_for_children_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, most))
    open_handle = os.pidfd_open
    monkeypatch.setattr(os, "pidfd_open", lambda pid: fcntl.fcntl(open_handle(pid), fcntl.F_DUPFD, 1024))
    try:
        program, child = _started(tmp_path)
        kill_with_children(program)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
    assert has_ended(child)


def test_a_program_ends_whose_child_is_another_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, child = _started(tmp_path)
    kill = os.kill

    def refused(pid: int, number: int) -> None:
        kill(pid, number)
        if pid == child:
            raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    kill_with_children(program)
    assert program.returncode == -signal.SIGKILL
