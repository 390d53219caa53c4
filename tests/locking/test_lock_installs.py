"""pip and uv install from shipwheel's pylock.toml the versions that shipwheel selects for the same machine."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import uv
from support.lock_requests import lock_request

from shipwheel.locking.make import make_lock
from shipwheel.locking.selection import select
from shipwheel.locking.target import Target
from shipwheel.platform import Platform

pytestmark = pytest.mark.online

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
REQUIREMENTS = "fastapi\nnumpy\nuvicorn[standard]\ncolorama; sys_platform == 'win32'\nlangdetect==1.0.9\n"


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pip_and_uv_install_the_selected_versions(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    lock = make_lock(lock_request(tmp_path, MINOR, (tmp_path / "requirements.txt",)))
    lock.write()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    glibc = tuple(int(part) for part in platform.libc_ver()[1].split("."))
    here = Target(Platform("linux", machine), platform.python_version(), (glibc[0], glibc[1]))
    wanted = {f"{item.name}=={item.version}" for item in select(lock, here).distributions}
    assert len(wanted) > 10 and "langdetect==1.0.9" in wanted

    output(uv.find_uv_bin(), "venv", "-q", "--seed", "--no-project", "--python", sys.executable, str(tmp_path / "venv"))
    python = str(tmp_path / "venv" / "bin" / "python")
    report = json.loads(output(python, "-m", "pip", "install", "-q", "--dry-run", "--report", "-", "-r", str(tmp_path / "pylock.toml")))
    by_pip = {f"{item['metadata']['name'].lower().replace('_', '-')}=={item['metadata']['version']}" for item in report["install"]}
    assert by_pip == wanted

    seeds = set(output(uv.find_uv_bin(), "pip", "freeze", "--python", python).split())
    output(uv.find_uv_bin(), "pip", "install", "-q", "--python", python, "-r", str(tmp_path / "pylock.toml"))
    assert set(output(uv.find_uv_bin(), "pip", "freeze", "--python", python).split()) - seeds == wanted
