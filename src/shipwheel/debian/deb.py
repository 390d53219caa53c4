"""Reading a .deb as a stream (deb(5), ar(5)): nothing is extracted, nothing is seekable, nothing is trusted."""

import gzip
import hashlib
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

from shipwheel.errors import ArchiveError

__all__ = ["UNPACKED_LIMIT", "HashedStream", "damaged", "members", "open_tar", "refused"]

UNPACKED_LIMIT = 4 << 30
"""The most that one member of a package may unpack to, in bytes; Debian's largest packages have a quarter of it."""

_AR_MAGIC = b"!<arch>\n"
_BUFFER = 1 << 18


def damaged(label: str, why: object) -> ArchiveError:
    """The error for a package that cannot be read."""
    return ArchiveError(
        f"{label}: the package is damaged ({why})", hint="Fetch it again, from another mirror if it stays so (SHIPWHEEL_DEBIAN_MIRROR)."
    )


def refused(label: str, why: str) -> ArchiveError:
    """The error for a package that holds what no package of Debian's does."""
    return ArchiveError(f"{label}: {why}", hint="The package is malformed or hostile; do not use it.")


class HashedStream(io.RawIOBase):
    """Reads another stream and hashes what went by."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next bytes."""
        data = self._stream.read(len(buffer))
        self._hash.update(data)
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> str:
        """Reads to the end and returns `sha256:<hex>` of everything."""
        while self.read(_BUFFER):
            pass
        return f"sha256:{self._hash.hexdigest()}"


class _Limited(io.RawIOBase):
    """The next `left` bytes of a stream. With `strict`, an earlier end is an error; without, a later one is: more than allowed."""

    def __init__(self, stream: IO[bytes], left: int, label: str, *, strict: bool) -> None:
        self._stream = stream
        self._left = left
        self._label = label
        self._strict = strict

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._left) if self._strict else len(buffer)
        data = self._stream.read(wanted) if wanted else b""
        self._left -= len(data)
        if self._strict and wanted and not data:
            raise damaged(self._label, "it is cut off")
        if self._left < 0:
            raise refused(self._label, f"it unpacks to more than {UNPACKED_LIMIT} bytes")
        buffer[: len(data)] = data
        return len(data)


def members(stream: IO[bytes], label: str) -> Iterator[tuple[str, BinaryIO]]:
    """(name, stream) of the archive members in order; what is not read of one is skipped. Raises ArchiveError."""
    if stream.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise damaged(label, "it is not an ar archive")
    while head := _exactly(stream, 60, label):
        # name 16, mtime 12, uid 6, gid 6, mode 8, size 10, magic 2 (ar(5))
        size = head[48:58].strip()
        if head[58:] != b"`\n" or not size.isdigit():
            raise damaged(label, "a member's header is malformed")
        body = _Limited(stream, int(size), label, strict=True)
        yield head[:16].decode("ascii", "replace").strip().rstrip("/"), cast(BinaryIO, body)
        while body.read(_BUFFER):
            pass
        if int(size) % 2:
            stream.read(1)


def _exactly(stream: IO[bytes], size: int, label: str) -> bytes:
    data = b""
    while len(data) < size and (piece := stream.read(size - len(data))):
        data += piece
    if data and len(data) != size:
        raise damaged(label, "it is cut off")
    return data


@contextmanager
def open_tar(name: str, stream: BinaryIO, label: str, limit: int = UNPACKED_LIMIT) -> Iterator[tarfile.TarFile]:
    """A compressed tar member as a stream of tar members; whatever is wrong in it, there or in the block, raises ArchiveError."""
    import zstandard

    kind = name.rpartition(".tar")[2]
    try:
        opened = _decompressed(kind, stream)
        if opened is None:
            raise damaged(label, f"{name} is compressed in a way that is not known")
        limited = io.BufferedReader(_Limited(opened, limit, label, strict=False), _BUFFER)
        with tarfile.open(fileobj=limited, mode="r|", encoding="utf-8", bufsize=_BUFFER) as tar:
            yield tar
        # To the end, so that the checksum of the compressed data is compared too.
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
