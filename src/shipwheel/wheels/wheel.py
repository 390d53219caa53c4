"""A wheel as a source of file entries: installed into the virtual environment without unpacking anything.

The installer library goes through the wheel, and its destination here collects entries whose content is still the zip's deflate data.
Wheels: PEP 427; records of installed packages: PEP 376 and PEP 627.
"""

import base64
import hashlib
import io
import posixpath
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from shipwheel.container.venv import PYTHON, VENV, Paths
from shipwheel.digest import Digest
from shipwheel.errors import ArchiveError, DamagedBlob
from shipwheel.files.compress import Deflated, inflate
from shipwheel.files.entry import EntryType, FileEntry, LazyContent, checked_path, directories_above, directory, file, read_content
from shipwheel.files.file_part import ChunkReader
from shipwheel.files.segment import key_of
from shipwheel.store.store import Store
from shipwheel.wheels.bytecode import Compiler, pyc_path
from shipwheel.wheels.direct_url import DIRECT_URL

if TYPE_CHECKING:
    from installer.records import RecordEntry
    from installer.scripts import ScriptSection
    from installer.sources import WheelFile
    from installer.utils import Scheme

    from shipwheel.wheels.zip_archive import ZipArchive

__all__ = ["WheelSource"]

_INSTALLER = "INSTALLER"
"""The metadata file that names the installer; one in the wheel is replaced."""

_TESTS = "tests"
"""The name of directories with a package's own tests: half of the modules of large packages, and no app imports them."""

_MAX_SOURCE_BYTES = 4 << 20
"""The modules that are in memory together until they are compiled have about this many bytes."""


class WheelSource(msgspec.Struct, frozen=True):
    """An installed wheel. `digest` is its blob in the store, `label` its name in errors: "numpy 1.26.4".

    `spliced` is False for wheels that were built here: their compressed bytes depend on this machine, so they are compressed again.
    `direct_url` is the text of direct_url.json, if the package does not come from an index.
    """

    label: str
    filename: str
    digest: Digest
    store: Store
    paths: Paths
    compiler: Compiler | None = None
    spliced: bool = True
    direct_url: bytes | None = None

    @property
    def key(self) -> str:
        """The key, from the wheel and its name, Python's minor version, the compiler and, if it has one, direct_url.json."""
        compiler = f"{self.compiler.identity} without {_TESTS}" if self.compiler else ""
        origin = (self.direct_url.decode(),) if self.direct_url is not None else ()
        return key_of("wheel", self.digest, self.paths.minor, VENV, compiler, str(self.spliced), self.filename, *origin)

    def entries(self) -> Iterator[FileEntry]:
        """Yield directories, then files, each sorted by path. Raise ArchiveError for a damaged or hostile wheel."""
        if not self.store.verify(self.digest):
            raise DamagedBlob(self.digest)
        from shipwheel.wheels.zip_archive import open_zip, zip_errors

        with open_zip(self.store.path(self.digest), self.filename) as archive:
            with zip_errors(self.filename):
                destination = self._install(archive)
            installed = destination.entries if self.spliced else [self._inflated(entry) for entry in destination.entries]
            bytecode = list(self._bytecode(installed))
            entries = [*installed, *bytecode, destination.record(bytecode)]
            yield from self._directories(entries)
            yield from sorted(entries, key=lambda entry: entry.path)

    def _install(self, archive: "ZipArchive") -> "_Destination":
        import configparser
        import csv

        from installer import install
        from installer.exceptions import InstallerError
        from installer.records import InvalidRecordEntry, parse_record_file
        from installer.sources import WheelFile

        from shipwheel.wheels.zip_archive import HINT

        destination = _Destination(archive, self)
        # installer parses the file name, and the store names files by digest.
        archive.zip.filename = self.filename
        try:
            source = WheelFile(archive.zip)
            _prepare(source, archive)
            destination.data_directory = source.data_dir
            destination.stated = {row[0]: row[1:] for row in parse_record_file(source.read_dist_info("RECORD").splitlines())}
            origin = {DIRECT_URL: self.direct_url} if self.direct_url is not None else {}
            install(source, destination, {_INSTALLER: b"shipwheel\n", **origin})  # type: ignore[arg-type]
        except (InstallerError, InvalidRecordEntry, configparser.Error, csv.Error, AssertionError, KeyError, ValueError) as error:
            raise ArchiveError(f"{self.label}: {self.filename} is not a valid wheel: {error}", hint=HINT) from error
        return destination

    def _bytecode(self, installed: Sequence[FileEntry]) -> Iterator[FileEntry]:
        if self.compiler is None:
            return
        modules = f"{self.paths.site_packages}/"
        sources = [entry for entry in installed if entry.path.startswith(modules) and _is_started(entry.path)]
        for batch in _batches(sources):
            compiled = self.compiler.compile([(f"/{entry.path}", self._bytes(entry)) for entry in batch])
            for entry, content in zip(batch, compiled, strict=True):
                if content is not None:
                    yield FileEntry(pyc_path(entry.path, self.paths.minor), EntryType.FILE, 0o644, content)

    def _directories(self, entries: Sequence[FileEntry]) -> Iterator[FileEntry]:
        from shipwheel.wheels.zip_archive import HINT

        directories = directories_above(entry.path for entry in entries)
        if conflicts := sorted(entry.path for entry in entries if entry.path in directories):
            raise ArchiveError(f"{self.label}: {self.filename}: {conflicts[0]} would be a file and a directory", hint=HINT)
        yield from (directory(path) for path in sorted(directories))

    def _inflated(self, entry: FileEntry) -> FileEntry:
        content = entry.content
        if not isinstance(content, Deflated):
            return entry
        return FileEntry(entry.path, entry.type, entry.mode, LazyContent(content.size, partial(self._open, entry.path, content)))

    def _open(self, path: str, content: Deflated) -> BinaryIO:
        return io.BufferedReader(ChunkReader(inflate(content, f"{self.label}: {path}")))

    def _bytes(self, entry: FileEntry) -> bytes:
        if isinstance(entry.content, Deflated):
            return b"".join(inflate(entry.content, f"{self.label}: {entry.path}"))
        return read_content(entry.content)


