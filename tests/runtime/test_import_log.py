"""What the processes of a trial import: written down by each of them, read by the observer."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from support.observed import interpreters, observe_command

from shipwheel.runtime import import_log as module
from shipwheel.runtime.import_log import ImportLog, Packages
from shipwheel.trial.import_record import ImportRecord, OneImport
from shipwheel.trial.observe import observer_source, program_of

CLOCK = program_of("aside", "import_clock")
ALL = pytest.mark.parametrize("python", interpreters())


def recorded(code: str, folder: Path, python: str = sys.executable, **files: str) -> ImportRecord:
    """Run a program whose imports are timed; `files` are modules beside it."""
    for name, text in {"program": code, **files}.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    seen = observe_command([python, "program.py"], folder, python=python, clock=CLOCK, scratch=str(folder))
    assert seen.ended == 0, seen.log
    assert seen.imports is not None
    return seen.imports


def named(imports: tuple[OneImport, ...], *names: str) -> list[OneImport]:
    """Return the imports of some modules, in order of time."""
    return sorted((each for each in imports if each.name in names), key=lambda each: each.start)


def test_the_arguments_of_the_observer_fit() -> None:
    assert len(observer_source()) < 100_000, "one argument of a program has 128 KiB at most (execve(2), MAX_ARG_STRLEN)"


@ALL
def test_imports_have_their_times_files_and_depths(tmp_path: Path, python: str) -> None:
    found = recorded("import outer", tmp_path, python, outer="import inner\nimport inner\n", inner="import time\ntime.sleep(0.05)\n")
    (process,) = found.processes
    outer, inner = named(process.imports, "outer", "inner")
    assert (outer.depth, inner.depth) == (0, 1)
    assert outer.start <= inner.start <= inner.end <= outer.end
    assert inner.end - inner.start >= 50_000
    assert outer.file == f"{tmp_path}/outer.py"
    assert 0 < process.began <= outer.start
    assert "program.py" in process.command
    assert process.library.startswith("/")
    assert not found.unmeasured
    assert not found.cut


@ALL
def test_the_program_sees_an_ordinary_interpreter(tmp_path: Path, python: str) -> None:
    """Its path, its own sitecustomize, and tracebacks are as without the clock."""
    code = """
    import os, sys, traceback
    import importlib
    assert not any("shipwheel" in folder for folder in sys.path), sys.path
    assert importlib.import_module("sys") is sys
    try:
        import wrong
    except ZeroDivisionError:
        text = traceback.format_exc()
        # Python 3.7 cannot give the clock's frame the name of importlib's.
        assert text.count("sitecustomize") == (sys.version_info < (3, 8)), text
    try:
        import no_such_module
    except ImportError as error:
        assert error.name == "no_such_module"
    """
    found = recorded(code, tmp_path, python, wrong="1 / 0\n")
    failed = named(found.processes[0].imports, "wrong", "no_such_module")
    assert [each.file for each in failed] == ["", ""]


def test_the_sitecustomize_of_the_image_follows(tmp_path: Path) -> None:
    clock, image = tmp_path / "clock", tmp_path / "image"
    for folder, text in ((clock, CLOCK), (image, "VALUE = 'its own'\n")):
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(text)
    code = "import sitecustomize; print(sitecustomize.VALUE)"
    environment = {"PYTHONPATH": f"{clock}:{image}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("its own\n", "")


def test_every_process_is_there(tmp_path: Path) -> None:
    code = """
    import os, subprocess, sys
    if os.fork() == 0:
        import csv
        os._exit(0)
    os.wait()
    subprocess.run([sys.executable, "-c", "import wave"])
    if os.fork() == 0:
        os.closerange(3, 100)  # as daemons do
        os.execv(sys.executable, [sys.executable, "-c", "import mailbox"])
    os.wait()
    """
    found = recorded(code, tmp_path)
    first, *others = found.processes
    assert [named(process.imports, "csv", "wave", "mailbox")[0].name for process in others if process.imports] == ["csv", "wave", "mailbox"]
    assert {process.parent for process in others} == {first.pid}
    assert [process.forked for process in others] == [True, False, True, False], "the last one replaced a fork"


def test_an_interpreter_without_the_variable_is_named(tmp_path: Path) -> None:
    code = """
    import os, subprocess, sys, time
    for variables in ({"PATH": os.environ["PATH"]}, {}):
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.3) # alone"], env=variables)
    """
    found = recorded(code, tmp_path)
    assert len(found.processes) == 1
    assert [command.endswith("# alone") for command in found.unmeasured] == [True, True]


def test_modules_that_load_when_they_are_asked_stay_lazy(tmp_path: Path) -> None:
    code = """
    import lazy
    import importlib.util, sys
    spec = importlib.util.find_spec("late")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["late"] = module
    spec.loader.exec_module(module)
    import wave
    assert "loaded" not in sys.modules
    """
    lazy = """
    import sys, types
    class Lazy(types.ModuleType):
        def __getattribute__(self, name):
            if name not in ("__spec__",):
                return super().__getattribute__(name)
            import loaded
    sys.modules[__name__].__class__ = Lazy
    """
    found = recorded(code, tmp_path, lazy=lazy, late="import loaded\n", loaded="")
    assert named(found.processes[0].imports, "wave")


def test_reads_what_a_program_wrote_into_its_own_record(tmp_path: Path) -> None:
    log = ImportLog(CLOCK, str(tmp_path))
    lines = [
        "I\t1\t0\t5\t6\t'before its process'\t''",
        "P\t1000\t2000\t1\t'python'\t'/lib'\t'/lib'",
        "I\t1\t0\t5\t6\t__import__('os')\t''",
        "I\t1\t0\tx\t6\t'a'\t''",
        "I\t1\t0",
        "M",
        "I\t1\t0\t9000\t8000\t'good'\t'/x.py'",
        "I\t1\t0\t9000",
    ]
    (Path(log.directory) / "7").write_text("\n".join(lines) + "\udcff" * 2, encoding="ascii", errors="surrogateescape")
    (Path(log.directory) / "8").write_bytes(b"\xff\0" * 100)
    (process,) = log.read(0.0)["processes"]
    assert [each[4] for each in process["imports"]] == ["good"]


def test_names_that_are_no_text_and_what_is_no_file_do_no_harm(tmp_path: Path) -> None:
    log = ImportLog(CLOCK, str(tmp_path))
    line = r"I\t1\t0\t1000\t2000\t'a\udcff'\t'/odd\udcff/a.py'".replace(r"\t", "\t")
    (Path(log.directory) / "7").write_text(f"P\t1\t2\t1\t'python'\t'/lib'\t'/lib'\n{line}\n")
    os.mkfifo(f"{log.directory}/8")
    (Path(log.directory) / "²").touch()
    found = msgspec.json.decode(json.dumps(log.read(0.0)), type=ImportRecord)
    assert [each.name for process in found.processes for each in process.imports] == ["a?"]


def test_keeps_a_limited_number_of_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IMPORTS", 3)
    log = ImportLog(CLOCK, str(tmp_path))
    line = "I\t1\t0\t1000\t2000\t'a'\t'/a.py'\n"
    for pid in ("7", "8"):
        (Path(log.directory) / pid).write_text("P\t1\t2\t1\t'python'\t'/lib'\t'/lib'\n" + 2 * line)
    found = log.read(0.0)
    assert [len(process["imports"]) for process in found["processes"]] == [2, 1]
    assert found["cut"]


def install(site: Path, name: str, *files: str) -> None:
    """Install a package of modules of 100 bytes, with bytecode of 40."""
    rows = []
    for file in files:
        source = site / file
        cached = source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"
        for path, size in ((source, 100), (cached, 40)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"#" * size)
            rows.append(f"{path.relative_to(site)},,\n")
    (site / f"{name}-1.0.dist-info").mkdir()
    (site / f"{name}-1.0.dist-info" / "RECORD").write_text("".join(rows) + "gone.py,,\n../../outside,,\n\n")


def test_tells_what_of_a_package_is_never_imported(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    install(site, "big", "big/__init__.py", "big/a.py", "big/b.py", "big/tests/x.py", "big/tests/deep/y.py")
    install(site, "idle", "idle/__init__.py", "idle/more.py")
    packages = Packages([str(site)])
    assert packages.owner(f"{site}/big/__init__.py") == 0
    packages.use([f"{site}/big/a.py", "/elsewhere.py"])
    big, idle = packages.described()
    assert (big["name"], big["version"], big["code"], big["imported"], big["modules"]) == ("big", "1.0", 700, 280, 5)
    assert big["used"] == ["big/__init__.py", "big/a.py"]
    assert (idle["size"], idle["imported"], idle["used"]) == (280, 0, [])
    assert packages.unused() == [(0, "big/tests", 2, 280), (1, "idle", 2, 280), (0, "big/b.py", 1, 140)]


def test_a_run_without_a_place_to_write_has_no_times(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import csv\n")
    seen = observe_command([sys.executable, "program.py"], tmp_path, clock=CLOCK, scratch=os.devnull)
    assert (seen.ended, seen.imports) == (0, None)


def test_an_interpreter_that_just_begins_is_none_that_was_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ImportLog(CLOCK, str(tmp_path))
    # Until the kernel has copied them, a new program has neither variables nor a command line.
    monkeypatch.setattr(Path, "read_bytes", lambda _path: b"")
    log.look([os.getpid()])
    assert log.strangers == {}
