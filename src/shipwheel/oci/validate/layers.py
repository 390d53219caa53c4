"""Checks one layer in a single pass: digest, size, diff_id, and whether its tar is well formed.

This shares no code with the writers of layers: the standard library decompresses and parses, so that it reveals bugs in our own code. It
keeps paths in memory, and writes nothing to disk.
"""

import tarfile
from typing import BinaryIO

import msgspec

from shipwheel.digest import hash_digest
from shipwheel.oci.read.image_files import TAR_ERRORS, CappedReader, members
from shipwheel.oci.read.layer_stream import Allowance, CompressedStream, UncompressedStream, UnpackError

__all__ = ["CHECK_VERSION", "LayerFacts", "check_layer"]

CHECK_VERSION = "2"
"""Part of the key of stored facts. Increase it when the checks change."""

MAX_PATH = 4096
_MAX_REPORTED = 20
_NO_NAMES = frozenset(("", ".", ".."))


class LayerFacts(msgspec.Struct, frozen=True):
    """The properties of a layer's bytes. Paths have no leading or trailing slash; `diff_id` is empty if the data cannot be decompressed."""

    digest: str
    size: int
    diff_id: str
    unpacked_size: int
    entries: int
    directories: frozenset[str]
    symlinks: frozenset[str]
    removed: frozenset[str]
    """Paths that whiteouts remove; `x/` stands for everything below x."""
    orphans: dict[str, str]
    """Parent directory that is not in this layer -> a path that needs it."""
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_layer(stream: BinaryIO, size: int, algorithm: str, compression: str | None, allowance: Allowance | None = None) -> LayerFacts:
    """Read and check `size` bytes. `compression` is "gzip", "zstd", "" for none, or None to detect it.

    `allowance` is what the layers of the image may unpack to together.
    """
    allowance = allowance or Allowance()
    compressed = CompressedStream(stream, size, algorithm)
    tar = _TarChecker(allowance)
    uncompressed = UncompressedStream(compressed, compression, allowance)
    diff_id = ""
    try:
        tar.read(uncompressed)
        uncompressed.drain()
        diff_id = hash_digest(uncompressed.hash)
    except UnpackError as error:
        tar.add_problem(str(error))
    compressed.drain()
    return LayerFacts(
        digest=f"{algorithm}:{compressed.hash.hexdigest()}",
        size=compressed.size,
        diff_id=diff_id,
        unpacked_size=uncompressed.size,
        entries=tar.count,
        directories=frozenset(tar.directories),
        symlinks=frozenset(tar.symlinks),
        removed=frozenset(tar.removed),
        orphans=tar.orphans,
        problems=tuple(tar.reported_problems()),
        notes=tuple(tar.notes[:_MAX_REPORTED]),
    )


class _TarChecker:
    """Collects the entries of a layer's tar and their problems."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self.count = 0
        self.directories: set[str] = set()
        self.symlinks: set[str] = set()
        self.removed: set[str] = set()
        self.orphans: dict[str, str] = {}
        self.notes: list[str] = []
        self._files: set[str] = set()
        self._problems: list[str] = []
        self._problem_count = 0

    def add_problem(self, text: str) -> None:
        self._problem_count += 1
        if len(self._problems) < _MAX_REPORTED:
            self._problems.append(text)

    def reported_problems(self) -> list[str]:
        more = self._problem_count - len(self._problems)
        return [*self._problems, f"and {more} more"] if more else self._problems

    def read(self, stream: UncompressedStream) -> None:
        end = 0
        try:
            with tarfile.open(fileobj=CappedReader(stream), mode="r:", encoding="utf-8") as archive:
                for member in members(archive):
                    self._add_entry(member)
                end = archive.offset
        except TAR_ERRORS as error:
            if stream.size or not isinstance(error, tarfile.ReadError):
                self.add_problem(f"the tar cannot be read at byte {stream.tell()}: {error}")
                return
        stream.drain()
        if stream.zeros_from > end:
            self.add_problem(
                f"the tar ends or is damaged at byte {end}, and data follows until byte {stream.zeros_from}, which readers ignore"
            )
        elif stream.size - end < 1024:
            self.add_problem(f"the tar has no end-of-archive blocks: {stream.size - end} bytes follow the last entry, not 1024")

    def _add_entry(self, member: tarfile.TarInfo) -> None:
        self.count += 1
        self._allowance.take(entries=1)
        path = self._checked_path(member.name)
        if not path:
            return
        if path in self._files or path in self.symlinks or path in self.directories:
            self.add_problem(f"{path}: occurs twice")
        elif path in self.orphans:
            self.add_problem(f"{path}: comes after {self.orphans.pop(path)}, which is below it")
        self._check_parent(path)
        if path.rpartition("/")[2].startswith(".wh."):
            self._add_whiteout(path)
        elif member.isdir():
            self.directories.add(path)
        elif member.issym():
            self.symlinks.add(path)
        else:
            self._add_file(path, member)

    def _add_whiteout(self, path: str) -> None:
        # image-spec, layer.md: whiteouts. Engines go by the name, whatever the entry's type.
        folder, slash, name = path.rpartition("/")
        self.removed.add(folder + slash if name == ".wh..wh..opq" else f"{folder}{slash}{name[4:]}")
        self._files.add(path)

    def _add_file(self, path: str, member: tarfile.TarInfo) -> None:
        if member.islnk() and self._checked_path(member.linkname) not in self._files:
            self.add_problem(f"{path}: a hard link to {member.linkname}, which is not an earlier file of this layer")
        elif member.issparse() or member.type not in tarfile.SUPPORTED_TYPES:
            self.add_problem(f"{path}: an entry of type {member.type!r}")
        elif member.ischr() or member.isblk() or member.isfifo():
            self.notes.append(f"{path}: a device or a pipe")
        self._files.add(path)

    def _check_parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent in self.symlinks or parent in self._files:
            self.add_problem(f"{path}: below {parent}, which is not a directory")
        elif parent and parent not in self.directories:
            self.orphans.setdefault(parent, path)

    def _checked_path(self, name: str) -> str:
        """Return the path without a leading `./` and trailing slashes; "" for the root and for a malformed path."""
        path = name.removeprefix("./").rstrip("/")
        if path in ("", ".") and not name.startswith("/"):
            return ""
        if len(path) > MAX_PATH or "\0" in path or path.startswith("/") or not _NO_NAMES.isdisjoint(path.split("/")):
            self.add_problem(f"{path[:200]!r}: the path is malformed or leads outside")
            return ""
        return path
