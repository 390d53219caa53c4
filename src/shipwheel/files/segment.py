"""Segments: the deterministic tar bytes of one source, compressed separately, without end-of-archive blocks.

A segment is a fragment of a gzip member, so layers consist of segments that are not compressed again. A zip entry already is raw deflate
data with a CRC-32 and a size: it becomes a fragment as it is, and only headers, padding and small files are compressed.
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

from shipwheel.digest import Digest
from shipwheel.errors import ArchiveError, DamagedBlob, UsageError
from shipwheel.files import tar
from shipwheel.files.compress import Deflated, inflate
from shipwheel.files.ctypes_libraries import ctypes_libraries
from shipwheel.files.elf import ElfObject, is_elf, read_elf
from shipwheel.files.entry import EntryType, FileEntry, LazyContent, Source, checked_path, is_whiteout
from shipwheel.files.fragments import Spliced, fragment, inflate_fragments
from shipwheel.store.store import BlobWriter, Store
from shipwheel.timeline import span

__all__ = [
    "LAYOUT_VERSION",
    "SEGMENT_RECORD",
    "Directory",
    "Observer",
    "Segment",
    "find_segment",
    "key_of",
    "load_segment_metadata",
    "make_segment",
    "save_segment_metadata",
    "source_date_epoch",
    "uncompressed_chunks",
]

LAYOUT_VERSION = "4"
"""Part of every key. Increase it when the same source yields other bytes."""

MIN_SPLICED_BYTES = 2048
"""Deflated files from this size on are spliced; smaller ones are compressed together with their headers."""

SEGMENT_RECORD, _FOREIGN = "segment", "told"
"""Kinds of records: about segments that this machine has made, and about those that another machine describes."""

_MAX_TIME = 0o77777777777
_FRAGMENT_BYTES = 512 << 10
_MAX_IN_MEMORY = 8 << 20
_HEADER_BYTES = 4


class Directory(msgspec.Struct, frozen=True, array_like=True):
    """The attributes of a directory, as far as sources set them."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


class Segment(msgspec.Struct, frozen=True):
    """A segment's metadata. Its bytes are the blob `digest` in the store; sizes in bytes."""

    key: str
    label: str
    digest: Digest
    size: int
    unpacked_size: int
    files: dict[str, int]
    """Path of a file -> CRC-32 of its content."""
    links: dict[str, str]
    """Path of a symbolic or hard link -> its target."""
    directories: dict[str, Directory]
    elf: tuple[ElfObject, ...]
    ctypes_libraries: tuple[str, ...] = msgspec.field(default=(), name="opens")
    """Libraries that Python modules open by name."""


def source_date_epoch() -> int:
    """Return the modification time, in seconds, of all files in an image: SOURCE_DATE_EPOCH, else 1980-01-02, which zip can express.

    Raise UsageError if SOURCE_DATE_EPOCH is not a time that tar can store.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH") or "315619200"
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _MAX_TIME):
        raise UsageError(
            f"SOURCE_DATE_EPOCH={text[:40]!r} is not a time", hint="Write whole seconds since 1970-01-01, for example 315619200."
        )
    return int(text)


def key_of(*parts: str) -> str:
    """Return a hex sha256 over the parts, the layout version and the files' modification time."""
    text = "\0".join((LAYOUT_VERSION, str(source_date_epoch()), *parts))
    return hashlib.sha256(text.encode()).hexdigest()


def load_segment_metadata(key: str, store: Store) -> Segment | None:
    """Return the metadata of a segment, whether or not the store has its bytes: this machine's own, else another machine's."""
    return store.get_as(SEGMENT_RECORD, key, Segment) or store.get_as(_FOREIGN, key, Segment)


def save_segment_metadata(segment: Segment, store: Store) -> None:
    """Store another machine's metadata of a segment. It is never used to find the segment's bytes in this store."""
    store.put(_FOREIGN, segment.key, msgspec.json.encode(segment))


def find_segment(key: str, store: Store) -> Segment | None:
    """Return the segment with this key if this machine has made it and the store has its bytes."""
    segment = store.get_as(SEGMENT_RECORD, key, Segment)
    return segment if segment is not None and store.has(segment.digest) else None


def uncompressed_chunks(segment: Segment, store: Store) -> Iterator[bytes]:
    """Yield the segment's uncompressed bytes. Raise DamagedBlob if its blob is damaged."""
    try:
        yield from inflate_fragments(store.chunks(segment.digest), segment.unpacked_size)
    except ArchiveError as error:
        # The decompressor notices the damage before the hash does.
        store.discard(segment.digest)
        raise DamagedBlob(segment.digest) from error


class Observer(Protocol):
    """Receives the uncompressed bytes of a segment while it is made."""

    def begin(self, directories: dict[str, Directory]) -> None:
        """Receive the directories that the source has yielded so far; called once, before the first bytes."""

    def update(self, data: bytes | bytearray, /) -> None:
        """Receive the next bytes."""


def make_segment(source: Source, store: Store, observer: Observer | None = None) -> Segment:
    """Write the segment of a source into the store. Raise ArchiveError if its entries are malformed."""
    with span("segment", source.label), store.writer() as blob:
        writer = _SegmentWriter(blob, source.label, observer)
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
        ctypes_libraries=tuple(sorted(writer.ctypes_libraries)),
    )
    store.put(SEGMENT_RECORD, source.key, msgspec.json.encode(segment))
    return segment