def _is_started(path: str) -> bool:
    """Return whether an app may import a file, so that it starts faster with the file's bytecode."""
    return path.endswith(".py") and _TESTS not in path.split("/")


def _batches(sources: Sequence[FileEntry]) -> Iterator[list[FileEntry]]:
    """Yield the entries in order, some megabytes at a time."""
    batch: list[FileEntry] = []
    size = 0
    for entry in sources:
        batch.append(entry)
        size += len(entry.content) if isinstance(entry.content, bytes) else entry.content.size
        if size >= _MAX_SOURCE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _prepare(source: "WheelFile", archive: "ZipArchive") -> None:
    """Remove bytecode and INSTALLER, which are generated, and make installer look for .data next to .dist-info."""
    metadata = source.dist_info_dir
    source.distribution, _, source.version = metadata.removesuffix(".dist-info").rpartition("-")
    members = []
    for info in archive.zip.filelist:
        directories = info.filename.split("/")[:-1]
        if directories == [source.data_dir] and not info.is_dir():
            raise ValueError(f"{info.filename} belongs to no scheme")
        if info.filename == source.data_dir:
            raise ValueError(f"{info.filename} is a file")
        if "__pycache__" not in directories and info.filename != f"{metadata}/{_INSTALLER}":
            members.append(info)
    archive.zip.filelist[:] = members


class _Origin(IntEnum):
    """The origin of an installed file. Of two files at one path, that of the later origin remains, as if pip had installed the wheel."""

    PACKAGE = 0
    DATA = 1
    ENTRY_POINT = 2


class _Placed(NamedTuple):
    """A file with its hash and size as RECORD has them."""

    origin: _Origin
    entry: FileEntry
    value: str
    size: str


