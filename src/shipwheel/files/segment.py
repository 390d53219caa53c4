"""Segments: the deterministic tar bytes of one source, compressed on their own, without the end-of-archive blocks.

Compressed members concatenate (RFC 1952, 2.2), so a layer is made of segments without compressing again. A zip entry already
is raw deflate with its CRC-32 and size: it is copied as one member, and only headers, padding and small files are compressed.
"""

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import deflate
import msgspec

from shipwheel.errors import ArchiveError, DamagedBlob, UsageError
from shipwheel.files import tar
from shipwheel.files.compress import Deflated, gunzip, inflate, member, splice
from shipwheel.files.ctypes_libraries import ctypes_libraries
from shipwheel.files.elf import ElfObject, is_elf, read_elf
from shipwheel.files.entry import EntryType, FileEntry, LazyContent, Source, checked_path
from shipwheel.store import Store

__all__ = [
    "LAYOUT_VERSION",
    "Directory",
    "Segment",
    "SegmentWriter",
    "Sink",
    "Tap",
    "find_segment",
    "key_of",
    "load_segment_metadata",
    "make_segment",
    "save_segment_metadata",
    "source_date_epoch",
    "uncompressed_chunks",
]

LAYOUT_VERSION = "1"
"""Part of every key: raise it when the same source would give other bytes."""

SMALL = 2048
"""Files under this size are compressed together with their headers, and larger ones are spliced."""

_TOLD = "told"
_MAX_TIME = 0o77777777777
_FLUSH = 512 << 10
_IN_MEMORY = 64 << 20


class Directory(msgspec.Struct, frozen=True, array_like=True):
    """The attributes of a directory that a source cares about."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


class Segment(msgspec.Struct, frozen=True):
    """What is known of a segment; its bytes are the blob `digest` in the store."""

    key: str
    label: str
    digest: str
    size: int
    unpacked_size: int
    files: dict[str, int]
    """Path -> CRC-32 of the content."""
    links: dict[str, str]
    """Path of a symbolic or hard link -> target."""
    directories: dict[str, Directory]
    elf: tuple[ElfObject, ...]
    opens: tuple[str, ...] = ()
    """Libraries that Python modules open by name, see `ctypes_libraries`."""


def source_date_epoch() -> int:
    """The time in seconds that all files of an image carry: SOURCE_DATE_EPOCH, or 1980-01-02, which zip can still express.

    Raises UsageError for a SOURCE_DATE_EPOCH that is no time that tar can hold.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH") or "315619200"
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _MAX_TIME):
        raise UsageError(
            f"SOURCE_DATE_EPOCH={text[:40]!r} is not a time", hint="Write whole seconds since 1970-01-01, for example 315619200."
        )
    return int(text)


def key_of(*parts: str) -> str:
    """A hex sha256 over the parts, the layout version and the files' time."""
    text = "\0".join((LAYOUT_VERSION, str(source_date_epoch()), *parts))
    return hashlib.sha256(text.encode()).hexdigest()


def load_segment_metadata(key: str, store: Store) -> Segment | None:
    """What the store knows of a segment, whether or not it has its bytes: from having made it, else from being told."""
    return store.get_as("segment", key, Segment) or store.get_as(_TOLD, key, Segment)


def save_segment_metadata(segment: Segment, store: Store) -> None:
    """Remembers what another machine says of a segment: facts, but never which blob of this store has its bytes."""
    store.put(_TOLD, segment.key, msgspec.json.encode(segment))


def find_segment(key: str, store: Store) -> Segment | None:
    """The segment of that key, if the store has it whole, made by this machine."""
    segment = store.get_as("segment", key, Segment)
    return segment if segment is not None and store.has(segment.digest) else None


def uncompressed_chunks(segment: Segment, store: Store) -> Iterator[bytes]:
    """The segment's uncompressed bytes; raises DamagedBlob if the store's are not what was written."""
    try:
        yield from gunzip(store.chunks(segment.digest))
    except ArchiveError as error:
        # Bytes that do not even unpack: the decompressor is the first to notice.
        store.discard(segment.digest)
        raise DamagedBlob(segment.digest) from error


class Tap(Protocol):
    """Follows the uncompressed bytes of a segment while it is made."""

    def begin(self, directories: dict[str, Directory]) -> None:
        """Called once, before the first byte, with the directories that the source has named so far."""

    def update(self, data: bytes | bytearray, /) -> None:
        """The next bytes."""


def make_segment(source: Source, store: Store, tap: Tap | None = None) -> Segment:
    """Writes the source's segment into the store."""
    with store.writer() as blob:
        writer = SegmentWriter(blob, source.label, tap)
        for entry in source.entries():
            writer.add(entry)
        writer.flush()
    segment = Segment(
        key=source.key,
        label=source.label,
        digest=blob.digest,
        size=blob.size,
        unpacked_size=writer.unpacked_size,
        files=writer.files,
        links=writer.links,
        directories=writer.directories,
        elf=tuple(writer.elf),
        opens=tuple(sorted(writer.opens)),
    )
    store.put("segment", source.key, msgspec.json.encode(segment))
    return segment


class Sink(Protocol):
    """What compressed bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Appends bytes."""


