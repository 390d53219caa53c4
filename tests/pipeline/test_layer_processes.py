"""Layers that other processes make: the same as those made here, whatever becomes of the processes."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from support.compiling import compiler_of
from support.process import HANG_S, has_ended, until

from shipwheel.container.venv import Paths
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.digest import sha256_of
from shipwheel.errors import ArchiveError
from shipwheel.events import silent
from shipwheel.files.compress import Deflated
from shipwheel.files.entry import Source
from shipwheel.oci.layer import Layer, LayerSpec, make_layer
from shipwheel.pipeline import layer_processes as module
from shipwheel.pipeline.layer_processes import LayerProcesses
from shipwheel.pipeline.layer_processes import layer_processes as processes_of
from shipwheel.store.store import Store
from shipwheel.testing.debian import make_deb
from shipwheel.testing.images import EntriesSource
from shipwheel.testing.wheels import SmallWheel
from shipwheel.timeline import recorded
from shipwheel.wheels.bytecode import BytecodeCompiler, BytecodeSource, Compiler
from shipwheel.wheels.used_modules import CompilerOfUsed
from shipwheel.wheels.wheel import WheelSource

MUCH = 1 << 30
FILES = {f"small/m{number}.py": f"X = [{number}, 'text']\n" for number in range(5)}


class Waiting:
    """A compiler that says that it was asked, and never answers before it is told to."""

    identity = "waiting"

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answers = threading.Event()

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        self.asked.set()
        self.answers.wait(HANG_S)
        return [None] * len(sources)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def compiler(tmp_path: Path) -> Iterator[BytecodeCompiler]:
    made = compiler_of(tmp_path)
    yield made
    made.close()


def wheel(store: Store, compiler: Compiler | None = None, name: str = "small") -> WheelSource:
    made = SmallWheel(name, files=FILES)
    return WheelSource(name, made.filename, store.add(made.content()), store, Paths("3.11"), compiler)


def deb(store: Store) -> DebSource:
    data = make_deb("libsmall", "1.0-1", {"usr/lib/small.so.1": b"data", "usr/lib/python3.11/m.py": b"X = 1\n"})
    store.add(data)
    return DebSource(DebianPackage("libsmall", "1.0-1", "amd64", "pool/a.deb", sha256_of(data), len(data)), store)


def children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def made_elsewhere(spec: LayerSpec, processes: LayerProcesses, monkeypatch: pytest.MonkeyPatch) -> Layer:
    """Make a layer, which fails unless another process does it."""
    with monkeypatch.context() as patched:
        patched.delattr(module, "make_layer")
        processes.expect(MUCH)
        return processes.make(spec)


@pytest.mark.parametrize("kind", ["wheel", "of used modules", "package", "both"])
def test_another_process_makes_the_same_layer(
    kind: str, store: Store, compiler: BytecodeCompiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sources(where: Store) -> tuple[Source, ...]:
        used = CompilerOfUsed(compiler, Paths("3.11").site_packages, ["small.m1"])
        kinds: dict[str, tuple[Source, ...]] = {
            "wheel": (wheel(where, compiler),),
            "of used modules": (wheel(where, used),),
            "package": (deb(where),),
            "both": (wheel(where, compiler), wheel(where, None, "other")),
        }
        return kinds[kind]

    here = Store(tmp_path / "here")
    expected = make_layer(LayerSpec("a layer", sources(here)), here)
    with processes_of(store, compiler, 2) as processes:
        layer = made_elsewhere(LayerSpec("a layer", sources(store)), processes, monkeypatch)
    assert layer == expected
    assert all(store.read(part) == here.read(part) for part in layer.parts)


def test_what_is_not_in_the_store_is_made_here(store: Store, compiler: BytecodeCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Process, "make", None)
    # The bytecode of a standard library would be one message.
    library = BytecodeSource("library", (deb(store),), "usr/lib/python3.11/", "3.11", compiler)
    spec = LayerSpec("generated", (EntriesSource(()), library))
    with processes_of(store, None, 2) as processes:
        processes.expect(MUCH)
        assert processes.make(spec) == make_layer(spec, store)


@pytest.mark.parametrize(("size", "workers"), [(1000, 2), (MUCH, 1)])
def test_no_process_starts_for_little_work_or_one_worker(size: int, workers: int, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(subprocess, "Popen")
    with processes_of(store, None, workers) as processes:
        processes.expect(size)
        assert processes.make(LayerSpec("a layer", (wheel(store),))).parts


def test_an_error_is_met_here(store: Store) -> None:
    source = WheelSource("small", SmallWheel("small").filename, store.add(b"no wheel"), store, Paths("3.11"))
    with processes_of(store, None, 2) as processes:
        processes.expect(MUCH)
        with pytest.raises(ArchiveError, match="small"):
            processes.make(LayerSpec("a layer", (source,)))


def test_what_the_compiler_raises_is_raised(store: Store) -> None:
    class Failing:
        identity = "failing"

        def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
            raise LookupError("no interpreter")

    failing = Failing()
    with processes_of(store, failing, 2) as processes:
        processes.expect(MUCH)
        with pytest.raises(LookupError, match="no interpreter"):
            processes.make(LayerSpec("a layer", (wheel(store, failing),)))


def test_a_process_that_dies_is_replaced_by_this_one(store: Store) -> None:
    others = children(os.getpid())
    with processes_of(store, None, 2) as processes:
        processes.expect(MUCH)
        for pid in {*children(os.getpid())} - {*others}:
            os.kill(pid, signal.SIGKILL)
        spec = LayerSpec("a layer", (wheel(store),))
        assert processes.make(spec) == make_layer(spec, store)


@pytest.mark.parametrize("program", ["", "/nowhere/python"])
def test_without_another_python_this_one_makes_all(program: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with processes_of(store, None, 2) as processes:
        processes.expect(MUCH)
        assert processes.make(LayerSpec("a layer", (wheel(store),))).parts


def test_closing_ends_a_process_in_the_middle_of_a_layer(store: Store) -> None:
    waiting, raised = Waiting(), list[BaseException]()
    processes = LayerProcesses(store, waiting, 1)
    processes.expect(MUCH)

    def make() -> None:
        try:
            processes.make(LayerSpec("a layer", (wheel(store, waiting),)))
        except CancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    assert waiting.asked.wait(HANG_S)
    processes.close()
    waiting.answers.set()
    thread.join(HANG_S)
    assert len(raised) == 1
    assert not [*(store.root / "tmp").iterdir()]
    # Whoever goes on after an error does so without processes.
    assert processes.make(LayerSpec("a layer", (wheel(store),))).parts


def test_a_process_ends_with_the_build(store: Store, tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from pathlib import Path
        from shipwheel.pipeline.layer_processes import LayerProcesses
        from shipwheel.store.store import Store
        processes = LayerProcesses(Store(Path(sys.argv[1])), None, 1)
        processes.expect(1 << 30)
        print(Path(f"/proc/self/task/{os.getpid()}/children").read_text(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", code, str(store.root)], capture_output=True, text=True, check=False)
    (pid,) = map(int, done.stdout.split())
    until(lambda: has_ended(pid))


def test_modules_in_the_working_directory_are_not_imported(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(tmp_path)
    with processes_of(store, None, 2) as processes:
        made_elsewhere(LayerSpec("a layer", (wheel(store),)), processes, monkeypatch)


def test_the_timeline_has_what_they_do(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(tmp_path / "t.json", silent), processes_of(store, None, 2) as processes:
        made_elsewhere(LayerSpec("a layer", (wheel(store),)), processes, monkeypatch)
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    spans = {event["name"]: event for event in events if event["ph"] == "X"}
    assert {"layer", "segment", "hash"} <= {*spans}
    assert spans["layer"]["ts"] <= spans["segment"]["ts"]
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert tracks[spans["segment"]["tid"]] == threading.current_thread().name
