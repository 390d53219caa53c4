"""One layer's bytes, checked in one pass: digest, size, diff_id, and whether the tar inside is well formed.

It shares no code with what writes layers: the standard library unpacks and parses, so that a fault of ours is found.
Memory is bounded by the number of paths; nothing is unpacked to disk.
"""

import tarfile
from typing import BinaryIO

import msgspec

from shipwheel.oci.read.image_files import TAR_ERRORS, CappedReader
from shipwheel.oci.read.layer_stream import MAX_UNPACKED, CompressedStream, UncompressedStream, UnpackError

__all__ = ["CHECK_VERSION", "LayerFacts", "check_layer"]

CHECK_VERSION = "1"
"""Part of the key of stored facts: raise it when the checks change."""

MAX_ENTRIES = 4_000_000
MAX_PATH = 4096
_SHOWN = 20


class LayerFacts(msgspec.Struct, frozen=True):
    """What a layer's bytes are. Paths have no leading or trailing slash; `diff_id` is empty when the data cannot be unpacked."""

    digest: str
    size: int
    diff_id: str
    unpacked_size: int
    entries: int
    directories: frozenset[str]
    symlinks: frozenset[str]
    removed: frozenset[str]
    """Paths that whiteouts take away; `x/` stands for all that is below x."""
    orphans: dict[str, str]
    """Parent that this layer does not have -> a path that needs it."""
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_layer(stream: BinaryIO, size: int, algorithm: str, compression: str | None, limit: int = MAX_UNPACKED) -> LayerFacts:
    """Reads `size` bytes through. `compression` is gzip, zstd, an empty text for none, or None to find out."""
    packed = CompressedStream(stream, size, algorithm)
    tar = _Tar()
    unpacked = UncompressedStream(packed, compression, limit)
    diff_id = ""
    try:
        tar.read(unpacked)
        unpacked.drain()
        diff_id = f"sha256:{unpacked.hash.hexdigest()}"
    except UnpackError as error:
        tar.problem(str(error))
    packed.drain()
    return LayerFacts(
        digest=f"{algorithm}:{packed.hash.hexdigest()}",
        size=packed.size,
        diff_id=diff_id,
        unpacked_size=unpacked.size,
        entries=tar.count,
        directories=frozenset(tar.directories),
        symlinks=frozenset(tar.symlinks),
        removed=frozenset(tar.removed),
        orphans=tar.orphans,
        problems=tuple(tar.shown()),
        notes=tuple(tar.notes[:_SHOWN]),
    )


class _Tar:
    """What the entries of a layer say, and what is wrong with them."""

    def __init__(self) -> None:
        self.count = 0
        self.directories: set[str] = set()
        self.symlinks: set[str] = set()
        self.removed: set[str] = set()
        self.orphans: dict[str, str] = {}
        self.notes: list[str] = []
        self._files: set[str] = set()
        self._problems: list[str] = []
        self._number = 0

    def problem(self, text: str) -> None:
        self._number += 1
        if len(self._problems) < _SHOWN:
            self._problems.append(text)

    def shown(self) -> list[str]:
        more = self._number - len(self._problems)
        return [*self._problems, f"and {more} more"] if more else self._problems

    def read(self, stream: UncompressedStream) -> None:
        end = 0
        try:
            with tarfile.open(fileobj=CappedReader(stream), mode="r:", encoding="utf-8") as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]
                    self._entry(member)
                end = archive.offset
        except TAR_ERRORS as error:
            if stream.size or not isinstance(error, tarfile.ReadError):
                self.problem(f"not a tar that can be read, at byte {stream.tell()}: {error}")
                return
        stream.drain()
        if stream.zeros_from > end:
            self.problem(
                f"the tar ends or is damaged at byte {end}, and data follows until byte {stream.zeros_from}: what is there is lost"
            )
        elif stream.size - end < 1024:
            self.problem(f"the tar has no end-of-archive blocks: {stream.size - end} bytes after the last entry, not 1024")

    def _entry(self, member: tarfile.TarInfo) -> None:
        self.count += 1
        if self.count > MAX_ENTRIES:
            raise tarfile.ReadError(f"more than {MAX_ENTRIES} entries")
        path = self._path(member.name)
        if not path:
            return
        if path in self._files or path in self.symlinks or path in self.directories:
            self.problem(f"{path}: there twice")
        elif path in self.orphans:
            self.problem(f"{path}: comes after {self.orphans.pop(path)}, which is below it")
        self._parent(path)
        if member.isdir():
            self.directories.add(path)
        elif member.issym():
            self.symlinks.add(path)
        else:
            self._file(path, member)

    def _file(self, path: str, member: tarfile.TarInfo) -> None:
        folder, slash, name = path.rpartition("/")
        if name.startswith(".wh."):
            # image-spec, layer.md: whiteouts.
            self.removed.add(folder + slash if name == ".wh..wh..opq" else f"{folder}{slash}{name[4:]}")
        elif member.islnk() and self._path(member.linkname) not in self._files:
            self.problem(f"{path}: a hard link to {member.linkname}, which is no file before it in this layer")
        elif member.issparse() or member.type not in tarfile.SUPPORTED_TYPES:
            self.problem(f"{path}: an entry of type {member.type!r}")
        elif member.ischr() or member.isblk() or member.isfifo():
            self.notes.append(f"{path}: a device or a pipe")
        self._files.add(path)

    def _parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent in self.symlinks or parent in self._files:
            self.problem(f"{path}: below {parent}, which is not a directory")
        elif parent and parent not in self.directories:
            self.orphans.setdefault(parent, path)

    def _path(self, name: str) -> str:
        """The path without `./` and slashes at its end; an empty text for the root, and for a path that is refused."""
        path = name.removeprefix("./").rstrip("/")
        if path in ("", ".") and not name.startswith("/"):
            return ""
        if len(path) > MAX_PATH or "\0" in path or path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
            self.problem(f"{path[:200]!r}: a path that leads outside or is malformed")
            return ""
        return path
