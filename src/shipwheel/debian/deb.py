"""Reading untrusted .deb files as streams (deb(5), ar(5)), without seeking and without extracting anything."""

import gzip
import hashlib
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

from shipwheel.digest import hash_digest
from shipwheel.errors import ArchiveError

__all__ = ["HashedStream", "damaged", "members", "open_tar", "refused"]

_MAX_UNPACKED_BYTES = 4 << 30
"""The maximum unpacked size of one member, in bytes: four times that of Debian's largest packages."""

_AR_MAGIC = b"!<arch>\n"
_BUFFER = 1 << 18


def damaged(label: str, why: object) -> ArchiveError:
    """Return the error for a package that cannot be read."""
    return ArchiveError(
        f"{label}: the package is damaged ({why})",
        hint="Fetch it again; if that does not help, use another mirror (SHIPWHEEL_DEBIAN_MIRROR).",
    )


def refused(label: str, why: str) -> ArchiveError:
    """Return the error for a package with content that Debian's packages never have."""
    return ArchiveError(f"{label}: {why}", hint="The package is malformed or hostile; do not use it.")


class HashedStream(io.RawIOBase):
    """A stream that hashes what is read through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read and hash the next bytes."""
        data = self._stream.read(len(buffer))
        self._hash.update(data)
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> str:
        """Read to the end and return `sha256:<hex>` of the whole stream."""
        while self.read(_BUFFER):
            pass
        return hash_digest(self._hash)


class _Limited(io.RawIOBase):
    """The next `limit` bytes of a stream.

    With `exact`, the stream must have that many bytes and the rest is left unread; without, more bytes are an error.
    """

    def __init__(self, stream: IO[bytes], limit: int, label: str, *, exact: bool) -> None:
        self._stream = stream
        self._limit = self._left = limit
        self._label = label
        self._exact = exact

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), self._left) if self._exact else len(buffer)
        data = self._stream.read(size) if size else b""
        self._left -= len(data)
        if self._exact and size and not data:
            raise damaged(self._label, "it is truncated")
        if self._left < 0:
            raise refused(self._label, f"it unpacks to more than {self._limit} bytes")
        buffer[: len(data)] = data
        return len(data)


def members(stream: IO[bytes], label: str) -> Iterator[tuple[str, BinaryIO]]:
    """Yield (name, stream) of the archive members in order; bytes that are not read are skipped. Raise ArchiveError."""
    if stream.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise damaged(label, "it is not an ar archive")
    while head := _read_exactly(stream, 60, label):
        # name 16, mtime 12, uid 6, gid 6, mode 8, size 10, magic 2 (ar(5))
        size = head[48:58].strip()
        if head[58:] != b"`\n" or not size.isdigit():
            raise damaged(label, "a member's header is malformed")
        body = _Limited(stream, int(size), label, exact=True)
        yield head[:16].decode("ascii", "replace").strip().rstrip("/"), cast(BinaryIO, body)
        while body.read(_BUFFER):
            pass
        if int(size) % 2:
            stream.read(1)


def _read_exactly(stream: IO[bytes], size: int, label: str) -> bytes:
    data = b""
    while len(data) < size and (piece := stream.read(size - len(data))):
        data += piece
    if data and len(data) != size:
        raise damaged(label, "it is truncated")
    return data


@contextmanager
def open_tar(name: str, stream: BinaryIO, label: str, limit: int = _MAX_UNPACKED_BYTES) -> Iterator[tarfile.TarFile]:
    """Open a member of a package as a tar archive. Raise ArchiveError for a damaged one, also while the block reads it."""
    import zstandard

    kind = name.rpartition(".tar")[2]
    try:
        opened = _decompressed(kind, stream)
        if opened is None:
            raise damaged(label, f"{name} has an unknown compression")
        limited = io.BufferedReader(_Limited(opened, limit, label, exact=False), _BUFFER)
        with tarfile.open(fileobj=limited, mode="r|", encoding="utf-8", bufsize=_BUFFER) as tar:
            yield tar
        # Reading to the end makes the decompressor check the checksum.
        while limited.read(_BUFFER):
            pass
    except (tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError, EOFError, UnicodeDecodeError) as error:
        raise damaged(label, error) from error


def _decompressed(kind: str, stream: BinaryIO) -> IO[bytes] | None:
    match kind:
        case ".xz":
            return lzma.LZMAFile(stream)
        case ".gz":
            return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
        case ".zst":
            import zstandard

            return cast(IO[bytes], zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True))
        case "":
            return stream
    return None