class SegmentWriter:
    """Turns file entries into compressed tar members, and notes what it saw."""

    def __init__(self, sink: Sink, label: str, tap: Tap | None = None) -> None:
        self._sink = sink
        self._label = label
        self._tap = tap
        self._mtime = source_date_epoch()
        self._pending = bytearray()
        self.unpacked_size = 0
        self.files: dict[str, int] = {}
        self.links: dict[str, str] = {}
        self.directories: dict[str, Directory] = {}
        self.elf: list[ElfObject] = []
        self.opens: set[str] = set()

    def add(self, entry: FileEntry) -> None:
        """Takes an entry. A directory is only noted: the layer writes each once, before everything else."""
        path = checked_path(entry.path, self._label)
        if path in self.files or path in self.links:
            raise ArchiveError(f"{self._label}: {path} is there twice", hint="The file is malformed; do not use it.")
        match entry.type:
            case EntryType.DIRECTORY:
                self.directories[path] = Directory(entry.mode, entry.uid, entry.gid)
            case EntryType.FILE:
                self._file(path, entry)
            case EntryType.SYMLINK | EntryType.HARDLINK:
                self.links[path] = checked_path(entry.target, self._label) if entry.type is EntryType.HARDLINK else entry.target
                self._text(tar.header(entry, 0, self._mtime))

    def raw(self, header: bytes) -> None:
        """Takes finished tar bytes: a layer's directories and its end."""
        self._text(header)

    def flush(self) -> None:
        """Compresses what is pending."""
        if self._pending:
            data = bytes(self._pending)
            self._pending.clear()
            self._count(data)
            self._sink.write(member(data))

    def _file(self, path: str, entry: FileEntry) -> None:
        content = entry.content
        if isinstance(content, LazyContent):
            self._text(tar.header(entry, content.size, self._mtime))
            with content.open() as stream:
                self._stream(path, stream, content.size)
        elif isinstance(content, bytes):
            self._text(tar.header(entry, len(content), self._mtime))
            self._whole(path, content)
        else:
            self._text(tar.header(entry, content.size, self._mtime))
            self._deflated(path, content)

    def _whole(self, path: str, data: bytes | bytearray) -> None:
        self.files[path] = deflate.crc32(data)
        self._inspect(path, io.BytesIO(data), data[:4])
        if _is_module(path):
            self.opens.update(ctypes_libraries(path, data))
        for start in range(0, len(data), _FLUSH):
            self._text(data[start : start + _FLUSH])
        self._text(tar.padding(len(data)))

    def _stream(self, path: str, stream: BinaryIO, size: int) -> None:
        crc = seen = 0
        with _spool(size) as copy:
            while piece := stream.read(_FLUSH):
                crc = deflate.crc32(piece, crc)
                seen += len(piece)
                if seen == len(piece) and not is_elf(piece) and not _is_module(path):
                    copy.close()
                if not copy.closed:
                    copy.write(piece)
                self._text(piece)
            if seen != size:
                raise ArchiveError(f"{self._label}: {path} changed while it was read", hint="Run the command again.")
            if not copy.closed and seen:
                self._look(path, copy)
        self.files[path] = crc
        self._text(tar.padding(size))

    def _deflated(self, path: str, content: Deflated) -> None:
        if content.size < SMALL:
            self._whole(path, b"".join(inflate(content, f"{self._label}: {path}")))
            return
        self.flush()
        self.files[path] = content.crc32
        with _spool(content.size) as copy:
            kept = None
            for piece in inflate(content, f"{self._label}: {path}"):
                if kept is None and piece:
                    kept = is_elf(piece) or _is_module(path)
                if kept:
                    copy.write(piece)
                self._count(piece)
            if kept:
                self._look(path, copy)
        for part in splice(content):
            self._sink.write(part)  # type: ignore[arg-type]
        self._text(tar.padding(content.size))

    def _look(self, path: str, copy: BinaryIO) -> None:
        """Notes what is in a file that was kept for it."""
        copy.seek(0)
        if _is_module(path):
            self.opens.update(ctypes_libraries(path, copy.read()))
        else:
            self._inspect(path, copy, b"\x7fELF")

    def _inspect(self, path: str, stream: BinaryIO, head: bytes | bytearray) -> None:
        if not is_elf(head):
            return
        # A damaged one is a file like any other: some packages have them for their tests, and no loader takes it.
        with contextlib.suppress(ArchiveError):
            found = read_elf(stream, path, self._label)
            if found is not None:
                self.elf.append(found)

    def _text(self, data: bytes | bytearray) -> None:
        self._pending += data
        if len(self._pending) >= _FLUSH:
            self.flush()

    def _count(self, data: bytes | bytearray) -> None:
        if self._tap is not None:
            if not self.unpacked_size:
                self._tap.begin(self.directories)
            self._tap.update(data)
        self.unpacked_size += len(data)


def _is_module(path: str) -> bool:
    return path.endswith(".py")


@contextlib.contextmanager
def _spool(size: int) -> Iterator[BinaryIO]:
    """Somewhere to keep a file's bytes until it can be looked at: memory, or a temporary file for a large one."""
    if size <= _IN_MEMORY:
        yield io.BytesIO()
    else:
        with tempfile.TemporaryFile() as stream:
            yield stream
