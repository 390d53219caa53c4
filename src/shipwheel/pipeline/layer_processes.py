"""Processes beside this one that make layers for a build, if there is much to make: threads of one Python take turns."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import BinaryIO, cast

from shipwheel.base.standalone_archive import StandaloneSource
from shipwheel.debian.package import DebSource
from shipwheel.oci.layer import Layer, LayerSpec, make_layer
from shipwheel.pipeline.layer_messages import CompiledModules, CompileModules, MakeLayer, dump_spec, receive_answer, send
from shipwheel.store.store import Store
from shipwheel.timeline import add_moments, is_recorded
from shipwheel.wheels.bytecode import Compiler
from shipwheel.wheels.wheel import WheelSource

__all__ = ["LayerProcesses", "layer_processes"]

_PROGRAM = "from shipwheel.pipeline.layer_worker import main; main()"
_FROM_THE_STORE = (WheelSource, DebSource, StandaloneSource)
"""Sources that need nothing but files of the store, and the compiler for a few modules at a time: messages are held whole."""

_WORTH_BYTES = 8 << 20
"""Compressed bytes from which on processes take less time than they take to start."""
_MOST = 3
"""Each takes some 40 MB, and the registry and the disk have their limits."""
_EXIT_TIMEOUT_S = 10.0


@contextmanager
def layer_processes(store: Store, compiler: Compiler | None, workers: int) -> Iterator["LayerProcesses"]:
    """Yield what makes layers. Its processes, one for each worker but the first, start when they are asked for and end with the block."""
    processes = LayerProcesses(store, compiler, min(workers - 1, _MOST))
    try:
        yield processes
    finally:
        processes.close()


class LayerProcesses:
    """Makes layers, in other processes as long as some are idle. Any thread may use it."""

    def __init__(self, store: Store, compiler: Compiler | None, count: int) -> None:
        self._store = store
        self._compiler = compiler
        self._count = count
        self._started: list[_Process] = []
        self._idle = SimpleQueue[_Process]()
        self._closed = False

    def expect(self, size: int) -> None:
        """Start the processes, if they have not been, for layers of this many compressed bytes. They are ready when they are."""
        if size < _WORTH_BYTES or self._started:
            return
        # Without another Python, such as in a program that embeds this one, this one does it all.
        with suppress(OSError):
            for _ in range(self._count):
                self._started.append(_Process(self._store, self._compiler))
                self._idle.put(self._started[-1])

    def make(self, spec: LayerSpec) -> Layer:
        """Make a layer. See `make_layer` for what it raises; CancelledError if `close` ends the process that makes it."""
        if all(isinstance(source, _FROM_THE_STORE) for source in spec.sources):
            with suppress(Empty):
                process = self._idle.get_nowait()
                if (layer := process.make(spec)) is not None:
                    self._idle.put(process)
                    return layer
                if self._closed:
                    raise CancelledError
                # It is not asked again. Whatever the reason was, this process meets it, too, or makes the layer.
        return make_layer(spec, self._store)

    def close(self) -> None:
        """End the processes, also in the middle of a layer. What is made from now on is made here."""
        self._closed = True
        with suppress(Empty):
            while True:
                self._idle.get_nowait()
        for process in self._started:
            process.close()


class _Process:
    """A running `layer_worker`. One thread uses it at a time."""

    def __init__(self, store: Store, compiler: Compiler | None) -> None:
        self._compiler = compiler
        self._names = {"store": store, **({"compiler": compiler} if compiler is not None else {})}
        # Without the working directory in its path (-P), whose modules are the user's. Ctrl-C ends it by way of this process.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, str(store.root), compiler.identity if compiler is not None else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def make(self, spec: LayerSpec) -> Layer | None:
        """Return the layer, None if it was not made. Raise what the compiler raises; the process is of no use then."""
        stdin, stdout = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        # A closed pipe: OSError or, closed here, ValueError.
        with suppress(BrokenPipeError, ValueError):
            send(MakeLayer(dump_spec(spec, self._names), is_recorded()), stdin)
            while isinstance(message := receive_answer(stdout), CompileModules):
                assert self._compiler is not None  # noqa: S101 - nothing is compiled without one
                send(CompiledModules.of(self._compiler.compile(message.sources)), stdin)
            if message is not None:
                add_moments(message.moments)
                return message.layer
        return None

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            cast(BinaryIO, self._process.stdin).close()
        try:
            self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        cast(BinaryIO, self._process.stdout).close()
