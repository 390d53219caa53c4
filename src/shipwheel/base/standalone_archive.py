"""A standalone CPython (python-build-standalone's install_only archives) -> file entries below /opt/python.

A directory of its own: /usr is Debian's and /usr/local the user's, and neither a package nor a wheel brings anything there. Such an
interpreter finds its library and its shared objects from where it is itself, so that it may lie anywhere. What a container has no use
for is left out: headers, static and Tk libraries, pip, tests. Archives are not trusted.
"""

import posixpath
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

import msgspec

from shipwheel.errors import ArchiveError
from shipwheel.files.compress import gunzip
from shipwheel.files.entry import EntryType, FileEntry, checked_path
from shipwheel.files.segment import key_of
from shipwheel.files.spool import spooled
from shipwheel.oci.read.image_file import TAR_ERRORS, CappedReader
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.versions import minor_version

__all__ = ["PREFIX", "Standalone", "StandaloneSource", "interpreter_path", "left_out", "parsed_name"]

RULES_VERSION = "1"
"""Part of every key: raise it when an archive would give other entries."""

PREFIX = "opt/python"
"""Where it is in the image."""

_NAME = re.compile(
    r"cpython-(?P<version>3\.\d{1,2}\.\d{1,3})\+(?P<release>\d{8})-(?P<machine>x86_64|aarch64)-unknown-linux-gnu-install_only(?:_stripped)?\.tar\.gz"
)
_UNPACKED_LIMIT = 2 << 30
"""The most that an archive may unpack to, in bytes; the largest that are not stripped have a fifth of it."""

_MEMBERS = 50_000

_PROGRAM = re.compile(r"bin/python(3(\.\d+)?)?")
_LIBRARY = r"lib/python3\.\d+"
_LEFT_OUT = re.compile(
    r"include/|share/|lib/pkgconfig/|lib/[^/]+\.a|"
    # Tcl and Tk, of which the names change from one version to the next.
    r"lib/(?:lib)?(?:tcl|tk|itcl|thread|tdbc)[^/]*(?:/|$)|"
    # Like Debian's, it has no pip and no setuptools; a virtual environment would not see them in any case.
    rf"{_LIBRARY}/(?:site-packages|ensurepip|idlelib|tkinter|turtledemo|test|pydoc_data|config-[^/]+)/|"
    rf"{_LIBRARY}/turtle\.py|"
    rf"{_LIBRARY}/(?:ctypes/test|distutils/tests|lib2to3/tests|sqlite3/test|unittest/test)/|"
    rf"{_LIBRARY}/lib-dynload/(?:_tkinter|_test|_ctypes_test|xxlimited|_xxtestfuzz)[^/]*\.so|"
    # It is compiled anew, so that it does not depend on the files' times.
    r"(?:.*/)?__pycache__/"
)


class Standalone(msgspec.Struct, frozen=True):
    """One archive, as the lock's base table holds it: never an address, since that names a mirror. `release` is the day of the build."""

    version: str
    release: str
    filename: str
    sha256: str
    architecture: str

    @property
    def digest(self) -> str:
        """The digest of the archive."""
        return f"sha256:{self.sha256}"

    @property
    def minor(self) -> str:
        """The Python version that directories carry: "3.12"."""
        return minor_version(self.version)

    @property
    def label(self) -> str:
        """`Python 3.12.8 (standalone 20241219)`."""
        return f"Python {self.version} (standalone {self.release})"

    @property
    def order(self) -> tuple[tuple[int, ...], str, bool]:
        """What the better of two is greater in: the version, the day, whether it is stripped."""
        return tuple(map(int, self.version.split("."))), self.release, "_stripped" in self.filename


def parsed_name(filename: str, sha256: str = "") -> Standalone | None:
    """The build that a file's name tells of; None for any other file: for musl, debugging, another system, a later kind of CPU."""
    found = _NAME.fullmatch(filename)
    if found is None:
        return None
    architecture = next(name for name in ("amd64", "arm64") if Platform("linux", name).machine == found["machine"])
    return Standalone(found["version"], found["release"], filename, sha256, architecture)


def interpreter_path(minor: str) -> str:
    """The absolute path of the interpreter in the image."""
    return f"/{PREFIX}/bin/python{minor}"


def left_out(path: str) -> bool:
    """Whether a path below the archive's `python/` is left out of images."""
    return _LEFT_OUT.match(path) is not None or (path.startswith("bin/") and _PROGRAM.fullmatch(path) is None)


