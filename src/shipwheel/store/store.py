"""The local content-addressed cache: blobs by their sha256, and small records by key.

A blob is written to a temporary file, hashed while it is written, and renamed into place, so that readers see complete blobs only.
A record contains a checksum; a damaged record is treated as absent. The modification time of a file is that of its last use.
"""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.digest import Digest, as_digest, hash_digest
from shipwheel.errors import DamagedBlob, IntegrityError, StoreError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.store.sessions import note_use, open_session
from shipwheel.timeline import piece

__all__ = ["NO_SPACE", "BlobWriter", "Store", "default_root", "store_write_error"]

CHUNK = 128 << 10

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""The error numbers of a full disk."""

_PLAIN_KEY = lazy_pattern(r"[0-9A-Za-z][0-9A-Za-z._-]{1,199}\Z")
"""Keys that name their record's file. Another machine's records bring keys of their own, so any other text is hashed."""

T = TypeVar("T")


def default_root() -> Path:
    """Return the default directory of the store: SHIPWHEEL_CACHE, or the user's cache directory."""
    configured = os.environ.get("SHIPWHEEL_CACHE")
    if configured:
        return Path(configured)
    import platformdirs

    return Path(platformdirs.user_cache_dir("shipwheel"))


class BlobWriter:
    """An open blob: it hashes the bytes that are written to it. `size` in bytes."""

    def __init__(self, stream: BinaryIO, store: "Store") -> None:
        self._stream = stream
        self._store = store
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raise StoreError if the disk is full."""
        self._store.check_open()
        with piece("hash"):
            self._hash.update(data)
        try:
            self._stream.write(data)
        except OSError as error:
            raise store_write_error(self._store.root, error) from error
        self.size += len(data)

    @property
    def digest(self) -> Digest:
        """`sha256:<hex>` of the bytes written so far."""
        return hash_digest(self._hash)


class Store:
    """A directory of blobs and records. Any number of processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.closed = threading.Event()
        self.has_written = False
        self._intact: dict[Digest, tuple[int, ...]] = {}
        self._unfinished: set[Path] = set()
        try:
            root.mkdir(parents=True, exist_ok=True)
            # First, because empty directories of a store that nobody uses may be removed.
            self._session = open_session(root)
            for name in ("blobs", "records", "partial", "tmp"):
                (root / name).mkdir(exist_ok=True)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise store_write_error(root, error) from error
            raise StoreError(
                f"the store {root} cannot be used: {error.strerror}", hint="Set SHIPWHEEL_CACHE to a writable directory."
            ) from error

    def close(self) -> None:
        """Make every later read and write of a blob raise StoreError, so that running threads end. Return without waiting for them.

        Unfinished files are removed here, because a thread that does not notice may end with the process.
        """
        self.closed.set()
        for path in tuple(self._unfinished):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if self._session is not None:
            self._session.close()

    def check_open(self) -> None:
        """Raise StoreError if the store was closed."""
        if self.closed.is_set():
            raise StoreError("interrupted", hint="Run the command again to resume.")

    def path(self, digest: Digest) -> Path:
        """Return the path that the blob has, or would have."""
        algorithm, _, value = digest.partition(":")
        return self.root.joinpath("blobs", algorithm, value[:2], value)

    def has(self, digest: Digest) -> bool:
        """Return whether the store has the blob, for the caller to use. Its bytes are checked when they are read."""
        path = self.path(digest)
        try:
            status = path.stat()
        except OSError:
            return False
        note_use(path, status)
        return stat.S_ISREG(status.st_mode)

    def size(self, digest: Digest) -> int:
        """Return a blob's size in bytes, 0 if the store does not have it."""
        try:
            return self.path(digest).stat().st_size
        except OSError:
            return 0

    def partial(self, digest: Digest) -> Path:
        """Return the path where a download of this blob collects its bytes, so that it can be resumed."""
        return self.root / "partial" / digest.partition(":")[2]

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Yield a blob's bytes. At the end, discard the blob and raise DamagedBlob if they do not match the digest.

        A blob that this process has written or hashed is not hashed again as long as its file stays the same.
        """
        with self.open(digest) as stream:
            state = _state(os.fstat(stream.fileno()))
            checksum = hashlib.sha256() if self._intact.get(digest) != state else None
            while data := self._read(stream):
                if checksum is not None:
                    with piece("hash"):
                        checksum.update(data)
                yield data
        if checksum is not None and hash_digest(checksum) != digest:
            self.discard(digest)
            raise DamagedBlob(digest)
        self._intact[digest] = state

    def open(self, digest: Digest) -> BinaryIO:
        """Open a blob without checking it, for callers that hash what they read or have called `verify`."""
        path = self.path(digest)
        try:
            stream = path.open("rb")
            note_use(path, os.fstat(stream.fileno()))
            return stream
        except FileNotFoundError as error:
            raise DamagedBlob(digest) from error
        except OSError as error:
            raise _unreadable(self.root, error) from error

    def read(self, digest: Digest) -> bytes:
        """Return the bytes of a small blob. Raise DamagedBlob if they do not match the digest."""
        return b"".join(self.chunks(digest))

    def verify(self, digest: Digest) -> bool:
        """Read a blob to its end. Return whether it is intact; discard it if it is damaged."""
        try:
            for _ in self.chunks(digest):
                pass
        except DamagedBlob:
            return False
        return True

    def sweep(self) -> tuple[Digest, ...]:
        """Verify every blob, because one damaged blob is often not the only one. Return the digests of those that were discarded."""
        self._intact.clear()
        names = sorted(f"{path.parent.parent.name}:{path.name}" for path in self.root.glob("blobs/*/*/*") if path.is_file())
        return tuple(digest for digest in map(as_digest, names) if digest is not None and not self.verify(digest))

    def discard(self, digest: Digest) -> None:
        """Remove a blob, if the store has it."""
        self.path(digest).unlink(missing_ok=True)

    @contextmanager
    def writer(self, expected: Digest | None = None) -> Iterator[BlobWriter]:
        """Write a new blob, which the store keeps if the block succeeds.

        Raise IntegrityError if its digest is not `expected`, StoreError if the disk is full.
        """
        with self._temporary() as (temporary, stream):
            # An OSError of the block itself passes unchanged: only the store's own errors become StoreError.
            blob = BlobWriter(stream, self)
            yield blob
            if expected is not None and blob.digest != expected:
                raise IntegrityError(f"expected {expected}, got {blob.digest} ({blob.size} bytes)")
            try:
                stream.flush()
                os.fsync(stream.fileno())
                stream.close()
                self.adopt(temporary, blob.digest)
            except OSError as error:
                raise store_write_error(self.root, error) from error

    def adopt(self, temporary: Path, digest: Digest) -> None:
        """Move a complete file with this digest into place."""
        final = self.path(digest)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o644)
        temporary.replace(final)
        self._intact[digest] = _state(final.stat())
        self.has_written = True

    def add(self, data: bytes) -> Digest:
        """Store a small blob and return its digest."""
        with self.writer() as blob:
            blob.write(data)
        return blob.digest

    def get(self, kind: str, key: str) -> bytes | None:
        """Return a record, or None if it is absent or damaged."""
        path = self._record(kind, key)
        try:
            with path.open("rb") as stream:
                note_use(path, os.fstat(stream.fileno()))
                text = stream.read()
        except OSError:
            return None
        checksum, _, data = text.partition(b"\n")
        return data if hashlib.sha256(data).hexdigest().encode() == checksum else None

    def get_as(self, kind: str, key: str, record_type: type[T]) -> T | None:
        """Return a record decoded from JSON, or None if it is missing, damaged, or was written in another form by another version."""
        record = self.get(kind, key)
        try:
            return None if record is None else decode_json(record, record_type)
        except InvalidDocument:
            return None

    def put(self, kind: str, key: str, data: bytes) -> None:
        """Write a record, replacing any record with the same key. Raise StoreError if the disk is full."""
        final = self._record(kind, key)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with self._temporary() as (temporary, stream):
                stream.write(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
                stream.close()
                temporary.replace(final)
                self.has_written = True
        except OSError as error:
            raise store_write_error(self.root, error) from error

    @contextmanager
    def _temporary(self) -> Iterator[tuple[Path, BinaryIO]]:
        """Create a temporary file that is removed after the block, unless the block has moved it."""
        # A signal may come between any two steps, and `close` removes what is noted: so the name is noted before there is a file.
        path = self.root / "tmp" / f"{self._session.prefix if self._session is not None else 'tmp'}{os.urandom(8).hex()}"
        self._unfinished.add(path)
        stream: BinaryIO | None = None
        try:
            try:
                stream = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=CHUNK)
            except OSError as error:
                raise store_write_error(self.root, error) from error
            self.check_open()
            yield path, stream
        finally:
            if stream is not None:
                with suppress(OSError):
                    # Closing flushes what a full disk did not take, and fails again.
                    stream.close()
            with suppress(OSError):
                path.unlink(missing_ok=True)
            self._unfinished.discard(path)

    def _read(self, stream: BinaryIO) -> bytes:
        self.check_open()
        try:
            return stream.read(CHUNK)
        except OSError as error:
            raise _unreadable(self.root, error) from error

    def _record(self, kind: str, key: str) -> Path:
        # The prefix keeps such a name apart from keys that are hashes themselves, and whose input others may know.
        name = key if _PLAIN_KEY.match(key) else f"key-{hashlib.sha256(key.encode()).hexdigest()}"
        return self.root.joinpath("records", kind, name[:2], name)


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes if a file is replaced, or written to."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _unreadable(root: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the store {root} cannot be read: {error}", hint="Check the disk, or set SHIPWHEEL_CACHE to a directory on another one."
    )


def store_write_error(root: Path, error: OSError) -> StoreError:
    """Return the error for a store that cannot be written."""
    if error.errno in NO_SPACE:
        return StoreError(
            f"no space left on the disk of the store {root}",
            hint="Remove what was not used lately with `shipwheel cache prune`, or set SHIPWHEEL_CACHE to a directory on another disk.",
        )
    return StoreError(f"the store {root} cannot be written: {error}", hint="Set SHIPWHEEL_CACHE to a writable directory.")
