"""The launcher in a process of its own, on this interpreter and the oldest that an image may have."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.process import HANG_S, ended, until
from support.programs import needs_root

from shipwheel.container.venv import VENV
from shipwheel.files.entry import EntryType, FileEntry
from shipwheel.pipeline.app_source import AppSource, without_linked
from shipwheel.pipeline.generated import Generated, launcher_command, launcher_files, venv_files, volume_directories
from shipwheel.project.app_tree import list_app
from shipwheel.runtime import launcher as module


def interpreters() -> list[str]:
    """Return this interpreter, and Python 3.9 where the machine has it."""
    found = [sys.executable]
    named = [shutil.which("python3.9") or "", "/usr/bin/python3.9"]
    named += [str(path) for path in sorted(Path("~/.pyenv/versions").expanduser().glob("3.9.*/bin/python3.9"))]
    for path in filter(None, named):
        if Path(path).exists() and not subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode:
            return [*found, path]
    return found


def text_of(source: Generated, path: str) -> str:
    entry = next(entry for entry in source.files if entry.path == path)
    assert isinstance(entry.content, bytes)
    return entry.content.decode()


@dataclass
class Volume:
    """A volume, and the launcher that prepares it."""

    folder: Path
    python: str
    running: ExitStack
    steps: list[list[str]] = field(default_factory=list)
    every_start: list[list[str]] = field(default_factory=list)
    stop_signal: str = "SIGTERM"
    workers_variable: str = ""

    @property
    def marks(self) -> Path:
        return self.folder / "volume" / "marks"

    @property
    def log(self) -> list[str]:
        """The names of the steps that ran, in order."""
        path = self.folder / "log"
        return path.read_text().split() if path.exists() else []

    def step(self, name: str, then: str = "") -> list[str]:
        """Return a step that logs its name, then runs Python code."""
        code = f"import os, signal, sys, time\nopen({str(self.folder / 'log')!r}, 'a').write({name!r} + ' ')\n{then}"
        return [self.python, "-S", "-c", code]

    def start(self, *command: str, session: bool = False) -> "subprocess.Popen[str]":
        source = launcher_files(
            self.steps, str(self.marks), self.every_start, stop_signal=self.stop_signal, workers_variable=self.workers_variable
        )
        settings = self.folder / "launch.json"
        settings.write_text(text_of(source, "opt/shipwheel/launch.json"))
        program = self.folder / "launcher.py"
        text = text_of(source, "opt/shipwheel/launcher.py")
        assert text.count("/opt/shipwheel/launch.json") == 1
        program.write_text(text.replace("/opt/shipwheel/launch.json", str(settings)))
        argv = [*launcher_command(self.python)[:-1], str(program), *command]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=session)
        return self.running.enter_context(ended(process))

    def run(self, *command: str) -> tuple[int, str, str]:
        """Start the launcher and return its (status, standard output, standard error)."""
        process = self.start(*(command or ("echo", "started")))
        out, error = process.communicate(timeout=HANG_S)
        return process.returncode, out, error


@pytest.fixture(params=interpreters())
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Volume]:
    with ExitStack() as running:
        yield Volume(tmp_path, request.param, running)


def open_files(pid: int) -> list[Path]:
    """Return the files that a process has open."""
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(path.readlink())
    return found


def test_steps_run_once(volume: Volume) -> None:
    volume.steps = [volume.step("a"), volume.step("b")]
    status, out, error = volume.run()
    assert (status, out) == (0, "started\n")
    assert error.count("first start") == 2
    assert volume.run() == (0, "started\n", "")
    assert volume.log == ["a", "b"]


def test_every_start_steps_run_each_time(volume: Volume) -> None:
    volume.steps = [volume.step("a"), volume.step("b"), volume.step("c")]
    volume.every_start = [volume.steps[1]]
    assert volume.run()[:2] == (0, "started\n")
    status, out, error = volume.run()
    assert (status, out, error.count("every start"), error.count("first start")) == (0, "started\n", 1, 0)
    assert volume.log == ["a", "b", "c", "b"]
    volume.steps[1] = volume.every_start[0] = volume.step("b", "sys.exit(3)")
    assert (volume.run()[0], volume.run()[0]) == (3, 3)


def test_runs_the_command_without_steps(volume: Volume) -> None:
    assert volume.run() == (0, "started\n", "")


def test_stops_at_a_failing_step_and_repeats_it(volume: Volume) -> None:
    flag = volume.folder / "flag"
    volume.steps = [volume.step("a"), volume.step("b", f"sys.exit(0 if os.path.exists({str(flag)!r}) else 7)"), volume.step("c")]
    status, out, error = volume.run()
    assert (status, out) == (7, "")
    assert "failed with status 7" in error
    assert volume.log == ["a", "b"]
    flag.touch()
    assert volume.run()[:2] == (0, "started\n")
    assert volume.log == ["a", "b", "b", "c"]


def test_reports_the_signal_that_killed_a_step(volume: Volume) -> None:
    volume.steps = [volume.step("a", "os.kill(os.getpid(), signal.SIGKILL)")]
    assert volume.run()[0] == 128 + signal.SIGKILL


def test_continues_after_it_was_killed_in_a_step(volume: Volume) -> None:
    slow = volume.folder / "slow"
    slow.touch()
    volume.steps = [volume.step("a"), volume.step("b", f"time.sleep(60 if os.path.exists({str(slow)!r}) else 0)"), volume.step("c")]
    process = volume.start("echo", "started", session=True)
    until(lambda: volume.log == ["a", "b"])
    os.killpg(process.pid, signal.SIGKILL)
    assert process.communicate(timeout=HANG_S)[0] == ""
    slow.unlink()
    assert volume.run()[:2] == (0, "started\n")
    assert volume.log == ["a", "b", "b", "c"]


def test_two_launchers_on_one_volume_run_each_step_once(volume: Volume) -> None:
    volume.steps = [volume.step("a", "time.sleep(0.5)"), volume.step("b", "time.sleep(0.2)")]
    both = [volume.start("echo", "started") for _ in range(2)]
    assert [(process.communicate(timeout=HANG_S)[0], process.returncode) for process in both] == [("started\n", 0)] * 2
    assert volume.log == ["a", "b"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_forwards_a_signal_to_the_step(volume: Volume, number: signal.Signals) -> None:
    assert_forwards(volume, number)


@pytest.mark.parametrize("number", [signal.SIGWINCH, signal.SIGUSR1, signal.SIGRTMIN + 3])
def test_forwards_the_stop_signal_of_the_image_to_the_step(volume: Volume, number: int) -> None:
    volume.stop_signal = str(int(number))
    assert_forwards(volume, number)


def assert_forwards(volume: Volume, number: int) -> None:
    caught = f"signal.signal({int(number)}, lambda *_: (open({str(volume.folder / 'log')!r}, 'a').write('caught '), sys.exit(0)))"
    volume.steps = [volume.step("a", f"{caught}\nopen({str(volume.folder / 'ready')!r}, 'w').close()\ntime.sleep(60)"), volume.step("b")]
    process = volume.start("echo", "started")
    until((volume.folder / "ready").exists)
    process.send_signal(number)
    out, _ = process.communicate(timeout=HANG_S)
    assert (process.returncode, out) == (128 + number, "")
    assert volume.log == ["a", "caught"]
    assert [path.name for path in volume.marks.iterdir()] == ["lock"], "the step has no mark"


def test_a_signal_ends_a_launcher_that_waits_for_the_lock(volume: Volume) -> None:
    volume.steps = [volume.step("a", "time.sleep(60)")]
    first = volume.start("true")
    until(lambda: volume.log == ["a"])
    second = volume.start("true")
    until(lambda: any(path.name == "lock" for path in open_files(second.pid)))
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=HANG_S)
    assert second.returncode == 128 + signal.SIGTERM
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=HANG_S)
    assert volume.log == ["a"]


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "odd\n"}, None),
        ({"cpu.max": "1 0\n"}, None),
        ({}, None),
    ],
)
def test_reads_the_limit_of_cpus(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert module.cpu_limit(tmp_path) == limit


@pytest.mark.parametrize(
    ("given", "limit", "found"),
    [
        ({}, 1, "1"),
        ({}, None, None),
        ({"WEB_CONCURRENCY": "3"}, 1, "3"),
        ({"WEB_CONCURRENCY": "3"}, None, "3"),
        ({"WEB_CONCURRENCY": "3", "GRANIAN_WORKERS": "4"}, 1, "4"),
    ],
)
def test_the_user_s_number_of_processes_wins(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], limit: int | None, found: str | None
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    monkeypatch.setattr(module, "cpu_limit", lambda: limit)
    module.set_workers("GRANIAN_WORKERS")
    assert os.environ.get("GRANIAN_WORKERS") == found


def test_tells_the_server_how_many_processes_to_start(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    volume.workers_variable = "UWSGI_PROCESSES"
    monkeypatch.setenv("WEB_CONCURRENCY", "7")
    status, out, _ = volume.run(volume.python, "-c", "import os; print(os.environ['UWSGI_PROCESSES'])")
    assert (status, out) == (0, "7\n")


def test_changed_steps_run_again(volume: Volume) -> None:
    volume.steps = [volume.step("a"), volume.step("b"), volume.step("c")]
    volume.run()
    volume.steps[1] = volume.step("B")
    volume.run()
    assert volume.log == ["a", "b", "c", "B", "c"]
    volume.steps.append(volume.step("d"))
    volume.run()
    assert volume.log == ["a", "b", "c", "B", "c", "d"]


def test_reports_a_volume_that_is_not_writable(volume: Volume) -> None:
    (volume.folder / "volume").write_text("a file where the directory would be")
    volume.steps = [volume.step("a")]
    status, out, error = volume.run()
    assert (status, out) == (1, "")
    assert f"make it writable for user {os.getuid()}" in error
    assert "Traceback" not in error
    assert volume.log == []


@needs_root
def test_a_prepared_volume_may_be_read_only(volume: Volume) -> None:
    volume.steps = [volume.step("a")]
    volume.run()
    place = str(volume.folder / "volume")
    subprocess.run(["mount", "--bind", "-o", "ro", place, place], check=True)
    try:
        assert volume.run() == (0, "started\n", "")
        volume.steps = [volume.step("b")]
        status, _, error = volume.run()
        assert (status, volume.log) == (1, ["a"])
        assert "make it writable" in error
    finally:
        subprocess.run(["umount", place], check=True)


def test_reports_a_step_without_its_program(volume: Volume) -> None:
    volume.steps = [["no-such-program", "init"]]
    status, _, error = volume.run()
    assert status == 127
    assert "cannot run the step 'no-such-program init': its program is not in the image" in error


def test_reports_a_step_that_is_not_executable(volume: Volume) -> None:
    (volume.folder / "text").write_text("no program")
    volume.steps = [[str(volume.folder / "text")]]
    status, _, error = volume.run()
    assert status == 126
    assert "Permission denied" in error
    assert "Traceback" not in error


def test_reports_a_command_that_cannot_be_started(volume: Volume) -> None:
    status, _, error = volume.run("no-such-command", "x")
    assert status == 127
    assert "cannot start the command 'no-such-command': No such file or directory" in error
    status, _, error = volume.run(str(volume.folder))
    assert status == 126
    process = volume.start()
    _, error = process.communicate(timeout=HANG_S)
    assert (process.returncode, "no command" in error) == (2, True)


def test_the_command_replaces_the_launcher(volume: Volume) -> None:
    volume.steps = [volume.step("a")]
    process = volume.start(sys.executable, "-c", "import os, sys; print(os.getpid(), sys.argv[1:])", "--flag", "two words", "")
    out, _ = process.communicate(timeout=HANG_S)
    assert out == f"{process.pid} ['--flag', 'two words', '']\n"
    assert volume.run(sys.executable, "-c", "raise SystemExit(9)")[0] == 9


def test_the_command_starts_with_default_signal_handlers(volume: Volume) -> None:
    volume.steps = [volume.step("a")]
    for _ in range(2):
        status, out, _ = volume.run("grep", "-E", "^Sig(Ign|Cgt|Blk)", "/proc/self/status")
        assert status == 0
        assert all(int(line.split()[1], 16) & (1 << 12 | 1 << 14 | 1 << 1) == 0 for line in out.splitlines()), out


def test_the_command_holds_no_lock(volume: Volume) -> None:
    volume.steps = [volume.step("a")]
    process = volume.start("sleep", "60")
    until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
    assert not any("marks" in path.parts for path in open_files(process.pid))
    process.kill()
    process.communicate()


def test_warns_of_a_volume_without_locks(volume: Volume, tmp_path: Path) -> None:
    volume.steps = [volume.step("a")]
    process = volume.start("true")
    process.communicate(timeout=HANG_S)
    broken = (
        (tmp_path / "launcher.py").read_text().replace("fcntl.flock(lock, fcntl.LOCK_EX)", "raise OSError(95, 'Operation not supported')")
    )
    (tmp_path / "launcher.py").write_text(broken)
    shutil.rmtree(volume.marks)
    done = subprocess.run([volume.python, str(tmp_path / "launcher.py"), "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "does not support locks (Operation not supported)" in done.stderr
    assert volume.log == ["a", "a"]


def test_runs_on_python_3_9_with_the_standard_library_alone() -> None:
    text = Path(str(module.__file__)).read_text()
    tree = ast.parse(text, feature_version=(3, 9))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names


def test_forwards_a_signal_that_arrives_while_a_step_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = module.SignalForwarder()
    started = subprocess.Popen

    def start(step: list[str]) -> "subprocess.Popen[bytes]":
        child = started(step)
        signals.handle(signal.SIGTERM, None)
        return child

    monkeypatch.setattr(subprocess, "Popen", start)
    assert signals.run(["sleep", "60"]) == 128 + signal.SIGTERM


def entries(source: Generated) -> dict[str, FileEntry]:
    return {entry.path: entry for entry in source.entries()}


def test_writes_the_virtual_environment_s_files(tmp_path: Path) -> None:
    found = entries(venv_files("3.11.2", "/usr/bin/python3.11"))
    content = found[f"{VENV}/pyvenv.cfg"].content
    assert content == (b"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\nexecutable = /usr/bin/python3.11\n")
    links = {path: entry.target for path, entry in found.items() if entry.type is EntryType.SYMLINK}
    assert links == {f"{VENV}/bin/python": "/usr/bin/python3.11", f"{VENV}/bin/python3": "python", f"{VENV}/bin/python3.11": "python"}


def test_an_interpreter_recognizes_the_virtual_environment(tmp_path: Path) -> None:
    version = ".".join(str(part) for part in sys.version_info[:3])
    for path, entry in entries(venv_files(version, os.path.realpath(sys.executable))).items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.type is EntryType.DIRECTORY:
            place.mkdir()
        elif entry.type is EntryType.SYMLINK:
            place.symlink_to(entry.target)
        else:
            assert isinstance(entry.content, bytes)
            place.write_bytes(entry.content)
    site = tmp_path / VENV / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "only_here.py").write_text("VALUE = 1\n")
    code = "import sys, only_here; print(sys.prefix, sys.prefix != sys.base_prefix)"
    done = subprocess.run([str(tmp_path / VENV / "bin/python"), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / VENV} True\n"


def test_keys_depend_on_what_is_generated() -> None:
    keys = {
        venv_files("3.11.2", "/usr/bin/python3.11").key,
        venv_files("3.12.3", "/usr/bin/python3.12").key,
        launcher_files([["a", "b"]], "/data").key,
        launcher_files([["a b"]], "/data").key,
        launcher_files([["a", "b"]], "/other").key,
        volume_directories(["/data"], 1).key,
        volume_directories(["/data"], 2).key,
    }
    assert len(keys) == 7
    assert venv_files("3.11.9", "/usr/bin/python3.11").key in keys, "a patch release changes nothing"
    assert launcher_files([["a"]], "/data").key == launcher_files([("a",)], "/data").key


def test_volume_directories_are_writable_for_the_user_and_for_group_0() -> None:
    source = volume_directories(["/srv/b/", "/srv/a"], 65532)
    assert [(entry.path, entry.mode, entry.uid, entry.gid) for entry in source.entries()] == [
        ("srv/a", 0o775, 65532, 0),
        ("srv/b", 0o775, 65532, 0),
    ]
    assert source.key == volume_directories(["/srv/a", "/srv/b"], 65532).key


def test_writes_the_launcher_s_settings_as_json(tmp_path: Path) -> None:
    settings = json.loads(text_of(launcher_files([["x", 'quote " and é']], "/data/marks"), "opt/shipwheel/launch.json"))
    assert settings == {"always": [], "marks": "/data/marks", "steps": [["x", 'quote " and é']], "stop-signal": 15, "workers": ""}


def test_links_a_file_in_the_working_directory_to_a_volume() -> None:
    source = volume_directories(["/data"], 65532, "app", [("db.sqlite3", "/data/db.sqlite3")])
    link = next(entry for entry in source.entries() if entry.path == "app/db.sqlite3")
    assert (link.type, link.target) == (EntryType.SYMLINK, "/data/db.sqlite3")
    assert source.key != volume_directories(["/data"], 65532).key


def test_moves_files_aside_that_links_replace(tmp_path: Path) -> None:
    for name in ("db.sqlite3", "main.py"):
        (tmp_path / name).write_text(name)
    tree = without_linked(list_app(tmp_path), [("db.sqlite3", "/data/db.sqlite3"), ("app.log", "/data/app.log")])
    entries = {entry.path: entry.content for entry in AppSource("demo", tree, "app", "3.13").entries()}
    assert entries["app/db.sqlite3.initial"] == b"db.sqlite3"
    assert "app/db.sqlite3" not in entries
    assert "app/main.py" in entries