class StandaloneSource(msgspec.Struct, frozen=True):
    """A standalone build of the store as a source of file entries."""

    build: Standalone
    store: Store

    @property
    def key(self) -> str:
        """From the archive's sha256 alone."""
        return key_of("standalone", RULES_VERSION, self.build.sha256)

    @property
    def label(self) -> str:
        """`Python 3.12.8 (standalone 20241219)`."""
        return self.build.label

    def entries(self) -> Iterator[FileEntry]:
        """The files, in the archive's order.

        Raises ArchiveError for a damaged or hostile archive or one without the interpreter, DamagedBlob when it is not what its hash says.
        """
        kept: dict[str, EntryType] = {}
        with self._opened() as tar:
            for number, info in enumerate(tar):
                if number > _MEMBERS:
                    raise self._refused(f"it has more than {_MEMBERS} members")
                for entry in self._entry(tar, info):
                    self._check(entry, kept)
                    kept[entry.path] = entry.type
                    yield entry
        program = interpreter_path(self.build.minor).lstrip("/")
        if kept.get(program) is not EntryType.FILE:
            raise ArchiveError(
                f"{self.label}: it has no bin/python{self.build.minor}",
                hint="Take an install_only archive of python-build-standalone, under the name that it was published with.",
            )

    @contextmanager
    def _opened(self) -> Iterator[tarfile.TarFile]:
        """The archive, unpacked into a temporary file, so that nothing that its headers say is taken into memory. Its hash is checked."""
        try:
            with tempfile.TemporaryFile() as plain:
                plain.writelines(self._unpacked())
                plain.seek(0)
                with tarfile.open(fileobj=cast(IO[bytes], CappedReader(plain)), mode="r:", encoding="utf-8") as tar:
                    yield tar
        except TAR_ERRORS as error:
            raise self._damaged(error) from error

    def _unpacked(self) -> Iterator[bytes]:
        left = _UNPACKED_LIMIT
        try:
            for piece in gunzip(self.store.chunks(self.build.digest)):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        except ArchiveError as error:
            raise self._damaged(error.message) from error
        if left < 0:
            raise self._refused(f"it unpacks to more than {_UNPACKED_LIMIT} bytes")

    def _entry(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[FileEntry]:
        path = checked_path(info.name, self.label)
        top, _, inner = path.partition("/")
        if top != "python":
            raise self._refused(f"{path} is not below python/, as it is in an install_only archive")
        if not inner or left_out(f"{inner}/" if info.isdir() else inner) or info.isdir():
            return
        place = f"{PREFIX}/{inner}"
        mode = 0o755 if info.mode & 0o111 else 0o644
        if info.issym():
            target = self._target(path, info.linkname)
            # A link to what is left out would lead nowhere.
            if not left_out(target):
                yield FileEntry(place, EntryType.SYMLINK, 0o777, target=info.linkname)
        elif info.islnk():
            target = checked_path(info.linkname, self.label)
            yield FileEntry(place, EntryType.HARDLINK, mode, target=f"{PREFIX}/{target.removeprefix('python/')}")
        elif info.isreg() and not info.issparse():
            content = tar.extractfile(info)
            assert content is not None  # noqa: S101 - a regular file has content
            yield from spooled(content, info.size, place, mode)
        else:
            raise self._refused(f"{path} is a device or of another type that such archives do not hold")

    def _target(self, path: str, text: str) -> str:
        """Where a link leads, below python/; raises ArchiveError when that is outside."""
        leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
        if not text or "\0" in text or "\\" in text or text.startswith("/") or not leads.startswith("python/"):
            raise self._refused(f"the link {path} leads outside python/ ({text!r})")
        return leads.removeprefix("python/")

    def _check(self, entry: FileEntry, kept: dict[str, EntryType]) -> None:
        if entry.path in kept:
            raise self._refused(f"{entry.path} is in it twice")
        folder = posixpath.dirname(entry.path)
        while folder:
            if folder in kept:
                raise self._refused(f"{entry.path} lies below {folder}, which is no directory")
            folder = posixpath.dirname(folder)
        if entry.type is EntryType.HARDLINK and kept.get(entry.target) is not EntryType.FILE:
            raise self._refused(f"{entry.path} is a link to {entry.target}, which is not in the image")

    def _damaged(self, why: object) -> ArchiveError:
        return ArchiveError(f"{self.label}: the archive is damaged ({why})", hint="Fetch it again, from another mirror if it stays so.")

    def _refused(self, why: str) -> ArchiveError:
        return ArchiveError(f"{self.label}: {why}", hint="The archive is malformed or hostile; do not use it.")
