"""What ends a command that is its container's first process: tried as the first process of a namespace."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shipwheel.files.entry import EntryType
from shipwheel.pipeline import generated

PLAIN = "import time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\nfinally:\n    print('cleaned up', flush=True)\n"
LOOP = "import asyncio\nasync def main():\n    print('up', flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())\n"
SERVER = """
import signal, time
ended = []
before = signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
print('up', flush=True)
while not ended:
    time.sleep(0.01)
signal.signal(signal.SIGTERM, before)
signal.raise_signal(signal.SIGTERM)
print('its own end', flush=True)
"""
FORKED = """
import os, signal, time
reading, writing = os.pipe()
child = os.fork()
if not child:
    os.write(writing, b'.')
    time.sleep(60)
    os._exit(3)
os.read(reading, 1)
os.kill(child, signal.SIGTERM)
print('child', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print('up', flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the files that images have in theirs."""
    root = tmp_path_factory.mktemp("image")
    version = ".".join(map(str, sys.version_info[:3]))
    for entry in generated.venv_files(version, str(Path(sys.base_prefix, "bin", "python3"))).files:
        path = root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.type is EntryType.FILE:
            assert isinstance(entry.content, bytes)
            path.write_bytes(entry.content)
        elif entry.type is EntryType.SYMLINK:
            path.symlink_to(entry.target)
    return root / "opt/venv/bin/python"


def _stopped(python: Path, program: str, *, first: bool = True) -> tuple[int, str]:
    """(exit status, output) of a program that is sent SIGTERM once it has said `up`."""
    isolated = ["unshare", "--pid", "--fork", "--kill-child", "--"] if first else []
    process = subprocess.Popen([*isolated, str(python), "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        said = ""
        while "up\n" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        target = process.pid if not first else int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        time.sleep(0.05)
        os.kill(target, signal.SIGTERM)
        rest = process.stdout.read()
    return process.returncode, said + rest


needs_namespaces = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and util-linux")


@needs_namespaces
@pytest.mark.parametrize(
    ("program", "status", "said"),
    [(PLAIN, 143, "up\ncleaned up\n"), (LOOP, 143, "up\n"), (SERVER, 0, "up\nits own end\n"), (FORKED, 143, "child -15\nup\n")],
    ids=["plain", "event loop", "server that raises it again", "forked"],
)
def test_the_first_process_ends(python: Path, program: str, status: int, said: str) -> None:
    assert _stopped(python, program) == (status, said)


def test_any_other_process_is_left_alone(python: Path) -> None:
    assert _stopped(python, PLAIN, first=False) == (-signal.SIGTERM, "up\n")
    asked = "import sys, signal; print(sorted(name for name in sys.modules if 'shipwheel' in name), signal.getsignal(15) == signal.SIG_DFL)"
    done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"
