"""The local content-addressed cache: blobs by their sha256, small records by the key of what they say.

A blob is written to a temporary file, hashed on the way, and renamed into place, so that a reader never sees half of one.
Records carry their own checksum: a damaged one reads as absent.
"""

import errno
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from shipwheel.errors import DamagedBlob, IntegrityError, StoreError

__all__ = ["BlobWriter", "Store", "default_root", "store_write_error"]

CHUNK = 1 << 20

T = TypeVar("T")


def default_root() -> Path:
    """Where the store is, unless the user says otherwise: SHIPWHEEL_CACHE or the platform's cache directory."""
    named = os.environ.get("SHIPWHEEL_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("shipwheel"))


class BlobWriter:
    """Takes bytes, hashes them, and becomes a blob at `commit`."""

    def __init__(self, stream: BinaryIO, store: "Store") -> None:
        self._stream = stream
        self._store = store
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Appends bytes; raises StoreError if the disk is full."""
        self._store.check_open()
        self._hash.update(data)
        try:
            self._stream.write(data)
        except OSError as error:
            raise store_write_error(self._store.root, error) from error
        self.size += len(data)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"


class Store:
    """A directory of blobs and records that any number of processes may share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.closed = threading.Event()
        self._unfinished: set[Path] = set()
        try:
            for name in ("blobs", "records", "partial", "tmp"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the store {root} cannot be used: {error.strerror}", hint="Set SHIPWHEEL_CACHE to a directory that you can write to."
            ) from error

    def close(self) -> None:
        """From now on reading and writing blobs raises StoreError: threads that are at it come to an end. It waits for nothing.

        What they have not finished is removed already, since a thread that does not notice may end with the process.
        """
        self.closed.set()
        for path in tuple(self._unfinished):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def check_open(self) -> None:
        """Raises StoreError if the store was closed."""
        if self.closed.is_set():
            raise StoreError("the work was interrupted", hint="Run the command again: it goes on from what it had.")

    def path(self, digest: str) -> Path:
        """Where the blob is or would be."""
        algorithm, _, value = digest.partition(":")
        return self.root / "blobs" / algorithm / value[:2] / value

    def has(self, digest: str) -> bool:
        """Whether the blob is there; its bytes are checked when they are read."""
        return self.path(digest).is_file()

    def partial(self, digest: str) -> Path:
        """Where a download of this blob collects its bytes, to be resumed."""
        return self.root / "partial" / digest.partition(":")[2]

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Yields a blob's bytes; raises DamagedBlob at the end, and discards the blob, if they are not what the digest says."""
        seen = hashlib.sha256()
        with self.open(digest) as stream:
            while data := self._read(stream):
                seen.update(data)
                yield data
        if f"sha256:{seen.hexdigest()}" != digest:
            self.discard(digest)
            raise DamagedBlob(digest)

    def open(self, digest: str) -> BinaryIO:
        """Opens a blob without checking it: for readers that hash what they read, or have called `verify`."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError as error:
            raise DamagedBlob(digest) from error
        except OSError as error:
            raise _unreadable(self.root, error) from error

    def read(self, digest: str) -> bytes:
        """A small blob's bytes, checked."""
        return b"".join(self.chunks(digest))

    def verify(self, digest: str) -> bool:
        """Reads a blob through; discards it and says False if it is absent or damaged."""
        try:
            for _ in self.chunks(digest):
                pass
        except DamagedBlob:
            return False
        return True

    def sweep(self) -> tuple[str, ...]:
        """Reads every blob through, discards those that are damaged, and says which: where one is, others may be."""
        found = sorted(f"{path.parent.parent.name}:{path.name}" for path in self.root.glob("blobs/*/*/*") if path.is_file())
        return tuple(digest for digest in found if not self.verify(digest))

    def discard(self, digest: str) -> None:
        """Removes a blob; its absence is success."""
        self.path(digest).unlink(missing_ok=True)

    @contextmanager
    def writer(self, expected: str | None = None) -> Iterator[BlobWriter]:
        """A new blob: what is written in the block is in the store when the block ends well, and gone otherwise.

        Raises IntegrityError if `expected` is another digest, StoreError if the disk is full.
        """
        with self._temporary() as (temporary, stream):
            # What the block itself cannot read or write is its own affair: only the store's errors become StoreError.
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

    def adopt(self, temporary: Path, digest: str) -> None:
        """Moves a finished file whose digest is known into place."""
        final = self.path(digest)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o644)
        temporary.replace(final)

    def add(self, data: bytes) -> str:
        """Stores a small blob and returns its digest."""
        with self.writer() as blob:
            blob.write(data)
        return blob.digest

    def get(self, kind: str, key: str) -> bytes | None:
        """A record, or None when it is absent or damaged."""
        try:
            text = self._record(kind, key).read_bytes()
        except OSError:
            return None
        checksum, _, data = text.partition(b"\n")
        return data if hashlib.sha256(data).hexdigest().encode() == checksum else None

    def get_as(self, kind: str, key: str, record_type: type[T]) -> T | None:
        """Return a record decoded from JSON, or None if it is missing, damaged, or was written in another form by another version."""
        import msgspec

        record = self.get(kind, key)
        try:
            return None if record is None else msgspec.json.decode(record, type=record_type)
        except msgspec.MsgspecError:
            return None

    def put(self, kind: str, key: str, data: bytes) -> None:
        """Writes a record, replacing one of the same key."""
        final = self._record(kind, key)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with self._temporary() as (temporary, stream):
                stream.write(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
                stream.close()
                temporary.replace(final)
        except OSError as error:
            raise store_write_error(self.root, error) from error

    @contextmanager
    def _temporary(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A file that is gone after the block, unless the block has moved it away."""
        self.check_open()
        try:
            handle, name = tempfile.mkstemp(dir=self.root / "tmp")
        except OSError as error:
            raise store_write_error(self.root, error) from error
        stream = os.fdopen(handle, "wb", buffering=CHUNK)
        self._unfinished.add(Path(name))
        try:
            yield Path(name), stream
        finally:
            with suppress(OSError):
                # What a full disk did not take is written again here, and fails again.
                stream.close()
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)
            self._unfinished.discard(Path(name))

    def _read(self, stream: BinaryIO) -> bytes:
        self.check_open()
        try:
            return stream.read(CHUNK)
        except OSError as error:
            raise _unreadable(self.root, error) from error

    def _record(self, kind: str, key: str) -> Path:
        return self.root / "records" / kind / key[:2] / key


def _unreadable(root: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the store {root} cannot be read: {error}", hint="Check the disk, or set SHIPWHEEL_CACHE to a directory on another one."
    )


def store_write_error(root: Path, error: OSError) -> StoreError:
    """The error for a store that cannot be written: its disk is full, or why else."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"no space left on the disk of the store {root}", hint="Free some space, or set SHIPWHEEL_CACHE to a directory on another disk."
        )
    return StoreError(f"the store {root} cannot be written: {error}", hint="Set SHIPWHEEL_CACHE to a directory that you can write to.")
