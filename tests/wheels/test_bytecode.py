"""Compiling bytecode: valid, deterministic, and robust against broken sources and interpreters."""

import importlib.util
import marshal
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from support.compiling import RICH, compile_all, compiler_of, data_of, many

from shipwheel.errors import BuildError
from shipwheel.files.compress import Deflated
from shipwheel.files.entry import EntryType, file
from shipwheel.testing.images import EntriesSource
from shipwheel.wheels import bytecode as module
from shipwheel.wheels.bytecode import BytecodeCompiler, BytecodeSource, Interpreter, OtherInterpreter, pyc_path
from shipwheel.wheels.bytecode_cache import BytecodeCache

VERSION = ".".join(str(part) for part in sys.version_info[:3])


def interpreters() -> list[str]:
    """Return this machine's interpreters of all versions that images can have, the one that runs the tests first."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for minor in range(9, 15):
        named = [f"/usr/bin/python3.{minor}", shutil.which(f"python3.{minor}") or ""]
        named += sorted(str(path) for path in Path("~/.pyenv/versions").expanduser().glob(f"3.{minor}.*/bin/python3.{minor}"))
        for path in filter(None, named):
            if f"3.{minor}" in found:
                break
            if Path(path).exists() and subprocess.run([path, "-c", ""], check=False, stderr=subprocess.DEVNULL).returncode == 0:
                found[f"3.{minor}"] = path
    return list(found.values())


ALL = pytest.mark.parametrize("python", interpreters())


@pytest.fixture
def compiler(tmp_path: Path) -> Iterator[BytecodeCompiler]:
    made = compiler_of(tmp_path)
    yield made
    made.close()


SHARED_STRINGS = (("/a.py", b"ALL = ['*', '', '.', ' ', 'x']\n"), ("/b.py", b"from m import *\nfrom . import n\n"))
"""Modules with the same strings of at most one character, as constants and as names."""

VARYING_SETS = b"def f(x):\n    return x in {None, 'a', 'b', ..., 3, (None, 1)}\n"


@ALL
def test_modules_in_the_working_directory_are_not_imported(tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("enum", "importlib", "marshal", "signal", "struct", "types", "warnings"):
        (project / f"{name}.py").write_text("raise SystemExit('a module of the project ran')\n")
    compiler = compiler_of(tmp_path, python)
    monkeypatch.chdir(project)
    (data,) = compile_all(compiler, [("/opt/venv/rich.py", RICH)])
    compiler.close()
    assert data


@ALL
def test_pyc_files_have_an_unchecked_hash(tmp_path: Path, python: str) -> None:
    compiler = compiler_of(tmp_path, python)
    (data,) = compile_all(compiler, [("/opt/venv/rich.py", RICH)])
    compiler.close()
    code = "import importlib.util as u, sys; print(u.MAGIC_NUMBER.hex(), u.source_hash(sys.stdin.buffer.read()).hex())"
    magic, hashed = subprocess.run([python, "-c", code], input=RICH, capture_output=True, check=True).stdout.decode().split()
    assert data is not None
    assert data[:4] == bytes.fromhex(magic)
    assert struct.unpack("<I", data[4:8])[0] == 0b01, "PEP 552: by hash, and not checked"
    assert data[8:16] == bytes.fromhex(hashed)


def test_the_code_matches_the_source(compiler: BytecodeCompiler) -> None:
    (data,) = compile_all(compiler, [("/opt/venv/rich.py", RICH)])
    assert data is not None
    code = marshal.loads(data[16:])
    assert code == compile(RICH, "/opt/venv/rich.py", "exec", dont_inherit=True)
    assert code.co_filename == "/opt/venv/rich.py"


@ALL
def test_python_uses_it_even_if_the_source_differs(tmp_path: Path, python: str) -> None:
    compiler = compiler_of(tmp_path, python)
    minor = ".".join(compiler.identity.removeprefix("cpython-").split(".")[:2])
    (item,) = compiler.compile([("/img/mod.py", b"VALUE = 'compiled'\n")])
    compiler.close()
    target = tmp_path / pyc_path("mod.py", minor).lstrip("/")
    target.parent.mkdir()
    target.write_bytes(data_of(item))
    (tmp_path / "mod.py").write_text("VALUE = 'source, changed since'\n")
    done = subprocess.run(
        [python, "-c", "import mod; print(mod.VALUE, mod.__cached__ if 'cpython' in (mod.__cached__ or '') else '')"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[0] == "compiled"


def test_tracebacks_name_the_path_in_the_image(compiler: BytecodeCompiler) -> None:
    (data,) = compile_all(compiler, [("/opt/venv/lib/x.py", b"def f():\n    raise LookupError\n")])
    assert data is not None
    space: dict[str, Callable[[], None]] = {}
    exec(marshal.loads(data[16:]), space)
    with pytest.raises(LookupError) as caught:
        space["f"]()
    assert str(caught.traceback[-1].path) == "/opt/venv/lib/x.py"


@ALL
def test_always_gives_the_same_bytes(tmp_path: Path, python: str) -> None:
    """The order, the batches, the number of workers and earlier work of an interpreter make no difference."""
    sources = [*many(), ("/opt/venv/wandering.py", VARYING_SETS), *SHARED_STRINGS]
    (tmp_path / "a").mkdir()
    first = compiler_of(tmp_path / "a", python, workers=1)
    expected = dict(zip(sources, compile_all(first, sources), strict=True))
    again = dict(zip(sources, compile_all(first, sources), strict=True))
    first.close()
    assert again == expected
    assert sum(data is not None for data in expected.values()) >= len(sources) - 1
    for number, order in enumerate((sources[::-1], sources[3:] + sources[:3])):
        (tmp_path / str(number)).mkdir()
        other = compiler_of(tmp_path / str(number), python, workers=2)
        with ThreadPoolExecutor(4) as pool:
            results = [result[0] for result in pool.map(partial(compile_all, other), [[source] for source in order])]
        other.close()
        assert dict(zip(order, results, strict=True)) == expected


@ALL
def test_environment_variables_do_not_change_the_bytes(tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [*many(5), ("/opt/venv/wandering.py", VARYING_SETS)]
    seen = set()
    settings: tuple[dict[str, str], ...] = (
        {},
        {"PYTHONHASHSEED": "7"},
        {"PYTHONOPTIMIZE": "2", "PYTHONPATH": "/tmp"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "TZ": "Asia/Tokyo"},
    )
    for number, environment in enumerate(settings):
        with monkeypatch.context() as patched:
            for key, value in environment.items():
                patched.setenv(key, value)
            (tmp_path / str(number)).mkdir()
            compiler = compiler_of(tmp_path / str(number), python)
            seen.add(tuple(compile_all(compiler, sources)))
            compiler.close()
    assert len(seen) == 1


@ALL
def test_sets_have_the_same_order_in_every_process(tmp_path: Path, python: str) -> None:
    """The address of None, and so its place in a set, differs between processes."""
    seen = set()
    for number in range(6):
        (tmp_path / str(number)).mkdir()
        compiler = compiler_of(tmp_path / str(number), python, workers=1)
        seen.add(compile_all(compiler, [("/x.py", VARYING_SETS)])[0])
        compiler.close()
    assert len(seen) == 1


def test_cached_bytecode_is_the_same(tmp_path: Path) -> None:
    first = compiler_of(tmp_path)
    fresh = compile_all(first, many())
    first.close()

    def never() -> Interpreter:
        raise AssertionError("the cache has it all")

    second = BytecodeCompiler(never, f"cpython-{VERSION}", BytecodeCache(tmp_path / "cache"))
    assert compile_all(second, many()) == fresh
    second.close()


@pytest.mark.parametrize(
    "source",
    [
        b"def f(:\n",
        b"\0",
        b"x = 1\n\0\n",
        b"# coding: no-such-codec\n",
        b"# coding: rot13\nx\n",
        b"# coding: undefined\nx\n",
        b"\xff\xfe\n",
        b"x = '\xe9'\n",
        b"print 'Python 2'\n",
        b"\xef\xbb\xbf# coding: latin-1\n",
        b"(" * 500 + b")" * 500,
        b"a" + b"+a" * 100_000,
        b"-" * 50_000 + b"a",
        b"return\n",
        b"x = 1\n  y = 2\n",
    ],
)
def test_invalid_sources_have_no_bytecode(compiler: BytecodeCompiler, source: bytes) -> None:
    before, bad, after = compile_all(compiler, [("/a.py", b"1\n"), ("/bad.py", source), ("/b.py", b"2\n")])
    assert bad is None
    assert before is not None
    assert after is not None
    assert compile_all(compiler, [("/bad.py", source)]) == [None], "from the cache as well"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (b"", None),
        (b"# coding: latin-1\nVALUE = '\xe9'\n", "é"),
        (b"\xef\xbb\xbfVALUE = 'bom'\n", "bom"),
        ("VALUE = '\u4e2d\u6587'\n".encode("gbk").join([b"# coding: gbk\n", b""]), "中文"),
        (b"VALUE = 1 \\\r\n + 1\r\n", 2),
        (b"VALUE = " + b"[" * 80 + b"]" * 80, None),
        (b"VALUE = " + b"lambda: " * 80 + b"0", None),
        (b"VALUE = '\\ud800'\n", "\ud800"),
        (b"VALUE = " + b"1+" * 2000 + b"1", 2001) if sys.version_info >= (3, 12) else (b"VALUE = 1\n", 1),
    ],
)
def test_compiles_unusual_sources(compiler: BytecodeCompiler, source: bytes, value: object) -> None:
    (data,) = compile_all(compiler, [("/x.py", source)])
    assert data is not None
    space: dict[str, object] = {}
    exec(marshal.loads(data[16:]), space)
    assert value is None or space["VALUE"] == value


def test_deeply_nested_code_does_not_crash_the_interpreter(compiler: BytecodeCompiler) -> None:
    deep = b"".join(b" " * level + b"def f():\n" for level in range(90)) + b" " * 90 + b"pass\n"
    assert compile_all(compiler, [("/deep.py", deep)]) != [None]
    for count in (10_000, 59_000, 200_000):
        compile_all(compiler, [("/plus.py", b"a" + b"+a" * count), ("/dots.py", b"a" + b".a" * count), ("/calls.py", b"a" + b"()" * count)])
    assert compile_all(compiler, [("/ok.py", b"1\n")]) != [None]


def test_hides_warnings(compiler: BytecodeCompiler, capfd: pytest.CaptureFixture[str]) -> None:
    assert compile_all(compiler, [("/x.py", b"x = '\\d'\nassert (1, 'always')\nx is 1\n")]) != [None]
    assert capfd.readouterr() == ("", "")


def test_compiles_many_and_large_sources(compiler: BytecodeCompiler) -> None:
    sources = [(f"/{number}.py", b"x = %d\n" % number) for number in range(350)]
    sources += [(f"/large{number}.py", b"x = 'y'\n" * 50_000) for number in range(3)]
    results = compile_all(compiler, sources)
    for (path, source), data in zip(sources, results, strict=True):
        assert data is not None
        assert data[8:16] == importlib.util.source_hash(source)
        assert marshal.loads(data[16:]).co_filename == path


def test_starts_no_interpreter_without_sources(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path)
    assert compiler.compile([]) == []
    assert not compiler._started
    compiler.close()


def running(pids: Sequence[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_close_leaves_no_process(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path, workers=3)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: compiler.compile([(f"/{number}.py", b"x = 1\n" * 1000)]), range(9)))
    pids = [worker._process.pid for worker in compiler._started]
    assert 1 <= len(running(pids)) <= 3
    compiler.close()
    assert running(pids) == []


def script(folder: Path, text: str) -> str:
    """Return a program that pretends to be an interpreter."""
    path = folder / "pretender"
    path.write_text(f"#!{sys.executable}\nimport os, struct, sys, time\nOUT = sys.stdout.buffer\n{text}\n")
    path.chmod(0o755)
    return str(path)


HELLO = "OUT.write(struct.pack('<I', 6) + b'3.11.2'); OUT.flush()"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sys.exit(3)",
        "os.kill(os.getpid(), 9)",
        "print('Python 3.11 says hello to the world')",
        "OUT.write(struct.pack('<I', 1 << 31) + b'x' * 100)",
        "OUT.write(struct.pack('<I', 6) + b'3.1')",
        "OUT.write(struct.pack('<I', 6) + b'\\xff' * 6)",
        "os.close(1); time.sleep(600)",
    ],
)
def test_rejects_a_program_that_is_not_an_interpreter(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXIT_TIMEOUT_S", 0.5)
    path = script(tmp_path, text)
    with pytest.raises(BuildError, match="pretender") as caught:
        compile_all(compiler_of(tmp_path, path, version="3.0.0"), [("/a.py", b"")])
    assert caught.value.hint


def test_reports_an_interpreter_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    for path in (str(tmp_path / "absent"), str(tmp_path / "text"), str(tmp_path), "a\0b"):
        with pytest.raises(BuildError, match="cannot be started") as caught:
            compile_all(compiler_of(tmp_path, path, version="3.0.0"), [("/a.py", b"")])
        assert "--no-bytecode" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        f"{HELLO}\nsys.exit(1)",
        f"{HELLO}\nsys.stdin.buffer.read(100)\nos.kill(os.getpid(), 11)",
        f"{HELLO}\nsys.stdin.buffer.read(10)\nOUT.write(struct.pack('<I', 100) + b'half'); OUT.flush(); os._exit(0)",
        f"{HELLO}\nos.close(0); os.close(1); time.sleep(600)",
    ],
)
def test_reports_an_interpreter_that_crashes(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXIT_TIMEOUT_S", 0.5)
    compiler = compiler_of(tmp_path, script(tmp_path, text), workers=1, version="3.11.2")
    for _ in range(2):
        with pytest.raises(BuildError, match=r"near /large\.py") as caught:
            compiler.compile([("/large.py", b"x = 1\n" * 100_000)])
        assert "--no-bytecode" in caught.value.hint
    pids = [worker._process.pid for worker in compiler._started]
    compiler.close()
    assert running(pids) == []


def test_an_interrupted_answer_is_never_read_as_another_one(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path, workers=1)
    with pytest.raises(KeyboardInterrupt), compiler._worker() as worker:
        # An interruption between request and answer leaves this behind.
        worker._stdin.write(struct.pack("<IIcIc", 1, 1, b"a", 1, b"1"))
        worker._stdin.flush()
        raise KeyboardInterrupt
    (data,) = compile_all(compiler, [("/right.py", b"2\n")])
    compiler.close()
    assert data is not None
    assert marshal.loads(data[16:]).co_filename == "/right.py"


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 1\n", "not a program", "#!/bin/sh\nexec 3<&0\ncat <&3 &\nwait\n"])
def test_another_interpreter_is_taken_if_the_preferred_one_does_not_start(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text(program)
    broken.chmod(0o755)
    identity, cache = f"cpython-{VERSION}", BytecodeCache(tmp_path / "cache")

    def start() -> Interpreter:
        monkeypatch.setattr(module, "_START_TIMEOUT_S", 0.5)
        return Interpreter((str(broken),), identity=identity)

    def instead() -> Interpreter:
        monkeypatch.undo()  # this one may start slowly
        return Interpreter((sys.executable,), identity=identity)

    compiler = BytecodeCompiler(start, identity, cache, instead=instead)
    (data,) = compile_all(compiler, [("/a.py", b"1\n")])
    compiler.close()
    assert data is not None
    assert marshal.loads(data[16:]).co_filename == "/a.py"
    other = BytecodeCompiler(
        start, identity, BytecodeCache(tmp_path / "third"), instead=lambda: Interpreter((sys.executable,), identity="another")
    )
    with pytest.raises(OtherInterpreter):
        compile_all(other, [("/a.py", b"1\n")])
    other.close()


def test_the_key_covers_version_path_and_source(tmp_path: Path) -> None:
    compiler = compiler_of(tmp_path)
    other = BytecodeCompiler(compiler.start, "cpython-3.11.99", compiler.cache)
    keys = {compiler._key("/a.py", b"1"), compiler._key("/b.py", b"1"), compiler._key("/a.py", b"2"), other._key("/a.py", b"1")}
    assert len(keys) == 4
    compiler.close()


def test_compiles_the_modules_of_other_sources(compiler: BytecodeCompiler) -> None:
    library = EntriesSource(
        (
            file("usr/lib/python3/os.py", "1\n"),
            file("usr/lib/python3/bad.py", "(\n"),
            file("usr/lib/python3/x.so", b"x"),
            file("bin/y.py", "1\n"),
        )
    )
    source = BytecodeSource("library", (library,), "usr/lib/python3/", "3.11", compiler)
    entries = list(source.entries())
    assert [(entry.path, entry.type, entry.mode) for entry in entries] == [
        ("usr/lib/python3/__pycache__/os.cpython-311.pyc", EntryType.FILE, 0o644)
    ]
    content = entries[0].content
    assert isinstance(content, Deflated)
    assert marshal.loads(data_of(content)[16:]).co_filename == "/usr/lib/python3/os.py"
    other = BytecodeSource("library", (EntriesSource((file("usr/lib/python3/os.py", "2\n"),)),), "usr/lib/python3/", "3.11", compiler)
    assert source.key != other.key


class Counted:
    """The sources that a compiler's interpreters compile. The first batch waits until another thread has asked for something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        self.others = threading.Event()
        compiled, claimed = module._Worker.compile, BytecodeCompiler._claim

        def count(worker: module._Worker, sources: Sequence[tuple[str, bytes]]) -> list[bytes]:
            assert self.others.wait(60)
            self.paths += [path for path, _ in sources]
            return compiled(worker, sources)

        def claim(compiler: BytecodeCompiler, keys: Sequence[bytes]) -> tuple[list[bytes], dict[bytes, Future[Deflated | None]]]:
            mine, theirs = claimed(compiler, keys)
            if theirs:
                self.others.set()
            return mine, theirs

        monkeypatch.setattr(module._Worker, "compile", count)
        monkeypatch.setattr(BytecodeCompiler, "_claim", claim)


