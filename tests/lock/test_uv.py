"""Running uv: pipes, interruption, its environment, and interpreters that cannot be had."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from shipwheel.lock import uv


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Something else in uv's place."""
    program = tmp_path / "uv"
    program.write_text(f"#!{sys.executable}\n{text}")
    program.chmod(0o755)
    monkeypatch.setattr(uv, "_binary", lambda: str(program))


def test_the_program_runs() -> None:
    finished = uv.run(["--version"])
    assert finished.code == 0 and finished.stdout.split()[1] == uv.version()


def test_both_pipes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "import sys\nfor _ in range(300):\n  sys.stdout.write('o' * 4096)\n  sys.stderr.write('e' * 4096)\n")
    finished = uv.run([])
    assert (len(finished.stdout), len(finished.stderr)) == (300 * 4096, 300 * 4096)


CHILD = "import pathlib, sys, time\nfor _ in range(3000):\n    pathlib.Path(sys.argv[1]).touch()\n    time.sleep(0.02)"
SLEEPER = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {CHILD!r}, sys.argv[1]])
time.sleep(60)
"""


def test_a_run_that_takes_too_long_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, SLEEPER)
    beat = tmp_path / "beat"
    assert uv.run([str(beat)], timeout=1.0).code == -9
    _assert_still(beat)


def test_an_interrupted_run_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, SLEEPER)
    beat = tmp_path / "beat"

    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while not beat.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        uv.run([str(beat)])
    thread.join()
    _assert_still(beat)


def _assert_still(beat: Path) -> None:
    """No child goes on touching the file."""
    beat.unlink(missing_ok=True)
    time.sleep(0.2)
    assert not beat.exists()


def test_a_run_in_a_thread_is_ended_by_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, SLEEPER)
    beat, stop = tmp_path / "beat", threading.Event()
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(uv.run([str(beat)], stop=stop).code))
    thread.start()
    while not beat.exists():
        time.sleep(0.01)
    stop.set()
    thread.join(30)
    assert found == [-9]
    _assert_still(beat)


def test_a_run_with_an_event_that_is_never_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "print('done')")
    assert uv.run([], stop=threading.Event()) == uv.Finished(0, "done\n", "")


def test_the_environment_of_another_project_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "import json, os, sys\njson.dump(dict(os.environ), sys.stdout)")
    away = [
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "PYTHONHOME",
        "UV_PROJECT",
        "UV_EXCLUDE_NEWER",
        "UV_FROZEN",
        "UV_PYTHON",
        "UV_RESOLUTION",
        "CONDA_PREFIX",
    ]
    # An interpreter with PYTHONHOME would not start, so that one is only looked at where it is taken out.
    for name in away:
        monkeypatch.setenv(name, "x")
    kept = {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:1/",
        "HTTPS_PROXY": "http://127.0.0.1:2",
        "UV_OFFLINE": "1",
        "UV_PYTHON_INSTALL_DIR": "/p",
    }
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    import json

    seen = json.loads(uv.run([]).stdout)
    assert not seen.keys() & set(away)
    assert kept.items() <= seen.items()


@pytest.mark.parametrize(
    ("stderr", "explanation"),
    [
        ("warning: x\n  y\nUsing CPython 3.11\nerror: it failed\n  cause: this\n", "it failed\n  cause: this"),
        ("Using CPython\n  × No solution found\n  ╰─▶ because\n", "  × No solution found\n  ╰─▶ because"),
        ("\x1b[31msomething else\x1b[0m\n", "something else"),
        ("", "uv ended with exit code 3"),
    ],
)
def test_the_explanation_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, explanation: str) -> None:
    stand_in(tmp_path, monkeypatch, f"import sys\nsys.stderr.write({stderr!r})\nsys.exit(3)")
    assert uv.UvFailed(uv.run([])).explanation == explanation


def test_an_interpreter_that_is_here() -> None:
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = uv.find_python(minor)
    assert found is not None and found.is_file()


def test_an_interpreter_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert uv.find_python("3.99") is None


def test_an_install_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "import sys, time\ntime.sleep(600 if 'install' in sys.argv else 0)\nsys.exit(1)")
    assert uv.find_python("3.99", timeout=1.0) is None


def test_an_interpreter_in_its_usual_place_is_found_without_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "raise SystemExit('asked')")
    (tmp_path / "usual").mkdir()
    (tmp_path / "usual" / "python3.99").touch(mode=0o755)
    monkeypatch.setattr(uv, "_USUAL", (str(tmp_path / "none"), str(tmp_path / "usual")))
    assert uv.local_python("3.99") == tmp_path / "usual" / "python3.99"
    assert uv.local_python("3.98") is None
