"""A standalone CPython (an install_only archive of python-build-standalone) as a source of file entries below /opt/python.

The directory is separate from /usr, which belongs to Debian, and from /usr/local, which belongs to the user. The interpreter finds its
libraries relative to itself, so it works in any directory. Files that a container does not need are excluded: headers, static and Tk
libraries, pip, tests. Archives are not trusted.
"""

import posixpath
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

import msgspec

from shipwheel.digest import Digest, Sha256, sha256_digest
from shipwheel.errors import ArchiveError
from shipwheel.files.compress import gunzip
from shipwheel.files.entry import EntryType, FileEntry, checked_path, parents, spooled_file
from shipwheel.files.segment import key_of
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.read.image_files import TAR_ERRORS, CappedReader
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.versions import minor_version

__all__ = ["PREFIX", "Standalone", "StandaloneSource", "interpreter_path", "is_excluded", "parse_filename"]

RULES_VERSION = "1"
"""Part of every key: raise it whenever the entries of an archive change."""

PREFIX = "opt/python"
"""The directory of the interpreter in the image."""

_NAME = lazy_pattern(
    r"cpython-(?P<version>3\.\d{1,2}\.\d{1,3})\+(?P<release>\d{8})-(?P<machine>x86_64|aarch64)-unknown-linux-gnu-install_only(?:_stripped)?\.tar\.gz"
)
_MAX_UNPACKED_BYTES = 2 << 30
"""Five times the size of the largest archives that are not stripped."""

_MAX_MEMBERS = 50_000

_PROGRAM = lazy_pattern(r"bin/python(3(\.\d+)?)?")
_HEADERS = lazy_pattern(r"include/|lib/python3\.\d+/_sysconfigdata_[^/]*\.py$")
_LIBRARY = r"lib/python3\.\d+"
_EXCLUDED = lazy_pattern(
    r"include/|share/|lib/pkgconfig/|lib/[^/]+\.a|"
    # Tcl and Tk; their names vary with the version.
    r"lib/(?:lib)?(?:tcl|tk|itcl|thread|tdbc)[^/]*(?:/|$)|"
    # pip and setuptools, which Debian's Python lacks too; a virtual environment would not see them.
    rf"{_LIBRARY}/(?:site-packages|ensurepip|idlelib|tkinter|turtledemo|test|pydoc_data|config-[^/]+)/|"
    rf"{_LIBRARY}/turtle\.py|"
    rf"{_LIBRARY}/(?:ctypes/test|distutils/tests|lib2to3/tests|sqlite3/test|unittest/test)/|"
    rf"{_LIBRARY}/lib-dynload/(?:_tkinter|_test|_ctypes_test|xxlimited|_xxtestfuzz)[^/]*\.so|"
    # Bytecode is compiled again, so that it does not depend on file times.
    r"(?:.*/)?__pycache__/"
)


class Standalone(msgspec.Struct, frozen=True):
    """An archive as the base table of a lock records it, without a URL, since mirrors change. `release` is the day of the build."""

    version: str
    release: str
    filename: str
    sha256: Sha256 | None
    architecture: str

    @property
    def digest(self) -> Digest:
        """The digest of the archive, whose hash must be known."""
        assert self.sha256 is not None  # noqa: S101 - only builds in lists have none
        return sha256_digest(self.sha256)

    @property
    def minor(self) -> str:
        """The minor version of Python: "3.12"."""
        return minor_version(self.version)

    @property
    def label(self) -> str:
        """The name for people: `Python 3.12.8 (standalone 20241219)`."""
        return f"Python {self.version} (standalone {self.release})"

    @property
    def rank(self) -> tuple[tuple[int, ...], str, bool]:
        """A sort key, the best build last: by version, by day, and stripped builds after others."""
        return tuple(map(int, self.version.split("."))), self.release, "_stripped" in self.filename


def parse_filename(filename: str, sha256: Sha256 | None = None) -> Standalone | None:
    """Parse the name of an archive. Return None for other files, such as builds for musl, debugging, newer CPUs or other systems."""
    match = _NAME.fullmatch(filename)
    if match is None:
        return None
    architecture = next(name for name in ("amd64", "arm64") if Platform("linux", name).machine == match["machine"])
    return Standalone(match["version"], match["release"], filename, sha256, architecture)


def interpreter_path(minor: str) -> str:
    """Return the absolute path of the interpreter in the image."""
    return f"/{PREFIX}/bin/python{minor}"


def is_excluded(path: str) -> bool:
    """Return whether a path below the archive's `python/` is excluded from images."""
    return _EXCLUDED.match(path) is not None or (path.startswith("bin/") and _PROGRAM.fullmatch(path) is None)


