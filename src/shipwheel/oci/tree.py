"""The files of an image that somebody else made, as its layers lie on one another (image-spec 1.1, layer.md).

Read once, in one stream a layer; what is remembered are facts: paths, links, what ELF files need and define, a few small texts, and
versions that interpreters and C libraries have written into them.
"""

import io
import re
import tarfile
import zlib
from contextlib import suppress
from typing import Any

import msgspec

from shipwheel.errors import ArchiveError, DamagedBlob, ImageError
from shipwheel.files.elf import ElfObject, is_elf, read_elf
from shipwheel.files.segment import Directory, Segment
from shipwheel.oci.image import Image, LayerBlob, blob_chunks
from shipwheel.oci.opened import TAR_ERRORS, CappedReader, ChunkStream
from shipwheel.oci.unpacking import MAX_UNPACKED, Packed, Unpacked, Unpacking
from shipwheel.store import Store

__all__ = ["Tree", "find_tree", "read_tree"]

_TREE_VERSION = "1"
_TEXTS = frozenset({"etc/passwd", "etc/group", "etc/os-release", "usr/lib/os-release"})
_MAX_TEXT = 256 << 10
_MAX_ELF = 1 << 30
_PIECE = 1 << 20
# image-spec, layer.md: whiteouts.
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MARKS = (
    # CPython's PY_VERSION, glibc's banner, musl's version: each a text of its own in the file.
    (re.compile(r"(?:python3\.\d+|libpython3\.\d+[a-z]*\.so[\d.]*)$"), re.compile(rb"\0(3\.\d{1,2}\.\d{1,3})(?:\+|(?:a|b|rc)\d+)?\0")),
    (re.compile(r"libc(?:\.so\.6|-2\.\d+\.so)$"), re.compile(rb"GNU C Library [^\n\0]{0,80}version (2\.\d{1,3})")),
    (re.compile(r"(?:ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1|/libc\.so)$"), re.compile(rb"\0(1\.\d{1,2}\.\d{1,3})(?:-git[\w-]*)?\0")),
)
"""Name of a file -> the version in it."""


class Tree(msgspec.Struct, frozen=True):
    """What is known of an image's files. `segment` holds them as of a segment; it has no bytes in the store.

    `marks` are versions that were found in interpreters and C libraries, by path.
    """

    segment: Segment
    texts: dict[str, str]
    marks: dict[str, str]

    def real(self, path: str) -> str | None:
        """The path, without a leading slash, of the file or directory that a path leads to through links; None when it leads nowhere."""
        segment = self.segment
        done: list[str] = []
        parts = [part for part in path.split("/") if part]
        for _ in range(4096):
            if not parts:
                whole = "/".join(done)
                return whole if not whole or whole in segment.files or whole in segment.directories else None
            part = parts.pop(0)
            if part in (".", ".."):
                done = done[:-1] if part == ".." else done
                continue
            target = segment.links.get("/".join((*done, part)))
            if target is None:
                done.append(part)
                continue
            # A hard link's target is a path from the root; a symbolic link's is from where it is.
            hard = not target.startswith("/") and target in segment.files and "/".join((*done, target)) not in segment.files
            done = [] if target.startswith("/") or hard else done
            parts = [step for step in target.split("/") if step] + parts
        return None


def find_tree(image: Image, store: Store) -> Tree | None:
    """The tree of an image that was read before, from the store's records alone."""
    if (record := store.get("tree", _key(image))) is not None:
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(record, type=Tree)
    return None


def read_tree(image: Image, store: Store, label: str) -> Tree:
    """The tree of an image, from the store's records when it was read before. `label` is the image's name, in errors and reports.

    Raises ImageError for a layer that cannot be read, DamagedBlob for one whose bytes are not what its descriptor says.
    """
    if (known := find_tree(image, store)) is not None:
        return known
    made = _Overlay(label)
    for layer in image.layers:
        made.lay(layer, store)
    tree = made.tree(image)
    store.put("tree", _key(image), msgspec.json.encode(tree))
    return tree


def _key(image: Image) -> str:
    return f"{_TREE_VERSION}-{image.digest.partition(':')[2]}"


