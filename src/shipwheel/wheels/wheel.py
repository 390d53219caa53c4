"""A wheel as a source of file entries: installed as a virtual environment would hold it, without unpacking anything.

The installer library walks the wheel; its destination here yields entries whose content stays the zip's own deflate data.
(Binary distribution format: PEP 427, recording installed distributions: PEP 376 and PEP 627.)
"""

import base64
import hashlib
import io
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from shipwheel.errors import ArchiveError, DamagedBlob
from shipwheel.files.compress import inflate
from shipwheel.files.content import read
from shipwheel.files.entry import Deflated, EntryType, FileEntry, checked_path, directory, file, parents
from shipwheel.files.segment import key_of
from shipwheel.store import Store
from shipwheel.venv import PYTHON, VENV, Paths
from shipwheel.wheels.bytecode import cached_path

if TYPE_CHECKING:
    from installer.records import RecordEntry
    from installer.scripts import ScriptSection
    from installer.sources import WheelFile
    from installer.utils import Scheme

    from shipwheel.wheels.zip_archive import ZipArchive

__all__ = ["Compiler", "WheelSource"]

_OURS = "INSTALLER"
"""The file of the metadata that an installer writes, whatever the wheel has there."""


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

    @property
    def key(self) -> str:
        """Over the wheel and its name, the Python minor and the compiler."""
        compiler = self.compiler.identity if self.compiler else ""
        return key_of("wheel", self.digest, self.paths.minor, VENV, compiler, str(self.spliced), self.filename)

    def entries(self) -> Iterator[FileEntry]:
        """Directories first, then all files, sorted by path. Raises ArchiveError for a wheel that cannot be trusted."""
        if not self.store.verify(self.digest):
            raise DamagedBlob(self.digest)
        from shipwheel.wheels.zip_archive import damage, open_zip

        with open_zip(self.store.path(self.digest), self.filename) as archive:
            with damage(self.filename):
                destination = self._install(archive)
            installed = destination.entries if self.spliced else [self._plain(entry) for entry in destination.entries]
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
        # The store names files by digest; installer reads the wheel's own name.
        archive.zip.filename = self.filename
        try:
            source = WheelFile(archive.zip)
            _prepare(source, archive)
            destination.rows = {row[0]: row[1:] for row in parse_record_file(source.read_dist_info("RECORD").splitlines())}
            install(source, destination, {_OURS: b"shipwheel\n"})  # type: ignore[arg-type]
        except (InstallerError, InvalidRecordEntry, configparser.Error, csv.Error, AssertionError, KeyError, ValueError) as error:
            raise ArchiveError(f"{self.label}: {self.filename} is not a valid wheel: {error}", hint=HINT) from error
        return destination

    def _bytecode(self, installed: Sequence[FileEntry]) -> Iterator[FileEntry]:
        if self.compiler is None:
            return
        modules = f"{self.paths.site_packages}/"
        sources = [entry for entry in installed if entry.path.endswith(".py") and entry.path.startswith(modules)]
        compiled = self.compiler.compile([(f"/{entry.path}", self._bytes(entry)) for entry in sources])
        for entry, content in zip(sources, compiled, strict=True):
            if content is not None:
                yield FileEntry(cached_path(entry.path, self.paths.minor), EntryType.FILE, 0o644, content)

    def _directories(self, entries: Sequence[FileEntry]) -> Iterator[FileEntry]:
        from shipwheel.wheels.zip_archive import HINT

        folders = {parent for entry in entries for parent in parents(entry.path)}
        if clash := sorted(entry.path for entry in entries if entry.path in folders):
            raise ArchiveError(f"{self.label}: {self.filename}: {clash[0]} would be a file and a directory", hint=HINT)
        yield from (directory(path) for path in sorted(folders))

    def _plain(self, entry: FileEntry) -> FileEntry:
        return FileEntry(entry.path, entry.type, entry.mode, self._bytes(entry))

    def _bytes(self, entry: FileEntry) -> bytes:
        if isinstance(entry.content, Deflated):
            return b"".join(inflate(entry.content, f"{self.label}: {entry.path}"))
        return read(entry.content)


def _prepare(source: "WheelFile", archive: "ZipArchive") -> None:
    """Leaves out what is made anew: bytecode, and the note who installed. Makes installer look for .data where .dist-info is."""
    metadata = source.dist_info_dir
    source.distribution, _, source.version = metadata.removesuffix(".dist-info").rpartition("-")
    kept = []
    for info in archive.zip.filelist:
        folders = info.filename.split("/")[:-1]
        if folders == [source.data_dir] and not info.is_dir():
            raise ValueError(f"{info.filename} is in no scheme")
        if info.filename == source.data_dir:
            raise ValueError(f"{info.filename} is a file")
        if "__pycache__" not in folders and info.filename != f"{metadata}/{_OURS}":
            kept.append(info)
    archive.zip.filelist[:] = kept


class _Destination:
    """installer's WheelDestination that collects file entries."""

    def __init__(self, archive: "ZipArchive", wheel: WheelSource) -> None:
        self._archive = archive
        self._wheel = wheel
        self._distribution = wheel.filename.split("-")[0]
        self.rows: dict[str, tuple[str, str]] = {}
        """What the wheel's RECORD says of each file: (hash, size)."""
        self._record: list[tuple[str, str, str]] = []
        self._record_path = ""
        self.entries: list[FileEntry] = []

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
        self._note(target, *self._row(name, stream))
        return _entry(target)

    def _row(self, name: str, stream: BinaryIO) -> tuple[str, str]:
        """A file's hash and size. The wheel's word is taken for it, as other installers do, unless it is plainly wrong."""
        value, size = self.rows.get(name, ("", ""))
        if value.startswith("sha256=") and size == str(self._archive.zip.getinfo(name).file_size):
            return value, size
        return _hashed(stream)

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
        import csv

        csv.writer(text, lineterminator="\n").writerows(sorted(rows))
        return file(self._record_path, text.getvalue())

    def _target(self, scheme: str, path: str) -> str:
        return checked_path(posixpath.join(self._wheel.paths.scheme(scheme, self._distribution), path), self._wheel.label)

    def _relative(self, path: str) -> str:
        """RECORD's paths are relative to the directory of the .dist-info (PEP 376)."""
        site_packages = f"{self._wheel.paths.site_packages}/"
        if path.startswith(site_packages):
            return path[len(site_packages) :]
        return posixpath.relpath(f"/{path}", f"/{site_packages}")

    def _new(self, path: str, data: bytes, mode: int) -> "RecordEntry":
        self.entries.append(file(path, data, mode))
        self._note(path, *_hashed(io.BytesIO(data)))
        return _entry(path)

    def _note(self, path: str, value: str, size: str) -> None:
        self._record.append((self._relative(path), value, size))


def _entry(path: str) -> "RecordEntry":
    from installer.records import RecordEntry

    return RecordEntry(path, None, None)


def _hashed(stream: BinaryIO) -> tuple[str, str]:
    """(hash, size) of the bytes, as RECORD has them."""
    seen, size = hashlib.sha256(), 0
    while data := stream.read(1 << 20):
        seen.update(data)
        size += len(data)
    return f"sha256={base64.urlsafe_b64encode(seen.digest()).rstrip(b'=').decode()}", str(size)
