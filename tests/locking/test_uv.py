"""Running uv: its output, interruptions, its environment, and how interpreters are found."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from support.process import until

from shipwheel.locking import process, uv


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Replace uv by a Python program."""
    program = tmp_path / "uv"
    program.write_text(f"#!{sys.executable}\n{text}")
    program.chmod(0o755)
    monkeypatch.setattr(uv, "_binary", lambda: str(program))


def test_runs_uv() -> None:
    finished = uv.run(["--version"])
    assert finished.code == 0 and finished.stdout.split()[1] == uv.version()


def test_reads_both_pipes_while_uv_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "import sys\nfor _ in range(300):\n  sys.stdout.write('o' * 4096)\n  sys.stderr.write('e' * 4096)\n")
    finished = uv.run([])
    assert (len(finished.stdout), len(finished.stderr)) == (300 * 4096, 300 * 4096)


CHILD = "import pathlib, sys, time\nfor _ in range(3000):\n    pathlib.Path(sys.argv[1]).touch()\n    time.sleep(0.02)"
SLEEPER = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {CHILD!r}, sys.argv[1]])
time.sleep(3600)
"""


def test_a_timeout_ends_uv_and_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, SLEEPER)
    beat = tmp_path / "beat"
    assert uv.run([str(beat)], timeout=1.0).timed_out
    _assert_still(beat)


def test_an_interruption_ends_uv_and_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, SLEEPER)
    beat = tmp_path / "beat"

    def waits() -> bool:
        """Return whether uv.run waits for the process: an earlier signal would reach subprocess.Popen."""
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None and frame.f_code is not process._wait.__code__:
            frame = frame.f_back
        return frame is not None

    def interrupt() -> None:
        until(lambda: beat.exists() and waits())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        uv.run([str(beat)])
    thread.join()
    _assert_still(beat)


def _assert_still(beat: Path) -> None:
    """Assert that no child still touches the file."""
    beat.unlink(missing_ok=True)
    time.sleep(0.2)
    assert not beat.exists()


def test_an_event_ends_a_run_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, SLEEPER)
    beat, stop = tmp_path / "beat", threading.Event()
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(uv.run([str(beat)], stop=stop).timed_out))
    thread.start()
    until(beat.exists)
    stop.set()
    thread.join()
    assert found == [True]
    _assert_still(beat)


def test_a_run_ends_by_itself_if_its_event_is_never_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "print('done')")
    assert uv.run([], stop=threading.Event()) == process.Finished(0, "done\n", "")


def test_removes_the_variables_of_other_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "import json, os, sys\njson.dump(dict(os.environ), sys.stdout)")
    removed = [
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "PYTHONHOME",
        "UV_PROJECT",
        "UV_EXCLUDE_NEWER",
        "UV_FROZEN",
        "UV_PYTHON",
        "UV_RESOLUTION",
        "CONDA_PREFIX",
        "SHIPWHEEL_REGISTRY_PASSWORD",
        "DOCKER_AUTH_CONFIG",
        "AWS_SECRET_ACCESS_KEY",
        "CI_JOB_TOKEN",
        "UV_PUBLISH_TOKEN",
        "HATCH_INDEX_AUTH",
    ]
    # An interpreter with PYTHONHOME would not start, so the test fails early if that variable is not removed.
    for name in removed:
        monkeypatch.setenv(name, "x")
    passed_on = {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:1/",
        "HTTPS_PROXY": "http://127.0.0.1:2",
        "UV_OFFLINE": "1",
        "UV_PYTHON_INSTALL_DIR": "/p",
        "UV_INDEX_CORP_PASSWORD": "p",
        "LC_ALL": "C.UTF-8",
        "SSH_AUTH_SOCK": "/s",
        "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_AUTHLIB": "1.0",
        "NAMED_IN_A_URL": "n",
    }
    (tmp_path / "pyproject.toml").write_text('dependencies = ["a @ https://${NAMED_IN_A_URL}@host.example/a.whl"]\n')
    for name, value in passed_on.items():
        monkeypatch.setenv(name, value)
    import json

    seen = json.loads(uv.run([], cwd=tmp_path).stdout)
    assert not seen.keys() & set(removed)
    assert passed_on.items() <= seen.items()


@pytest.mark.parametrize(
    ("stderr", "text"),
    [
        ("warning: x\n  y\nUsing CPython 3.11\nerror: it failed\n  cause: this\n", "it failed\n  cause: this"),
        ("error: printed by a build\nerror: it failed\n", "it failed"),
        ("\x1b[31msomething else\x1b[0m\n", "something else"),
        ("", "uv ended with exit code 3"),
    ],
)
def test_an_error_is_uvs_own_without_progress_and_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, text: str) -> None:
    stand_in(tmp_path, monkeypatch, f"import sys\nsys.stderr.write({stderr!r})\nsys.exit(3)")
    assert uv.UvFailed(uv.run([])).failure.text == text


def test_finds_the_running_python() -> None:
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = uv.find_python(minor)
    assert found is not None and found.is_file()


def test_finds_no_python_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert uv.find_python("3.99") is None


def test_the_usable_python_is_that_of_the_environment_and_still_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "_COMMON_FOLDERS", ())
    stand_in(tmp_path, monkeypatch, "raise SystemExit(2)")
    assert uv.usable_python("3.1") == sys.executable
    program = tmp_path / "bin" / "python3.1"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho cpython@3.1 {program}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert uv.usable_python("3.1") == str(program)
    program.unlink()
    assert uv.usable_python("3.1") == sys.executable


def test_gives_up_a_download_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "import sys, time\ntime.sleep(600 if 'install' in sys.argv else 0)\nsys.exit(1)")
    assert uv.find_python("3.99", timeout=1.0) is None


def test_starts_no_interpreter_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    answers = {"broken": "exit 1", "lies": f"echo cpython@3.97 {sys.executable}", "pypy": "echo pypy@3.99 /bin/sh"}
    answers["real"] = f"echo cpython@3.99 {sys.executable}"
    for name, answer in answers.items():
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        for other in ("python", "python3", "python3.98"):
            (folders[-1] / other).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
        (folders[-1] / "python3.99").write_text(f"#!/bin/sh\n{answer}\n")
        for path in folders[-1].iterdir():
            path.chmod(0o755)
    (tmp_path / "broken" / "python3.96").write_text("#!/nonexistent/interpreter\n")
    (tmp_path / "broken" / "python3.96").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (*folders, "/usr/bin", "/bin"))))
    assert uv.local_python("3.99") == Path(sys.executable)
    assert uv.local_python("3.96") is None
    assert not (tmp_path / "started").exists()


def test_finds_a_python_in_a_common_folder_without_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "raise SystemExit('asked')")
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "python3.99").touch(mode=0o755)
    monkeypatch.setattr(uv, "_COMMON_FOLDERS", (str(tmp_path / "none"), str(tmp_path / "common")))
    assert uv.local_python("3.99") == tmp_path / "common" / "python3.99"
    assert uv.local_python("3.98") is None
