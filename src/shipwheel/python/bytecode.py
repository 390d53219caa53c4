"""Deterministic bytecode: unchecked-hash .pyc files (PEP 552), compiled once for all platforms and kept by path and source.

Compiling is what a cold build spends most of its time on, so the work goes to a pool of the target's interpreters.
"""

import hashlib
import importlib.resources
import os
import posixpath
import queue
import sqlite3
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import deflate

from shipwheel.errors import BuildError
from shipwheel.files.compress import deflated
from shipwheel.files.entry import Deflated, EntryType, FileEntry, Source, read
from shipwheel.files.segment import key_of

__all__ = ["BytecodeCache", "BytecodeCompiler", "BytecodeSource", "Interpreter", "cached_path", "interpreter_version"]

_BATCH_BYTES = 1 << 20
_BATCH_FILES = 100


@dataclass(frozen=True, slots=True)
class Interpreter:
    """How to start an interpreter: its command, and what must be in the environment."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


class _Worker:
    """One running interpreter that compiles what it is sent."""

    def __init__(self, interpreter: Interpreter) -> None:
        program = importlib.resources.files("shipwheel.python").joinpath("compile_worker.py").read_text()
        # A fixed environment: neither the user's settings nor their site directories decide what comes out.
        environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **dict(interpreter.environment)}
        try:
            self._process = subprocess.Popen(
                [*interpreter.command, "-S", "-s", "-W", "ignore", "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            self.version = self._take().decode()
        except OSError as error:
            raise BuildError(
                f"the interpreter {interpreter.command[0]} cannot be started: {error}", hint="Build with --no-bytecode."
            ) from error

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """The .pyc files of the sources, in order; empty where one does not compile."""
        parts = [struct.pack("<I", len(sources))]
        for path, source in sources:
            name = path.encode()
            parts += [struct.pack("<I", len(name)), name, struct.pack("<I", len(source)), source]
        try:
            self._stdin.write(b"".join(parts))
            self._stdin.flush()
            return [self._take() for _ in sources]
        except OSError as error:
            raise self._died(sources[0][0]) from error

    def close(self) -> None:
        """Ends the process."""
        self._stdin.close()
        self._process.wait()
        self._stdout.close()

    @property
    def _stdin(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdin)

    @property
    def _stdout(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdout)

    def _take(self) -> bytes:
        size = struct.unpack("<I", self._exactly(4))[0]
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = self._stdout.read(size)
        if len(data) < size:
            raise self._died("")
        return data

    def _died(self, path: str) -> BuildError:
        status = self._process.wait()
        return BuildError(
            f"the interpreter that compiles bytecode ended with status {status}{f' near {path}' if path else ''}",
            hint="Build with --no-bytecode, and please report which package it was.",
        )


def interpreter_version(interpreter: Interpreter) -> str:
    """The full version of an interpreter, for example "3.11.2"; raises BuildError when it does not run."""
    with closing(_Worker(interpreter)) as worker:
        return worker.version


class BytecodeCache:
    """Compiled files by what decides them, in one SQLite file; a damaged file or row counts as absent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._connection = self._open()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Deflated]:
        """What is there of the keys."""
        found = {}
        with self._lock:
            try:
                for start in range(0, len(keys), 500):
                    part = keys[start : start + 500]
                    marks = ",".join("?" * len(part))
                    query = f"SELECT key, size, crc, packed, raw FROM bytecode WHERE key IN ({marks})"  # noqa: S608 - marks alone
                    for key, size, crc, packed, raw in self._connection.execute(query, part):
                        if deflate.crc32(raw) == packed:
                            found[key] = Deflated(raw, size, crc)
            except sqlite3.DatabaseError:
                return {}
        return found

    def put(self, rows: Sequence[tuple[bytes, Deflated]]) -> None:
        """Keeps compiled files; that it cannot is no error."""
        values = [(key, item.size, item.crc32, deflate.crc32(item.raw), bytes(item.raw)) for key, item in rows]
        with self._lock:
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO bytecode VALUES (?, ?, ?, ?, ?)", values)
            except sqlite3.DatabaseError:
                return

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, timeout=60)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        columns = "key BLOB PRIMARY KEY, size INTEGER, crc INTEGER, packed INTEGER, raw BLOB"
        connection.execute(f"CREATE TABLE IF NOT EXISTS bytecode ({columns}) WITHOUT ROWID")
        return connection


