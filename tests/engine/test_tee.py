"""The output of a program in the foreground: it reaches our streams, and its end is kept."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import subprocess, sys
from shipwheel.engine.tee import Tail, passed_on
tail = Tail()
with passed_on(tail) as (out, err):
    subprocess.run([sys.executable, "-c", sys.argv[1]], stdout=out, stderr=err)
with open(sys.argv[2], "w") as file:
    file.write(tail.text())
"""
PROGRAM = "import os\nfor n in range(3): os.write(1, f'out {n}\\n'.encode()); os.write(2, f'err {n}\\n'.encode())"


@pytest.fixture
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "tail"


def test_each_stream_reaches_its_own(kept: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, PROGRAM, kept], capture_output=True, text=True, check=True)
    assert done.stdout == "out 0\nout 1\nout 2\n"
    assert done.stderr == "err 0\nerr 1\nerr 2\n"
    assert sorted(kept.read_text().splitlines()) == ["err 0", "err 1", "err 2", "out 0", "out 1", "out 2"]


def test_lines_for_one_file_keep_their_order(kept: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, PROGRAM, kept], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    assert done.stdout == "out 0\nerr 0\nout 1\nerr 1\nout 2\nerr 2\n"
    assert kept.read_text() == done.stdout


def test_keeps_the_end_of_much_and_passes_on_all(kept: Path) -> None:
    program = "import sys; sys.stdout.write('x' * 300_000 + 'end')"
    done = subprocess.run([sys.executable, "-c", SCRIPT, program, kept], capture_output=True, text=True, check=True)
    assert done.stdout == "x" * 300_000 + "end"
    assert kept.read_text() == "x" * (65536 - 3) + "end"


def test_a_closed_stream_ends_the_programs(kept: Path) -> None:
    program = "while True: print('x' * 1000)"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, program, kept], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1000)
    process.stdout.close()
    assert b"BrokenPipeError" in process.communicate(timeout=120)[1]


def test_does_not_wait_for_what_a_program_leaves_behind(kept: Path) -> None:
    program = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"
    subprocess.run([sys.executable, "-c", SCRIPT, program, kept], stdout=subprocess.DEVNULL, timeout=300, check=True)
    # It is there still.
    os.kill(int(kept.read_text()), signal.SIGKILL)
