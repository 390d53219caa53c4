"""`shipwheel dev` while somebody adds a requirement: a new lock, one more layer, and another container, without a word from the person."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import environment
from support.engines import wait_until
from support.process import HANG_S
from support.programs import needs_mirror
from support.project_tree import written

pytestmark = [pytest.mark.online, needs_mirror]

SETTINGS = """
[project]
name = "jobs"
version = "1.0"
requires-python = ">=3.11"
dependencies = []

[tool.shipwheel]
command = ["python", "jobs.py"]
"""
JOBS = """
import importlib.util, time
print("humanize:", importlib.util.find_spec("humanize") is not None, flush=True)
time.sleep(600)
"""


def test_a_requirement_that_is_added_is_in_the_next_container(tmp_path: Path) -> None:
    root = written(tmp_path / "jobs", {"pyproject.toml": SETTINGS, "jobs.py": JOBS})
    command = [sys.executable, "-m", "shipwheel", "dev", str(root), "--engine", "bwrap"]
    out, errors = tmp_path / "out", tmp_path / "err"
    with out.open("w") as output, errors.open("w") as messages:
        run = subprocess.Popen(command, env=environment(), stdout=output, stderr=messages, start_new_session=True)
    try:
        wait_until(lambda: "humanize: False" in out.read_text() or run.poll() is not None, "the first start", HANG_S)
        assert run.poll() is None, errors.read_text()
        (root / "pyproject.toml").write_text(SETTINGS.replace("dependencies = []", 'dependencies = ["humanize"]'))
        wait_until(lambda: "humanize: True" in out.read_text() or run.poll() is not None, "the start with the package", HANG_S)
        assert "the image is another one: the containers are replaced" in errors.read_text()
        run.send_signal(signal.SIGINT)
        assert run.wait(HANG_S) == 0, errors.read_text()
    finally:
        run.kill()
    assert 'name = "humanize"' in (root / "pylock.toml").read_text()