@dataclass
class BytecodeCompiler:
    """The Compiler of python.wheel: a cache in front of a pool of interpreters, which start when first needed."""

    start: Callable[[], Interpreter]
    """Called once, when something must be compiled: finding or unpacking the interpreter may take time."""
    version: str
    cache: BytecodeCache
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)

    def __post_init__(self) -> None:
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._started: list[_Worker] = []
        self._interpreter: Interpreter | None = None
        self._lock = threading.Lock()
        for _ in range(self.workers):
            self._idle.put(None)

    @property
    def identity(self) -> str:
        """Implementation and full version."""
        return f"cpython-{self.version}"

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        """See python.wheel.Compiler."""
        keys = [self._key(path, source) for path, source in sources]
        known = self.cache.get(keys)
        missing = [(key, source) for key, source in zip(keys, sources, strict=True) if key not in known]
        for batch in _batches(missing):
            with self._worker() as worker:
                compiled = worker.compile([source for _, source in batch])
            fresh = [(key, deflated(data)) for (key, _), data in zip(batch, compiled, strict=True)]
            self.cache.put(fresh)
            known.update(fresh)
        return [item if (item := known[key]).size else None for key in keys]

    def close(self) -> None:
        """Ends the interpreters."""
        for worker in self._started:
            worker.close()
        self.cache.close()

    def _key(self, path: str, source: bytes) -> bytes:
        name = f"{self.identity}\0{path}\0".encode()
        return hashlib.sha256(name + hashlib.sha256(source).digest()).digest()

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        worker = self._idle.get()
        try:
            if worker is None:
                worker = self._new_worker()
            yield worker
        finally:
            self._idle.put(worker)

    def _new_worker(self) -> _Worker:
        with self._lock:
            if self._interpreter is None:
                self._interpreter = self.start()
            worker = _Worker(self._interpreter)
            self._started.append(worker)
            return worker


def _batches(items: list[tuple[bytes, tuple[str, bytes]]]) -> Iterator[list[tuple[bytes, tuple[str, bytes]]]]:
    batch: list[tuple[bytes, tuple[str, bytes]]] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item[1][1])
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def cached_path(path: str, minor: str) -> str:
    """Where the interpreter looks for a module's bytecode (PEP 3147)."""
    folder, name = posixpath.split(path)
    return f"{folder}/__pycache__/{name[:-3]}.cpython-{minor.replace('.', '')}.pyc"


@dataclass(frozen=True, slots=True)
class BytecodeSource:
    """The bytecode of the modules below `prefix` in other sources: for a standard library that came in packages."""

    label: str
    of: tuple[Source, ...]
    prefix: str
    minor: str
    compiler: BytecodeCompiler

    @property
    def key(self) -> str:
        """Over the sources and the compiler."""
        return key_of("bytecode", self.prefix, self.compiler.identity, *(source.key for source in self.of))

    def entries(self) -> Iterator[FileEntry]:
        """The .pyc files, sorted by path."""
        found = {
            entry.path: read(entry.content)
            for source in self.of
            for entry in source.entries()
            if entry.type is EntryType.FILE and entry.path.startswith(self.prefix) and entry.path.endswith(".py")
        }
        modules = sorted(found)
        compiled = self.compiler.compile([(f"/{path}", found[path]) for path in modules])
        for path, content in zip(modules, compiled, strict=True):
            if content is not None:
                yield FileEntry(cached_path(path, self.minor), EntryType.FILE, 0o644, content)