def test_a_source_is_compiled_once_for_all_platforms_that_need_it_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    compiler = compiler_of(tmp_path)
    sources = many(8)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(compiler.compile, (sources, [*sources[3:], ("/opt/venv/more.py", b"1\n")]))
    compiler.close()
    assert sorted(counted.paths) == sorted([*(path for path, _ in sources), "/opt/venv/more.py"])
    assert [data_of(item) for item in second[:-1]] == [data_of(item) for item in first[3:]]
    assert not compiler._pending


def test_whoever_waits_for_what_failed_elsewhere_tries_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    compiler = compiler_of(tmp_path)
    counting, failures = module._Worker.compile, iter([True])

    def fail_once(worker: module._Worker, sources: Sequence[tuple[str, bytes]]) -> list[bytes]:
        found = counting(worker, sources)
        if next(failures, False):
            raise BuildError("the interpreter has died")
        return found

    monkeypatch.setattr(module._Worker, "compile", fail_once)
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(compiler.compile, many(3)) for _ in range(2)]
    compiler.close()
    failed = [result.exception() for result in results]
    assert sorted(str(error) for error in failed) == ["None", "the interpreter has died"]
    assert len(counted.paths) == 2 * len(many(3))


def test_a_source_that_is_twice_in_one_batch_waits_for_nobody(compiler: BytecodeCompiler) -> None:
    one, two = compile_all(compiler, [("/a.py", b"1\n"), ("/a.py", b"1\n")])
    assert one is not None
    assert one == two