class _SegmentWriter:
    """Writes file entries as compressed tar data, and collects the metadata of the segment."""

    def __init__(self, blob: BlobWriter, label: str, observer: Observer | None) -> None:
        self._blob = blob
        self._label = label
        self._observer = observer
        self._mtime = source_date_epoch()
        self._pending = bytearray()
        self.unpacked_size = 0
        self.files: dict[str, int] = {}
        self.links: dict[str, str] = {}
        self.directories: dict[str, Directory] = {}
        self.elf: list[ElfObject] = []
        self.ctypes_libraries: set[str] = set()

    def add(self, entry: FileEntry) -> None:
        """Write an entry. A directory is only recorded, because the layer writes each directory once, before everything else."""
        path = checked_path(entry.path, self._label)
        if is_whiteout(path):
            raise ArchiveError(
                f"{self._label}: {path}: in an image, a name that starts with .wh. deletes files",
                hint="Rename the file if it is yours; otherwise do not use the package.",
            )
        if path in self.files or path in self.links:
            raise ArchiveError(f"{self._label}: {path} occurs twice", hint="The file is malformed; do not use it.")
        match entry.type:
            case EntryType.DIRECTORY:
                self.directories[path] = Directory(entry.mode, entry.uid, entry.gid)
            case EntryType.FILE:
                self._write_file(path, entry)
            case EntryType.SYMLINK | EntryType.HARDLINK:
                self.links[path] = checked_path(entry.target, self._label) if entry.type is EntryType.HARDLINK else entry.target
                self._write(tar.header(entry, 0, self._mtime))

    def flush(self) -> None:
        """Compress the pending bytes into one fragment."""
        if self._pending:
            data = bytes(self._pending)
            self._pending.clear()
            self._observe(data)
            self._blob.write(fragment(data))

    def _write_file(self, path: str, entry: FileEntry) -> None:
        content = entry.content
        if isinstance(content, LazyContent):
            self._write(tar.header(entry, content.size, self._mtime))
            with content.open() as stream:
                self._write_stream(path, stream, content.size)
        elif isinstance(content, bytes):
            self._write(tar.header(entry, len(content), self._mtime))
            self._write_bytes(path, content)
        else:
            self._write(tar.header(entry, content.size, self._mtime))
            self._write_deflated(path, content)

    def _write_bytes(self, path: str, data: bytes | bytearray) -> None:
        self.files[path] = deflate.crc32(data)
        if _is_inspected(path, data[:_HEADER_BYTES]):
            self._inspect(path, io.BytesIO(data))
        for start in range(0, len(data), _FRAGMENT_BYTES):
            self._write(data[start : start + _FRAGMENT_BYTES])
        self._write(tar.padding(len(data)))

    def _write_stream(self, path: str, stream: BinaryIO, size: int) -> None:
        crc = read = 0
        with _spool(size) as copy:
            while piece := stream.read(_FRAGMENT_BYTES):
                if not read and not _is_inspected(path, piece):
                    copy.close()
                crc = deflate.crc32(piece, crc)
                read += len(piece)
                if not copy.closed:
                    copy.write(piece)
                self._write(piece)
            if read != size:
                raise ArchiveError(f"{self._label}: {path} changed while it was read", hint="Run the command again.")
            if not copy.closed and read:
                self._inspect(path, copy)
        self.files[path] = crc
        self._write(tar.padding(size))

    def _write_deflated(self, path: str, content: Deflated) -> None:
        if content.size < MIN_SPLICED_BYTES:
            self._write_bytes(path, b"".join(inflate(content, f"{self._label}: {path}")))
            return
        self.flush()
        self.files[path] = content.crc32
        spliced = Spliced(content, f"{self._label}: {path}")
        with _spool(content.size) as copy:
            inspected = None
            for piece in spliced:
                if inspected is None and piece:
                    inspected = _is_inspected(path, piece)
                if inspected:
                    copy.write(piece)
                self._observe(piece)
            if inspected:
                self._inspect(path, copy)
        for part in spliced.parts():
            self._blob.write(part)
        self._write(tar.padding(content.size))

    def _inspect(self, path: str, content: BinaryIO) -> None:
        """Record the libraries that a Python module opens, or the properties of an ELF file."""
        content.seek(0)
        if _is_module(path):
            self.ctypes_libraries.update(ctypes_libraries(path, content.read()))
            content.seek(0)
        if not is_elf(content.read(_HEADER_BYTES)):
            return
        # A damaged ELF file is an ordinary file: some packages have them for their tests, and no loader accepts them.
        with contextlib.suppress(ArchiveError):
            found = read_elf(content, path, self._label)
            if found is not None:
                self.elf.append(found)

    def _write(self, data: bytes | bytearray) -> None:
        self._pending += data
        if len(self._pending) >= _FRAGMENT_BYTES:
            self.flush()

    def _observe(self, data: bytes | bytearray) -> None:
        if self._observer is not None:
            if not self.unpacked_size:
                self._observer.begin(self.directories)
            self._observer.update(data)
        self.unpacked_size += len(data)


def _is_module(path: str) -> bool:
    return path.endswith(".py")


def _is_inspected(path: str, start: bytes | bytearray) -> bool:
    return _is_module(path) or is_elf(start)


@contextlib.contextmanager
def _spool(size: int) -> Iterator[BinaryIO]:
    """Provide a place for a file's bytes until they can be inspected: memory, or a temporary file for a large one."""
    if size <= _MAX_IN_MEMORY:
        yield io.BytesIO()
    else:
        with tempfile.TemporaryFile() as stream:
            yield stream
