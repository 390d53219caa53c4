"""The comparison of the machine before and after the tests, tried in a sandbox, whose links, mounts and groups are its own."""

import os
import subprocess
import sys
from pathlib import Path

from support.command import ROOT
from support.engines import Sandbox

PROGRAM = """
import os, pathlib, subprocess, sys
sys.path.insert(0, sys.argv[1])
from support.engines.sandbox import RUN
from support.machine import changes, look
subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
subprocess.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], check=True)
subprocess.run(["ip", "link", "add", "old0", "type", "bridge"], check=True)
before = look(pathlib.Path(sys.argv[2]))
name = f"shipwheel-{RUN}-x-1"
subprocess.run(["ip", "link", "add", "bridge0", "type", "bridge"], check=True)
subprocess.run(["ip", "link", "delete", "old0"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True)
for group in (name, f"{name}/inner", "docker", "shipwheel-other-y-2"):
    pathlib.Path("/sys/fs/cgroup", group).mkdir()
pathlib.Path(os.environ["TMPDIR"], name).mkdir()
for line in changes(before, look(pathlib.Path(sys.argv[2]))):
    print(line.replace(os.environ["TMPDIR"], "TMPDIR").replace(RUN, "RUN"))
"""


def test_finds_what_tests_leave(sandbox: Sandbox, tmp_path: Path) -> None:
    done = sandbox.run(["unshare", "--mount", sys.executable, "-c", PROGRAM, str(ROOT / "tests"), str(tmp_path)])
    assert done.stdout.splitlines() == [
        "links: bridge0 is left",
        "links: old0 is gone",
        "mounts: /mnt is left",
        "cgroups: /sys/fs/cgroup/docker is left",
        "cgroups: /sys/fs/cgroup/shipwheel-RUN-x-1 is left",
        "directories: TMPDIR/shipwheel-RUN-x-1 is left",
    ]


def test_a_run_that_leaves_something_says_so_and_fails(tmp_path: Path) -> None:
    program = tmp_path / "test_leaves.py"
    program.write_text(
        "import tempfile\nfrom support import machine\n\n"
        "def test_leaves_a_directory():\n    machine._ENDING_S = 0\n    tempfile.mkdtemp(prefix=machine._OURS)\n"
    )
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT / "tests"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(program)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the tests changed this machine" in done.stdout
    assert f"directories: {tmp_path}/shipwheel-" in done.stdout
    assert "1 passed" in done.stdout
