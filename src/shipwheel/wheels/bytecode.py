"""Deterministic bytecode: unchecked-hash .pyc files (PEP 552), compiled once for all platforms and kept by path and source.

Compiling is what a cold build spends most of its time on, so the work goes to a pool of the target's interpreters.
"""

import hashlib
import os
import posixpath
import queue
import re
import sqlite3
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

import deflate
import msgspec

from shipwheel.errors import BuildError
from shipwheel.files.compress import deflated
from shipwheel.files.content import read
from shipwheel.files.entry import Deflated, EntryType, FileEntry, Source
from shipwheel.files.segment import LAYOUT_VERSION, key_of

__all__ = ["BytecodeCache", "BytecodeCompiler", "BytecodeSource", "Interpreter", "cached_path", "interpreter_version"]

_BATCH_BYTES = 1 << 20
_BATCH_FILES = 100
_LONGEST_VERSION = 32
_PATIENCE = 10.0
"""Seconds that an interpreter has to end by itself."""


class Interpreter(msgspec.Struct, frozen=True):
    """How to start an interpreter: its command, and what must be in the environment."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


class _Worker:
    """One running interpreter that compiles what it is sent."""

    def __init__(self, interpreter: Interpreter) -> None:
        import importlib.resources

        program = importlib.resources.files("shipwheel.wheels").joinpath("compile_worker.py").read_text()
        # A fixed environment: neither the user's settings nor their site directories decide what comes out.
        environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **dict(interpreter.environment)}
        self._name = interpreter.command[0]
        try:
            self._process = subprocess.Popen(
                [*interpreter.command, "-S", "-s", "-W", "ignore", "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                # Ctrl-C is for us: it ends when its standard input does.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise BuildError(f"the interpreter {self._name} cannot be started: {error}", hint="Build with --no-bytecode.") from error
        self.version = self._take("", _LONGEST_VERSION).decode("ascii", "replace")
        if not re.fullmatch(r"\d+\.\d+\.\d+", self.version):
            raise self._died("")

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """The .pyc files of the sources, in order; empty where one does not compile."""
        parts = [struct.pack("<I", len(sources))]
        for path, source in sources:
            name = path.encode()
            parts += [struct.pack("<I", len(name)), name, struct.pack("<I", len(source)), source]
        try:
            self._stdin.write(b"".join(parts))
            self._stdin.flush()
            return [self._take(path) for path, _ in sources]
        except OSError as error:
            raise self._died(sources[0][0]) from error

    def close(self) -> int:
        """Ends the process; its status. It may have ended before."""
        with suppress(OSError):
            self._stdin.close()
        try:
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._stdout.close()
        return status

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self.close()

    @property
    def _stdin(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdin)

    @property
    def _stdout(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdout)

    def _take(self, path: str, limit: int = 1 << 31) -> bytes:
        size = struct.unpack("<I", self._exactly(4, path))[0]
        if size > limit:
            raise self._died(path)
        return self._exactly(size, path)

    def _exactly(self, size: int, path: str) -> bytes:
        data = self._stdout.read(size)
        if len(data) < size:
            raise self._died(path)
        return data

    def _died(self, path: str) -> BuildError:
        status = self.close()
        if not path:
            return BuildError(
                f"{self._name} is not an interpreter that can compile bytecode (it ended with status {status})",
                hint="Build with --no-bytecode, or with another interpreter.",
            )
        return BuildError(
            f"the interpreter that compiles bytecode ended with status {status} near {path}",
            hint="Build with --no-bytecode, and please report which package it was.",
        )


def interpreter_version(interpreter: Interpreter) -> str:
    """The full version of an interpreter, for example "3.11.2"; raises BuildError when it does not run."""
    with closing(_Worker(interpreter)) as worker:
        return worker.version


class BytecodeCache:
    """Compiled files by what decides them, in one SQLite file; a damaged file or row counts as absent.

    Where the file cannot be written, what was compiled is remembered until `close`. It is opened when it is first asked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        return self._open()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Deflated]:
        """What is there of the keys."""
        found: dict[bytes, Deflated] = {}
        with self._lock:
            try:
                for start in range(0, len(keys), 500):
                    part = keys[start : start + 500]
                    marks = ",".join("?" * len(part))
                    query = f"SELECT key, size, crc, packed, raw FROM bytecode WHERE key IN ({marks})"  # noqa: S608 - marks alone
                    found.update(_sound(self._connection.execute(query, part)))
            except sqlite3.Error as error:
                self._heal(error)
        return found

    def put(self, rows: Sequence[tuple[bytes, Deflated]]) -> None:
        """Keeps compiled files; that it cannot is no error."""
        values = [(key, item.size, item.crc32, _checksum(item), bytes(item.raw)) for key, item in rows]
        with self._lock:
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO bytecode VALUES (?, ?, ?, ?, ?)", values)
            except sqlite3.Error as error:
                self._heal(error)

    def close(self) -> None:
        """Closes the file."""
        if "_connection" in self.__dict__:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return _connected(str(self._path))
        except sqlite3.Error as error:
            if _is_damage(error):
                self._remove()
        try:
            return _connected(str(self._path))
        except sqlite3.Error:
            return _connected(":memory:")

    def _heal(self, error: sqlite3.Error) -> None:
        """A damaged file is thrown away; other troubles, a full disk or another's lock, may pass."""
        if _is_damage(error):
            self._connection.close()
            self._remove()
            self._connection = self._open()

    def _remove(self) -> None:
        # The log goes first: a new file with an old log beside it would be damaged again.
        for suffix in ("-wal", "-shm", ""):
            with suppress(OSError):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)


def _connected(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=60)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        columns = "key BLOB PRIMARY KEY, size INTEGER, crc INTEGER, packed INTEGER, raw BLOB"
        connection.execute(f"CREATE TABLE IF NOT EXISTS bytecode ({columns}) WITHOUT ROWID")
        connection.execute("SELECT key, size, crc, packed, raw FROM bytecode LIMIT 1")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is none of ours: damaged, no database, or with another table in it."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _checksum(item: Deflated) -> int:
    return deflate.crc32(bytes(item.raw), deflate.crc32(struct.pack("<QI", item.size, item.crc32)))


def _sound(rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[bytes, Deflated]]:
    """The rows whose checksum says that they are what was written."""
    for key, size, crc, packed, raw in rows:
        if not (isinstance(key, bytes) and isinstance(raw, bytes) and isinstance(size, int) and isinstance(crc, int)):
            continue
        if not (0 <= size < 1 << 32 and 0 <= crc < 1 << 32):
            continue
        item = Deflated(raw, size, crc)
        if _checksum(item) == packed:
            yield key, item


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
            # It may be in the middle of an answer, which the next one to ask would take for its own.
            if worker is not None:
                worker.kill()
            worker = None
            raise
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


class BytecodeSource(msgspec.Struct, frozen=True):
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
