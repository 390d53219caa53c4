"""A wheel as a source of file entries: installed into the virtual environment without unpacking anything.

The files are placed as the installer library would place them, which reads the metadata. Their content still is the zip's deflate data.
Wheels: PEP 427; records of installed packages: PEP 376 and PEP 627.
"""

import base64
import hashlib
import io
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

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
    from zipfile import ZipInfo

    from installer.scripts import ScriptSection
    from installer.sources import WheelFile

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
            destination.stated = {row[0]: row[1:] for row in parse_record_file(source.read_dist_info("RECORD").splitlines())}
            origin = {DIRECT_URL: self.direct_url} if self.direct_url is not None else {}
            destination.install(source, {_INSTALLER: b"shipwheel\n", **origin})
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
    """The files of a wheel where they are installed."""

    def __init__(self, archive: "ZipArchive", wheel: WheelSource) -> None:
        self._archive = archive
        self._wheel = wheel
        self._distribution = wheel.filename.split("-")[0]
        self.stated: dict[str, tuple[str, str]] = {}
        """Path -> (hash, size) in the wheel's RECORD."""
        self._placed: dict[str, _Placed] = {}
        self._record_path = ""

    @property
    def entries(self) -> list[FileEntry]:
        """The installed files, without RECORD."""
        return [placed.entry for placed in self._placed.values()]

    def install(self, source: "WheelFile", metadata: Mapping[str, bytes]) -> None:
        """Place the wheel's files, the scripts of its entry points, and `metadata` in .dist-info. Raise ValueError for a wrong wheel."""
        from installer.utils import parse_entrypoints

        root, data_directory, record = _root_scheme(source), f"{source.data_dir}/", f"{source.dist_info_dir}/RECORD"
        self._record_path = self._target(root, record)
        if f"{source.dist_info_dir}/entry_points.txt" in self._archive.starts:
            for script in parse_entrypoints(source.read_dist_info("entry_points.txt")):
                self._add_script(*script)
        for info in self._archive.zip.filelist:
            if info.is_dir() or info.filename == record:
                continue
            if info.filename.startswith(data_directory):
                scheme, _, path = info.filename.removeprefix(data_directory).partition("/")
                self._add_member(_Origin.DATA, scheme, path, info)
            else:
                self._add_member(_Origin.PACKAGE, root, info.filename, info)
        for name, data in metadata.items():
            self._add(_Origin.PACKAGE, self._target(root, f"{source.dist_info_dir}/{name}"), data, 0o644)

    def _add_member(self, origin: _Origin, scheme: str, path: str, info: "ZipInfo") -> None:
        from installer.utils import SCHEME_NAMES, fix_shebang

        if scheme not in SCHEME_NAMES:
            raise ValueError(f"{info.filename} is not contained in a valid .data subdirectory")
        target, attributes = self._target(scheme, path), info.external_attr >> 16
        mode = 0o755 if scheme == "scripts" or (stat.S_ISREG(attributes) and attributes & 0o111) else 0o644
        if scheme == "scripts":
            with self._archive.zip.open(info) as stream, fix_shebang(cast(BinaryIO, stream), PYTHON) as fixed:
                self._add(origin, target, fixed.read(), mode)
            return
        entry = FileEntry(target, EntryType.FILE, mode, self._archive.content(info.filename))
        self._place(_Placed(origin, entry, *self._hash_and_size(info)))

    def _hash_and_size(self, info: "ZipInfo") -> tuple[str, str]:
        """Return a file's hash and size: those in the wheel's RECORD, as other installers do, unless they are clearly wrong."""
        value, size = self.stated.get(info.filename, ("", ""))
        if value.startswith("sha256=") and size == str(info.file_size):
            return value, size
        from installer.records import RecordEntry

        RecordEntry.from_elements(info.filename, value, size)  # raises InvalidRecordEntry for what is neither hash nor size
        with self._archive.zip.open(info) as stream:
            return _hashed(cast(BinaryIO, stream))

    def _add_script(self, name: str, module: str, attr: str, section: "ScriptSection") -> None:
        from installer.scripts import Script

        name, data = Script(name, module, attr, section).generate(PYTHON, "posix")
        self._add(_Origin.ENTRY_POINT, self._target("scripts", name), data, 0o755)

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

    def _add(self, origin: _Origin, path: str, data: bytes, mode: int) -> None:
        self._place(_Placed(origin, file(path, data, mode), *_hashed(io.BytesIO(data))))

    def _place(self, new: _Placed) -> None:
        known = self._placed.get(new.entry.path)
        if known is None or new.origin >= known.origin:
            self._placed[new.entry.path] = new


def _root_scheme(source: "WheelFile") -> str:
    """Return where the files go that are not in .data. Raise ValueError for a wheel of another version than 1."""
    from installer.utils import parse_metadata_file

    metadata = parse_metadata_file(source.read_dist_info("WHEEL"))
    version = metadata["Wheel-Version"]
    if not (version and version.startswith("1.")):
        raise ValueError(f"Incompatible Wheel-Version {version}, only support version 1.x wheels.")
    return "purelib" if metadata["Root-Is-Purelib"] == "true" else "platlib"


def _hashed(stream: BinaryIO) -> tuple[str, str]:
    """Return (hash, size) of the bytes in the form of RECORD."""
    sha256, size = hashlib.sha256(), 0
    while data := stream.read(1 << 20):
        sha256.update(data)
        size += len(data)
    return f"sha256={base64.urlsafe_b64encode(sha256.digest()).rstrip(b'=').decode()}", str(size)