class _Overlay:
    """The layers that were read so far, as one tree."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.files: dict[str, int] = {}
        self.links: dict[str, str] = {}
        self.directories: dict[str, Directory] = {}
        self.elf: dict[str, ElfObject] = {}
        self.texts: dict[str, str] = {}
        self.marks: dict[str, str] = {}
        self.size = 0

    def lay(self, layer: LayerBlob, store: Store) -> None:
        """Puts a layer on top: what it takes away goes first, since its whiteouts are about the layers below it."""
        above = _Overlay(self.label)
        removed: set[str] = set()
        packed = Packed(ChunkStream(blob_chunks(layer, store)), layer.descriptor.size, "sha256")
        unpacked = Unpacked(packed, None, MAX_UNPACKED)
        try:
            with tarfile.open(fileobj=CappedReader(unpacked), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]
                    above.take(archive, member, removed)
            unpacked.drain()
        except (*TAR_ERRORS, Unpacking) as error:
            raise ImageError(
                f"{self.label}: the layer {layer.descriptor.digest} cannot be read: {error}", hint="The image is damaged; take another."
            ) from error
        packed.drain()
        if f"sha256:{packed.hash.hexdigest()}" != layer.descriptor.digest or packed.size != layer.descriptor.size:
            raise DamagedBlob(layer.descriptor.digest)
        if f"sha256:{unpacked.hash.hexdigest()}" != layer.diff_id:
            raise ImageError(
                f"{self.label}: the layer {layer.descriptor.digest} is not what the config says of it", hint="Take another image."
            )
        self._merge(above, removed, unpacked.size)

    def take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, removed: set[str]) -> None:
        """Notes one entry of a layer."""
        path = member.name.removeprefix("./").strip("/")
        if path in ("", "."):
            return
        if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            raise ImageError(f"{self.label}: the path {member.name[:200]!r} leads outside the image", hint="The image is hostile.")
        folder, slash, name = path.rpartition("/")
        if name == _OPAQUE:
            removed.add(folder + slash)
        elif name.startswith(_WHITEOUT):
            removed.add(folder + slash + name.removeprefix(_WHITEOUT))
        elif member.isdir():
            self._forget(path)
            self.directories[path] = Directory(member.mode & 0o7777, member.uid, member.gid)
        elif member.issym() or member.islnk():
            self._forget(path)
            self.links[path] = member.linkname if member.issym() else member.linkname.removeprefix("./").strip("/")
        elif member.isreg():
            self._forget(path)
            self._file(archive, member, path)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        stream = archive.extractfile(member)
        assert stream is not None  # noqa: S101 - it is a regular file
        head = stream.read(4)
        crc, size = zlib.crc32(head), len(head)
        kept = bytearray(head) if path in _TEXTS or (is_elf(head) and member.size <= _MAX_ELF) else None
        while piece := stream.read(_PIECE):
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            if kept is not None:
                kept += piece
        if size != member.size:
            raise tarfile.ReadError(f"{path} is cut off")
        self.files[path] = crc
        if kept is not None:
            self._look(path, kept)

    def _look(self, path: str, data: bytearray) -> None:
        if path in _TEXTS:
            self.texts[path] = data[:_MAX_TEXT].decode("utf-8", "replace")
            return
        # A damaged one is a file like any other: no loader takes it.
        with suppress(ArchiveError):
            if (found := read_elf(io.BytesIO(data), path, self.label)) is not None:
                self.elf[path] = found
        for name, version in _MARKS:
            if name.search(path) and (mark := version.search(data)) is not None:
                self.marks[path] = mark[1].decode()

    @property
    def _maps(self) -> "tuple[dict[str, Any], ...]":
        return self.files, self.links, self.directories, self.elf, self.texts, self.marks

    def _forget(self, path: str) -> None:
        for known in self._maps:
            known.pop(path, None)

    def _merge(self, above: "_Overlay", removed: set[str], size: int) -> None:
        # What was a directory and is none any more takes what was in it away.
        gone = {*removed, *(self.directories.keys() & (above.files.keys() | above.links.keys()))}
        exact = {path for path in gone if not path.endswith("/")}
        below = tuple(path if path.endswith("/") else f"{path}/" for path in sorted(gone))
        taken = above.files.keys() | above.links.keys() | above.directories.keys()
        for mine, others in zip(self._maps, above._maps, strict=True):
            for path in [path for path in mine if path in exact or path in taken or (below and path.startswith(below))]:
                del mine[path]
            mine.update(others)
        self.size += size

    def tree(self, image: Image) -> Tree:
        """The facts as values."""
        segment = Segment(
            key=f"image {image.digest}",
            label=self.label,
            digest=image.digest,
            size=sum(layer.descriptor.size for layer in image.layers),
            unpacked_size=self.size,
            files=self.files,
            links=self.links,
            directories=self.directories,
            elf=tuple(self.elf[path] for path in sorted(self.elf)),
        )
        return Tree(segment, self.texts, self.marks)