class StandaloneSource(msgspec.Struct, frozen=True):
    """A standalone build in the store as a source of file entries. With `headers`, it has only what compilers need of it."""

    build: Standalone
    store: Store
    headers: bool = False

    @property
    def key(self) -> str:
        """The key, from the archive's sha256 and which of its files are taken."""
        return key_of("standalone", RULES_VERSION, self.build.digest.partition(":")[2], *(["headers"] if self.headers else []))

    @property
    def label(self) -> str:
        """The name for people: `Python 3.12.8 (standalone 20241219)`."""
        return self.build.label

    def entries(self) -> Iterator[FileEntry]:
        """Yield the files in the archive's order.

        Raise ArchiveError for a damaged or hostile archive or one without an interpreter, DamagedBlob if it does not match its hash.
        """
        types: dict[str, EntryType] = {}
        with self._opened() as tar:
            for number, info in enumerate(tar):
                if number > _MAX_MEMBERS:
                    raise self._refused(f"it has more than {_MAX_MEMBERS} members")
                for entry in self._entry(tar, info):
                    self._check(entry, types)
                    types[entry.path] = entry.type
                    yield entry
        program = interpreter_path(self.build.minor).lstrip("/")
        if not self.headers and types.get(program) is not EntryType.FILE:
            raise ArchiveError(
                f"{self.label}: it has no bin/python{self.build.minor}",
                hint="Use an install_only archive of python-build-standalone under its published name.",
            )

    @contextmanager
    def _opened(self) -> Iterator[tarfile.TarFile]:
        """Unpack the archive into a temporary file, so that no header can make it use much memory, and check its hash."""
        try:
            with tempfile.TemporaryFile() as plain:
                plain.writelines(self._unpacked())
                plain.seek(0)
                with tarfile.open(fileobj=cast(IO[bytes], CappedReader(plain)), mode="r:", encoding="utf-8") as tar:
                    yield tar
        except TAR_ERRORS as error:
            raise self._damaged(error) from error

    def _unpacked(self) -> Iterator[bytes]:
        left = _MAX_UNPACKED_BYTES
        try:
            for piece in gunzip(self.store.chunks(self.build.digest)):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        except ArchiveError as error:
            raise self._damaged(error.message) from error
        if left < 0:
            raise self._refused(f"it unpacks to more than {_MAX_UNPACKED_BYTES} bytes")

    def _entry(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[FileEntry]:
        path = checked_path(info.name, self.label)
        top, _, inner = path.partition("/")
        if top != "python":
            raise self._refused(f"{path} is not below python/ as in an install_only archive")
        if not inner or info.isdir() or self._is_left_out(inner):
            return
        image_path = f"{PREFIX}/{inner}"
        mode = 0o755 if info.mode & 0o111 else 0o644
        if info.issym():
            target = self._target(path, info.linkname)
            # A link to an excluded file would dangle.
            if not self._is_left_out(target):
                yield FileEntry(image_path, EntryType.SYMLINK, 0o777, target=info.linkname)
        elif info.islnk():
            target = checked_path(info.linkname, self.label)
            yield FileEntry(image_path, EntryType.HARDLINK, mode, target=f"{PREFIX}/{target.removeprefix('python/')}")
        elif info.isreg() and not info.issparse():
            content = tar.extractfile(info)
            assert content is not None  # noqa: S101 - a regular file has content
            yield from spooled_file(content, info.size, image_path, mode)
        else:
            raise self._refused(f"{path} is a device or another type of file that such archives never contain")

    def _is_left_out(self, path: str) -> bool:
        return _HEADERS.match(path) is None if self.headers else is_excluded(path)

    def _target(self, path: str, text: str) -> str:
        """Return the path that a link leads to, relative to python/. Raise ArchiveError if it is outside."""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
        if not text or "\0" in text or "\\" in text or text.startswith("/") or not target.startswith("python/"):
            raise self._refused(f"the link {path} leads outside python/ ({text!r})")
        return target.removeprefix("python/")

    def _check(self, entry: FileEntry, types: dict[str, EntryType]) -> None:
        if entry.path in types:
            raise self._refused(f"it contains {entry.path} twice")
        for parent in parents(entry.path):
            if parent in types:
                raise self._refused(f"{entry.path} is below {parent}, which is not a directory")
        if entry.type is EntryType.HARDLINK and types.get(entry.target) is not EntryType.FILE:
            raise self._refused(f"{entry.path} is a link to {entry.target}, which is not in the image")

    def _damaged(self, why: object) -> ArchiveError:
        return ArchiveError(f"{self.label}: the archive is damaged ({why})", hint="Fetch it again, or from another mirror.")

    def _refused(self, why: str) -> ArchiveError:
        return ArchiveError(f"{self.label}: {why}", hint="The archive is malformed or hostile; do not use it.")
