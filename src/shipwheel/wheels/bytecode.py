"""Deterministic bytecode: unchecked-hash .pyc files (PEP 552), compiled once for all platforms and cached by path and source.

A cold build spends most of its time compiling, so a pool of the target's interpreters shares the work.
"""

import hashlib
import os
import posixpath
import queue
import re
import selectors
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import msgspec

from shipwheel.errors import BuildError
from shipwheel.files.compress import Deflated, deflated
from shipwheel.files.entry import EntryType, FileEntry, Source, read_content
from shipwheel.files.segment import LAYOUT_VERSION, key_of
from shipwheel.timeline import span
from shipwheel.wheels.bytecode_cache import BytecodeCache

__all__ = ["BytecodeCompiler", "BytecodeSource", "Compiler", "Interpreter", "OtherInterpreter", "pyc_path"]

_MAX_BATCH_BYTES = 1 << 20
_MAX_BATCH_FILES = 100
_MAX_VERSION_BYTES = 32
_MAX_PYC_BYTES = 1 << 31
_START_TIMEOUT_S = 60.0
_EXIT_TIMEOUT_S = 10.0


_WITHOUT_WORKING_DIRECTORY = "import sys; sys.path = [folder for folder in sys.path if folder]\n"
"""Goes before a program given with `-c`, which puts the working directory first: a project's types.py or enum.py must not run here."""


class Compiler(Protocol):
    """Compiles sources to bytecode for the target."""

    @property
    def identity(self) -> str:
        """The identity of the compiler, on which the bytes depend besides path and source: the implementation and its full version."""

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        """Return the .pyc file for each (absolute path in the image, source), or None if it has none: it may be invalid Python."""


class Interpreter(msgspec.Struct, frozen=True):
    """How to start an interpreter: the command, and variables to add to the environment.

    `identity` is the implementation with its full version, and whose it is.
    """

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    identity: str = ""


