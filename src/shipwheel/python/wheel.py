"""A wheel as a source of file entries: installed as a virtual environment would hold it, without unpacking anything.

The installer library walks the wheel; its destination here yields entries whose content stays the zip's own deflate data.
(Binary distribution format: PEP 427, recording installed distributions: PEP 376 and PEP 627.)
"""

import csv
import io
import mmap
import posixpath
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from shipwheel.errors import ArchiveError, DamagedBlob
from shipwheel.files.compress import inflate
from shipwheel.files.entry import Content, Deflated, EntryType, FileEntry, Opened, checked_path, directory, file, parents
from shipwheel.files.segment import key_of
from shipwheel.python.venv import PYTHON, VENV, Paths
from shipwheel.store import Store

if TYPE_CHECKING:
    from installer.records import RecordEntry
    from installer.scripts import ScriptSection
    from installer.utils import Scheme

__all__ = ["Compiler", "WheelSource"]

_LARGEST_RATIO = 300
"""A file that unpacks to more than this many times its packed size (and is not small) is a bomb: deflate itself stops at 1032."""

_SMALL = 64 << 20
_HINT = "The wheel is malformed or hostile; do not use it."


class Compiler(Protocol):
    """Turns sources into bytecode for the target."""

    @property
    def identity(self) -> str:
        """What decides the bytes, apart from path and source: implementation and full version."""

    def compile(self, sources: Sequence[tuple[str, bytes]]) -> list[Deflated | None]:
        """For each (absolute path in the image, source) the .pyc file, or None for what is not valid Python of this version."""


@dataclass(frozen=True, slots=True)
class WheelSource:
    """An installed wheel. `digest` names the wheel in the store, `label` in errors: "numpy 1.26.4".

    `spliced` is off for wheels built on this machine, whose compressed bytes depend on it.
    """

    label: str
    filename: str
    digest: str
    store: Store
    paths: Paths
    compiler: Compiler | None = None
    spliced: bool = True
    identity: str = ""

    @property
    def key(self) -> str:
        """Over the wheel (or `identity`, what a wheel built here was built from), the Python minor and the compiler."""
        compiler = self.compiler.identity if self.compiler else ""
        return key_of("wheel", self.identity or self.digest, self.paths.minor, VENV, compiler, str(self.spliced))

    def entries(self) -> Iterator[FileEntry]:
        """Directories first, then all files, sorted by path. Raises ArchiveError for a wheel that cannot be trusted."""
        if not self.store.verify(self.digest):
            raise DamagedBlob(self.digest)
        with _archive(self.store.path(self.digest), self.filename) as archive:
            destination = self._install(archive)
            installed = destination.entries if self.spliced else [_plain(entry) for entry in destination.entries]
            bytecode = list(self._bytecode(installed))
            entries = [*installed, *bytecode, destination.record(bytecode)]
            yield from sorted(_directories(entries), key=lambda entry: entry.path)
            yield from sorted(entries, key=lambda entry: entry.path)

    def _install(self, archive: "_Archive") -> "_Destination":
        from installer import install
        from installer.exceptions import InvalidWheelSource
        from installer.records import InvalidRecordEntry
        from installer.sources import WheelFile

        # Bytecode that came in the wheel is left out; ours takes its place.
        warnings.filterwarnings("ignore", "Skip installing", RuntimeWarning)
        destination = _Destination(archive, self)
        try:
            # The store names files by digest; installer reads the wheel's own name.
            archive.zip.filename = self.filename
            source = WheelFile(archive.zip)
            destination.read_record(source.read_dist_info("RECORD"))
            install(source, destination, {"INSTALLER": b"shipwheel\n"})  # type: ignore[arg-type]
        except (InvalidWheelSource, InvalidRecordEntry, AssertionError, KeyError, ValueError, UnicodeDecodeError) as error:
            raise ArchiveError(f"{self.label}: {self.filename} is not a valid wheel: {error}", hint=_HINT) from error
        return destination

    def _bytecode(self, installed: Sequence[FileEntry]) -> Iterator[FileEntry]:
        if self.compiler is None:
            return
        sources = [entry for entry in installed if entry.path.endswith(".py") and entry.path.startswith(self.paths.site_packages)]
        compiled = self.compiler.compile([(f"/{entry.path}", _bytes(entry.content)) for entry in sources])
        for entry, content in zip(sources, compiled, strict=True):
            if content is not None:
                yield FileEntry(_cached(entry.path, self.paths.minor), EntryType.FILE, 0o644, content)


def _cached(path: str, minor: str) -> str:
    """Where the interpreter looks for a module's bytecode (PEP 3147)."""
    folder, name = posixpath.split(path)
    return f"{folder}/__pycache__/{name[:-3]}.cpython-{minor.replace('.', '')}.pyc"


def _directories(entries: Sequence[FileEntry]) -> Iterator[FileEntry]:
    for path in {parent for entry in entries for parent in parents(entry.path)}:
        yield directory(path)


def _bytes(content: Content) -> bytes:
    if isinstance(content, Deflated):
        return b"".join(inflate(content))
    if isinstance(content, Opened):
        with content.open() as stream:
            return stream.read()
    return content


def _plain(entry: FileEntry) -> FileEntry:
    return FileEntry(entry.path, entry.type, entry.mode, _bytes(entry.content))