class _Destination:
    """A WheelDestination for installer that collects file entries."""

    def __init__(self, archive: "ZipArchive", wheel: WheelSource) -> None:
        self._archive = archive
        self._wheel = wheel
        self._distribution = wheel.filename.split("-")[0]
        self.stated: dict[str, tuple[str, str]] = {}
        """Path -> (hash, size) in the wheel's RECORD."""
        self.data_directory = ""
        """The wheel's .data directory."""
        self._placed: dict[str, _Placed] = {}
        self._record_path = ""

    @property
    def entries(self) -> list[FileEntry]:
        """The installed files, without RECORD."""
        return [placed.entry for placed in self._placed.values()]

    def write_file(self, scheme: "Scheme", path: str, stream: BinaryIO, is_executable: bool) -> "RecordEntry":
        """Add a file of the wheel, or metadata that installer generates."""
        from installer.utils import fix_shebang

        target = self._target(scheme, path)
        mode = 0o755 if is_executable or scheme == "scripts" else 0o644
        name = getattr(stream, "name", None)
        if name is None:
            return self._add(_Origin.PACKAGE, target, stream.read(), mode)
        if scheme == "scripts":
            with fix_shebang(stream, PYTHON) as fixed:
                return self._add(_Origin.DATA, target, fixed.read(), mode)
        origin = _Origin.DATA if name.startswith(f"{self.data_directory}/") else _Origin.PACKAGE
        entry = FileEntry(target, EntryType.FILE, mode, self._archive.content(name))
        return self._place(_Placed(origin, entry, *self._hash_and_size(name, stream)))

    def _hash_and_size(self, name: str, stream: BinaryIO) -> tuple[str, str]:
        """Return a file's hash and size: those in the wheel's RECORD, as other installers do, unless they are clearly wrong."""
        value, size = self.stated.get(name, ("", ""))
        if value.startswith("sha256=") and size == str(self._archive.zip.getinfo(name).file_size):
            return value, size
        return _hashed(stream)

    def write_script(self, name: str, module: str, attr: str, section: "ScriptSection") -> "RecordEntry":
        """Add the script of an entry point."""
        from installer.scripts import Script

        name, data = Script(name, module, attr, section).generate(PYTHON, "posix")
        return self._add(_Origin.ENTRY_POINT, self._target("scripts", name), data, 0o755)

    def finalize_installation(self, scheme: "Scheme", record_file_path: str, records: object) -> None:  # noqa: ARG002 - see `record`
        """Remember the path of RECORD."""
        self._record_path = self._target(scheme, record_file_path)

    def record(self, bytecode: Sequence[FileEntry]) -> FileEntry:
        """Return RECORD; bytecode is listed without hash and size, as PEP 376 allows."""
        rows = [(self._relative(path), placed.value, placed.size) for path, placed in self._placed.items()]
        rows += [(self._relative(path), "", "") for path in (self._record_path, *(entry.path for entry in bytecode))]
        text = io.StringIO()
        import csv

        csv.writer(text, lineterminator="\n").writerows(sorted(rows))
        return file(self._record_path, text.getvalue())

    def _target(self, scheme: str, path: str) -> str:
        return checked_path(posixpath.join(self._wheel.paths.scheme(scheme, self._distribution), path), self._wheel.label)

    def _relative(self, path: str) -> str:
        """Return a path as RECORD has it: relative to the directory that contains .dist-info (PEP 376)."""
        site_packages = f"{self._wheel.paths.site_packages}/"
        if path.startswith(site_packages):
            return path[len(site_packages) :]
        return posixpath.relpath(f"/{path}", f"/{site_packages}")

    def _add(self, origin: _Origin, path: str, data: bytes, mode: int) -> "RecordEntry":
        return self._place(_Placed(origin, file(path, data, mode), *_hashed(io.BytesIO(data))))

    def _place(self, new: _Placed) -> "RecordEntry":
        from installer.records import RecordEntry

        path = new.entry.path
        known = self._placed.get(path)
        if known is None or new.origin >= known.origin:
            self._placed[path] = new
        return RecordEntry(path, None, None)


def _hashed(stream: BinaryIO) -> tuple[str, str]:
    """Return (hash, size) of the bytes in the form of RECORD."""
    sha256, size = hashlib.sha256(), 0
    while data := stream.read(1 << 20):
        sha256.update(data)
        size += len(data)
    return f"sha256={base64.urlsafe_b64encode(sha256.digest()).rstrip(b'=').decode()}", str(size)