class OtherInterpreter(Exception):
    """Another interpreter than expected has to compile. Its bytecode has other keys, so the build must be planned with it."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__(interpreter.identity)
        self.interpreter = interpreter


class _Worker:
    """A running interpreter that compiles the sources that it is sent; see `compile_worker`."""

    def __init__(self, interpreter: Interpreter) -> None:
        program = Path(__file__).with_name("compile_worker.py").read_text(encoding="utf-8")
        # A fixed environment, so that the user's settings and site directories have no influence.
        environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **dict(interpreter.environment)}
        self._name = interpreter.command[0]
        try:
            self._process = subprocess.Popen(
                [*interpreter.command, "-S", "-s", "-c", _WITHOUT_WORKING_DIRECTORY + program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                # Ctrl-C must not reach it: it exits when its standard input ends.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise BuildError(f"the interpreter {self._name} cannot be started: {error}", hint="Build with --no-bytecode.") from error
        if not self._answers(_START_TIMEOUT_S):
            self._process.kill()
            raise self._exited("")
        version = self._read_string("", _MAX_VERSION_BYTES).decode("ascii", "replace")
        if not re.fullmatch(r"\d+\.\d+\.\d+", version):
            raise self._exited("")

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Return the .pyc files of (path, source) pairs, in order; empty for a source that does not compile."""
        parts = [struct.pack("<I", len(sources))]
        for path, source in sources:
            name = path.encode()
            parts += [struct.pack("<I", len(name)), name, struct.pack("<I", len(source)), source]
        try:
            self._stdin.write(b"".join(parts))
            self._stdin.flush()
            return [self._read_string(path) for path, _ in sources]
        except OSError as error:
            raise self._exited(sources[0][0]) from error

    def close(self) -> int:
        """End the process, if it has not ended yet, and return its exit status."""
        with suppress(OSError):
            self._stdin.close()
        try:
            status = self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._stdout.close()
        return status

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self.close()

    def _answers(self, seconds: float) -> bool:
        """Return whether it writes something, or ends, within a time. A sandbox that is killed may leave its program with our pipe."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    @property
    def _stdin(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdin)

    @property
    def _stdout(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdout)

    def _read_string(self, path: str, limit: int = _MAX_PYC_BYTES) -> bytes:
        size = struct.unpack("<I", self._read_exactly(4, path))[0]
        if size > limit:
            raise self._exited(path)
        return self._read_exactly(size, path)

    def _read_exactly(self, size: int, path: str) -> bytes:
        data = self._stdout.read(size)
        if len(data) < size:
            raise self._exited(path)
        return data

    def _exited(self, path: str) -> BuildError:
        status = self.close()
        if not path:
            return BuildError(
                f"{self._name} cannot compile bytecode (it exited with status {status})",
                hint="Build with --no-bytecode, or with another interpreter.",
            )
        return BuildError(
            f"the interpreter that compiles bytecode exited with status {status} near {path}",
            hint="Build with --no-bytecode, and please report the package.",
        )


class BytecodeCompiler:
    """A `Compiler`: a cache in front of a pool of interpreters, which start when they are first needed.

    `start` is called once, when a source must be compiled: to find or unpack the interpreter can take a while. `instead` returns the one
    to take if that one does not start. `identity` is what is expected to compile; `compile` raises OtherInterpreter for another.
    """

    def __init__(
        self,
        start: Callable[[], Interpreter],
        identity: str,
        cache: BytecodeCache,
        workers: int | None = None,
        instead: Callable[[], Interpreter] | None = None,
    ) -> None:
        self.start = start
        self.instead = instead
        self.identity = identity
        self.cache = cache
        self.workers = workers or os.cpu_count() or 1
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._started: list[_Worker] = []
        self._interpreter: Interpreter | None = None
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._pending: dict[bytes, Future[Deflated | None]] = {}
        for _ in range(self.workers):
            self._idle.put(None)

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        """See Compiler. A source that another thread is compiling, for another platform, is waited for."""
        keys = [self._key(path, source) for path, source in sources]
        wanted = dict(zip(keys, sources, strict=True))
        found: dict[bytes, Deflated] = {}
        while missing := [key for key in wanted if key not in found]:
            mine, theirs = self._claim(missing)
            try:
                found.update(self.cache.get(mine))
                for batch in _batches([(key, wanted[key]) for key in mine if key not in found]):
                    found.update(self._compiled(batch))
            finally:
                # Whoever waits for what failed here tries it again.
                self._settle(mine, found)
            found.update((key, item) for key, future in theirs.items() if (item := future.result()) is not None)
        return [item if (item := found[key]).size else None for key in keys]

    def close(self) -> None:
        """End the interpreters, which have nothing to finish, and close the cache."""
        for worker in self._started:
            worker.kill()
        self.cache.close()

    def _claim(self, keys: Sequence[bytes]) -> tuple[list[bytes], dict[bytes, "Future[Deflated | None]"]]:
        """Return the keys that nobody is compiling, which are now the caller's, and what to wait for to get the others."""
        with self._lock:
            theirs = {key: self._pending[key] for key in keys if key in self._pending}
            mine = [key for key in keys if key not in theirs]
            self._pending.update((key, Future()) for key in mine)
        return mine, theirs

    def _settle(self, keys: Iterable[bytes], found: Mapping[bytes, Deflated]) -> None:
        """Give those who wait for the keys what was found."""
        for key in keys:
            with self._lock:
                future = self._pending.pop(key)
            future.set_result(found.get(key))

    def _compiled(self, batch: "list[tuple[bytes, tuple[str, bytes]]]") -> list[tuple[bytes, Deflated]]:
        with self._worker() as worker, span("bytecode", f"{len(batch)} modules"):
            compiled = worker.compile([source for _, source in batch])
        fresh = [(key, deflated(data)) for (key, _), data in zip(batch, compiled, strict=True)]
        self.cache.put(fresh)
        return fresh

    def _key(self, path: str, source: bytes) -> bytes:
        name = f"{LAYOUT_VERSION}\0{self.identity}\0{path}\0".encode()
        return hashlib.sha256(name + hashlib.sha256(source).digest()).digest()

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        worker = self._idle.get()
        try:
            if worker is None:
                worker = self._new_worker()
            yield worker
        except BaseException:
            # Its next output may belong to this batch, and must not be read as the answer to another one.
            if worker is not None:
                worker.kill()
            worker = None
            raise
        finally:
            self._idle.put(worker)

    def _new_worker(self) -> _Worker:
        with self._starting:
            if self._interpreter is None:
                self._interpreter = self.start()
            try:
                worker = self._run(self._interpreter)
            except BuildError:
                if self._started or self.instead is None:
                    raise
                self._interpreter, self.instead = self.instead(), None
                worker = self._run(self._interpreter)
            self._started.append(worker)
            return worker

    def _run(self, interpreter: Interpreter) -> _Worker:
        if interpreter.identity != self.identity:
            raise OtherInterpreter(interpreter)
        return _Worker(interpreter)


def _batches(items: list[tuple[bytes, tuple[str, bytes]]]) -> Iterator[list[tuple[bytes, tuple[str, bytes]]]]:
    batch: list[tuple[bytes, tuple[str, bytes]]] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item[1][1])
        if size >= _MAX_BATCH_BYTES or len(batch) >= _MAX_BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def pyc_path(path: str, minor: str) -> str:
    """Return the path at which an interpreter looks for a module's bytecode (PEP 3147)."""
    directory, name = posixpath.split(path)
    return f"{directory}/__pycache__/{name[:-3]}.cpython-{minor.replace('.', '')}.pyc"


class BytecodeSource(msgspec.Struct, frozen=True):
    """The bytecode of the modules below `prefix` in other sources: for a standard library that consists of packages."""

    label: str
    sources: tuple[Source, ...]
    prefix: str
    minor: str
    compiler: Compiler

    @property
    def key(self) -> str:
        """The key, from those of the sources and the compiler."""
        return key_of("bytecode", self.prefix, self.compiler.identity, *(source.key for source in self.sources))

    def entries(self) -> Iterator[FileEntry]:
        """Yield the .pyc files, sorted by module."""
        modules = {
            entry.path: read_content(entry.content)
            for source in self.sources
            for entry in source.entries()
            if entry.type is EntryType.FILE and entry.path.startswith(self.prefix) and entry.path.endswith(".py")
        }
        paths = sorted(modules)
        compiled = self.compiler.compile([(f"/{path}", modules[path]) for path in paths])
        for path, content in zip(paths, compiled, strict=True):
            if content is not None:
                yield FileEntry(pyc_path(path, self.minor), EntryType.FILE, 0o644, content)
