"""Compiled files in one SQLite database, each under a key of everything that determines its bytes."""

import os
import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import deflate

from shipwheel.files.compress import Deflated

__all__ = ["BytecodeCache"]

_MAX_QUERY_KEYS = 500
_TIMEOUT_S = 60
_MAX_MAPPED = 256 << 20
"""Bytes of the database that are read through a map. Those that a build reads count as its memory."""


class BytecodeCache:
    """A cache that never fails: damaged files and rows count as missing, and what cannot be written is kept in memory until `close`.

    The file is opened on first use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Deflated]:
        """Return the compiled files of those keys that the cache has."""
        cached: dict[bytes, Deflated] = {}
        with self._lock:
            try:
                for start in range(0, len(keys), _MAX_QUERY_KEYS):
                    part = keys[start : start + _MAX_QUERY_KEYS]
                    marks = ",".join("?" * len(part))
                    query = f"SELECT key, size, crc, packed, raw FROM bytecode WHERE key IN ({marks})"  # noqa: S608 - only question marks
                    cached.update(_valid_rows(self._opened().execute(query, part)))
            except sqlite3.Error as error:
                self._recover(error)
        return cached

    def put(self, rows: Sequence[tuple[bytes, Deflated]]) -> None:
        """Add compiled files by key."""
        values = [(key, item.size, item.crc32, _checksum(item), bytes(item.raw)) for key, item in rows]
        with self._lock:
            try:
                connection = self._opened()
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO bytecode VALUES (?, ?, ?, ?, ?)", values)
            except sqlite3.Error as error:
                self._recover(error)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        with suppress(OSError):
            # The time of its last use, for whoever removes what is not used.
            os.utime(self._path)
        try:
            return _connect(str(self._path))
        except sqlite3.Error as error:
            if _is_damage(error):
                self._remove()
        try:
            return _connect(str(self._path))
        except sqlite3.Error:
            return _connect(":memory:")

    def _recover(self, error: sqlite3.Error) -> None:
        """Replace a damaged file; other errors, such as a full disk or another process's lock, may go away by themselves."""
        if _is_damage(error):
            self.close()
            self._remove()

    def _remove(self) -> None:
        # The log first: a new database next to an old log would be damaged again.
        for suffix in ("-wal", "-shm", ""):
            with suppress(OSError):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=_TIMEOUT_S)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        # A page is read by a call of its own otherwise: eight for each file.
        connection.execute(f"PRAGMA mmap_size = {_MAX_MAPPED}")
        columns = "key BLOB PRIMARY KEY, size INTEGER, crc INTEGER, packed INTEGER, raw BLOB"
        connection.execute(f"CREATE TABLE IF NOT EXISTS bytecode ({columns}) WITHOUT ROWID")
        connection.execute("SELECT key, size, crc, packed, raw FROM bytecode LIMIT 1")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: sqlite3.Error) -> bool:
    """Return whether the file is damaged, not a database, or has another table."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _checksum(item: Deflated) -> int:
    return deflate.crc32(bytes(item.raw), deflate.crc32(struct.pack("<QI", item.size, item.crc32)))


def _valid_rows(rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[bytes, Deflated]]:
    """Yield the rows whose checksum matches their content."""
    for key, size, crc, packed, raw in rows:
        if not (isinstance(key, bytes) and isinstance(raw, bytes) and isinstance(size, int) and isinstance(crc, int)):
            continue
        if not (0 <= size < 1 << 32 and 0 <= crc < 1 << 32):
            continue
        item = Deflated(raw, size, crc)
        if _checksum(item) == packed:
            yield key, item