@dataclass(frozen=True, slots=True)
class _Archive:
    """A zip file with its bytes at hand."""

    zip: zipfile.ZipFile
    data: memoryview
    path: Path

    def content(self, name: str) -> Content:
        """The content of a member without inflating it."""
        info = self.zip.getinfo(name)
        start = self._start(info)
        if info.compress_type == zipfile.ZIP_STORED:
            if info.file_size <= _SMALL:
                return bytes(self.data[start : start + info.file_size])
            return Opened(info.file_size, lambda: cast(BinaryIO, self.zip.open(name)))
        return Deflated(self.data[start : start + info.compress_size], info.file_size, info.CRC)

    def _start(self, info: zipfile.ZipInfo) -> int:
        # Local file header (APPNOTE 4.3.7): 30 bytes, of which the last four give the lengths of the name and the extra field.
        name, extra = struct.unpack_from("<HH", self.data, info.header_offset + 26)
        start: int = info.header_offset + 30 + name + extra
        return start


@contextmanager
def _archive(path: Path, filename: str) -> Iterator[_Archive]:
    """Opens a wheel after a look at every member's header."""
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as opened:
            # Entries hold views of the map, so it is closed when the last of them is gone, not here.
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            for info in opened.infolist():
                _check(info, filename)
            yield _Archive(opened, memoryview(data), path)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError) as error:
        raise ArchiveError(f"{filename} is not a valid zip archive: {error}", hint=_HINT) from error


def _check(info: zipfile.ZipInfo, filename: str) -> None:
    checked_path(info.filename, filename)
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        raise ArchiveError(f"{filename}: {info.filename} is encrypted", hint=_HINT)
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"{filename}: {info.filename} is a link or a device, which wheels may not hold", hint=_HINT)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{filename}: {info.filename} is packed by a method that wheels do not use", hint=_HINT)
    if info.file_size > _SMALL and info.file_size > info.compress_size * _LARGEST_RATIO:
        raise ArchiveError(f"{filename}: {info.filename} unpacks to {info.file_size} bytes: a bomb", hint=_HINT)


class _Destination:
    """installer's WheelDestination that collects file entries."""

    def __init__(self, archive: _Archive, wheel: WheelSource) -> None:
        self._archive = archive
        self._wheel = wheel
        self._distribution = wheel.filename.split("-")[0]
        self._rows: dict[str, tuple[str, str]] = {}
        self._record: list[tuple[str, str, str]] = []
        self._record_path = ""
        self.entries: list[FileEntry] = []

    def read_record(self, text: str) -> None:
        """Keeps what the wheel's RECORD says of each file: (hash, size)."""
        self._rows = {row[0]: (row[1], row[2]) for row in csv.reader(io.StringIO(text)) if len(row) == 3}

    def write_file(self, scheme: "Scheme", path: str, stream: BinaryIO, is_executable: bool) -> "RecordEntry":
        """A file of the wheel, or metadata that installer adds."""
        from installer.utils import fix_shebang

        target = self._target(scheme, path)
        mode = 0o755 if is_executable or scheme == "scripts" else 0o644
        name = getattr(stream, "name", None)
        if name is None:
            return self._new(target, stream.read(), mode)
        if scheme == "scripts":
            with fix_shebang(stream, PYTHON) as fixed:
                return self._new(target, fixed.read(), mode)
        self.entries.append(FileEntry(target, EntryType.FILE, mode, self._archive.content(name)))
        self._note(target, *self._rows.get(name, ("", "")))
        return _entry(target)

    def write_script(self, name: str, module: str, attr: str, section: "ScriptSection") -> "RecordEntry":
        """A console script: an entry point's small program."""
        from installer.scripts import Script

        name, data = Script(name, module, attr, section).generate(PYTHON, "posix")
        return self._new(self._target("scripts", name), data, 0o755)

    def finalize_installation(self, scheme: "Scheme", record_file_path: str, records: object) -> None:  # noqa: ARG002 - see `record`
        """Notes where RECORD goes."""
        self._record_path = self._target(scheme, record_file_path)

    def record(self, bytecode: Sequence[FileEntry]) -> FileEntry:
        """RECORD, with the bytecode, whose hash and size are left out as PEP 376 has it."""
        rows = [*self._record, *((self._relative(path), "", "") for path in (self._record_path, *(entry.path for entry in bytecode)))]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(sorted(rows))
        return file(self._record_path, text.getvalue())

    def _target(self, scheme: str, path: str) -> str:
        return checked_path(posixpath.join(self._wheel.paths.scheme(scheme, self._distribution), path), self._wheel.label)

    def _relative(self, path: str) -> str:
        """RECORD's paths are relative to the directory of the .dist-info (PEP 376)."""
        return posixpath.relpath(path, self._wheel.paths.site_packages)

    def _new(self, path: str, data: bytes, mode: int) -> "RecordEntry":
        import base64
        import hashlib

        self.entries.append(file(path, data, mode))
        value = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self._note(path, f"sha256={value}", str(len(data)))
        return _entry(path)

    def _note(self, path: str, value: str, size: str) -> None:
        self._record.append((self._relative(path), value, size))


def _entry(path: str) -> "RecordEntry":
    from installer.records import RecordEntry

    return RecordEntry(path, None, None)
