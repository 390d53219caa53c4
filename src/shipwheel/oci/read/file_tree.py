"""The files of an image that somebody else made, as its layers lie on one another (image-spec 1.1, layer.md).

Read once, in one stream a layer; what is remembered are facts: paths, links, what ELF files need and define, a few small texts, and
versions that interpreters and C libraries have written into them.
"""

import re
import tarfile
import tempfile
import zlib
from contextlib import suppress
from typing import Any, BinaryIO, cast

import msgspec

from shipwheel.errors import ArchiveError, DamagedBlob, ImageError
from shipwheel.files.elf import ElfObject, is_elf, read_elf
from shipwheel.files.entry import parents
from shipwheel.files.segment import Directory, Segment
from shipwheel.oci.image import FileLayer, Image, ImageLayer, compressed_chunks
from shipwheel.oci.read.image_files import TAR_ERRORS, CappedReader, ChunkStream
from shipwheel.oci.read.layer_stream import MAX_UNPACKED, CompressedStream, UncompressedStream, UnpackError, check_member
from shipwheel.store import Store

__all__ = ["FileTree", "find_file_tree", "read_file_tree"]

_TREE_VERSION = "2"
_TEXTS = frozenset({"etc/passwd", "etc/group", "etc/os-release", "usr/lib/os-release"})
_MAX_TEXT = 256 << 10
_MAX_ELF = 1 << 30
_MAX_MARKED = 128 << 20
_MAX_MEMBERS = 2_000_000
_MAX_EMPTIED = 1000
_MAX_NAMES = 256 << 20
_MAX_PATH = 4096
_MOST_LINKS = 40
_IN_MEMORY = 32 << 20
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


class FileTree(msgspec.Struct, frozen=True):
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
        links = 0
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
            links += 1
            if links > _MOST_LINKS or len(target) > _MAX_PATH:
                return None  # as the kernel: ELOOP, ENAMETOOLONG
            done = [] if target.startswith("/") else done
            parts = [step for step in target.split("/") if step] + parts
        return None


def find_file_tree(image: Image, store: Store) -> FileTree | None:
    """The tree of an image that was read before, from the store's records alone."""
    if (record := store.get("tree", _key(image))) is not None:
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(record, type=FileTree)
    return None


def read_file_tree(image: Image, store: Store, label: str) -> FileTree:
    """The tree of an image, from the store's records when it was read before. `label` is the image's name, in errors and reports.

    Raises ImageError for a layer that cannot be read, DamagedBlob for one whose bytes are not what its descriptor says.
    """
    if (known := find_file_tree(image, store)) is not None:
        # Another name may stand for the same image.
        return msgspec.structs.replace(known, segment=msgspec.structs.replace(known.segment, label=label))
    made = _Overlay(label)
    for layer in image.layers:
        made.lay(layer, store)
    tree = made.tree(image)
    store.put("tree", _key(image), msgspec.json.encode(tree))
    return tree


def _key(image: Image) -> str:
    return f"{_TREE_VERSION}-{image.digest.partition(':')[2]}"


class _Overlay:
    """The layers that were read so far, as one tree. A hard link is a file like the other name of it, where that is known."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.files: dict[str, int] = {}
        self.links: dict[str, str] = {}
        self.directories: dict[str, Directory] = {}
        self.elf: dict[str, ElfObject] = {}
        self.texts: dict[str, str] = {}
        self.marks: dict[str, str] = {}
        self.size = 0
        self.members = 0
        self.names = 0
        self._emptied = 0
        self._folders: set[str] = set()
        """Directories of this layer, whether or not they have an entry of their own."""

    def lay(self, layer: ImageLayer, store: Store) -> None:
        """Puts a layer on top: what it takes away goes first, since its whiteouts are about the layers below it."""
        above = _Overlay(self.label)
        above.members, above.names = self.members, self.names
        removed: set[str] = set()
        packed = CompressedStream(ChunkStream(compressed_chunks(layer, store)), layer.descriptor.size, "sha256")
        unpacked = UncompressedStream(packed, None, MAX_UNPACKED)
        broken: Exception | None = None
        try:
            try:
                above.read(unpacked, removed)
            except (*TAR_ERRORS, UnpackError) as error:
                broken = error
            packed.drain()
        except DamagedBlob as error:
            if not isinstance(layer, FileLayer):
                raise
            broken = error
        self._check(layer, packed, broken)
        if f"sha256:{unpacked.hash.hexdigest()}" != layer.diff_id:
            raise ImageError(
                f"{self.label}: the layer {layer.descriptor.digest} is not what the config says of it", hint="Take another image."
            )
        self._merge(above, removed, unpacked.size)
        self.members, self.names = above.members, above.names

    def read(self, unpacked: UncompressedStream, removed: set[str]) -> None:
        """Notes all entries of a layer, and in `removed` what its whiteouts take away."""
        # What is no UTF-8 is nothing that is looked for, and could not be remembered.
        with tarfile.open(fileobj=CappedReader(unpacked), mode="r:", encoding="utf-8", errors="replace") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]
                self.take(archive, member, removed)
        unpacked.drain()

    def _check(self, layer: ImageLayer, packed: CompressedStream, broken: Exception | None) -> None:
        """Bytes that are others are the store's fault, which is mended, unless they are in a layout; right rubbish is the image's."""
        digest = layer.descriptor.digest
        if f"sha256:{packed.hash.hexdigest()}" != digest or packed.size != layer.descriptor.size:
            if isinstance(layer, FileLayer):
                raise ImageError(f"{self.label}: the layer {digest} is not what its digest says", hint="Make or copy the layout again.")
            raise DamagedBlob(digest)
        if broken is not None:
            hint = "The image is damaged; take another."
            raise ImageError(f"{self.label}: the layer {digest} cannot be read: {broken}", hint=hint) from broken

    def take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, removed: set[str]) -> None:
        """Notes one entry of a layer."""
        check_member(member)
        self.members += 1
        self.names += len(member.name) + len(member.linkname)
        if self.members > _MAX_MEMBERS or self.names > _MAX_NAMES:
            raise tarfile.ReadError(f"more than {_MAX_MEMBERS} entries, or {_MAX_NAMES >> 20} MiB of names")
        path = member.name.removeprefix("./").strip("/")
        if path in ("", "."):
            return
        self._inside(path)
        self._parents(path, removed)
        folder, slash, name = path.rpartition("/")
        if name == _OPAQUE:
            removed.add(folder + slash)
        elif name.startswith(_WHITEOUT):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise self._hostile(path)
            removed.add(folder + slash + hidden)
        else:
            self._entry(archive, member, path, removed)

    def _parents(self, path: str, removed: set[str]) -> None:
        for parent in parents(path):
            if parent in self._folders:
                break
            if parent in self.files:
                self._replace(parent, removed)
            self._folders.add(parent)

    def _replace(self, path: str, removed: set[str]) -> None:
        """A directory takes the place of a file of the same layer, which had taken that of what was below it."""
        self._forget(path)
        removed.add(f"{path}/")

    def _inside(self, path: str) -> None:
        if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            raise self._hostile(path)

    def _hostile(self, path: str) -> ImageError:
        return ImageError(f"{self.label}: the path {path[:200]!r} leads outside the image", hint="The image is hostile.")

    def _entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, removed: set[str]) -> None:
        if member.isdir():
            if path in self.files or path in self.links:
                self._replace(path, removed)
            self._folders.add(path)
            self.directories[path] = Directory(member.mode & 0o7777, member.uid, member.gid)
            return
        self._forget(path)
        self._empty(path)
        if member.issym():
            self.links[path] = member.linkname
        elif member.islnk():
            target = member.linkname.removeprefix("./").strip("/")
            self._inside(target)
            self._same(path, target)
        elif member.isreg():
            self._file(archive, member, path)
        else:
            # A device or a pipe is nothing to us, but what was there is no more.
            removed.add(path)

    def _same(self, path: str, target: str) -> None:
        if target not in self.files:
            self.links[path] = f"/{target}"
            return
        for known in (self.files, self.texts, self.marks):
            if target in known:
                known[path] = known[target]  # type: ignore[assignment]
        if target in self.elf:
            self.elf[path] = msgspec.structs.replace(self.elf[target], path=path)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        stream = archive.extractfile(member)
        assert stream is not None  # noqa: S101 - it is a regular file
        head = stream.read(4)
        crc, size = zlib.crc32(head), len(head)
        wanted = _MAX_TEXT if path in _TEXTS else _MAX_ELF if is_elf(head) else 0
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            copy.write(head)
            while piece := stream.read(_PIECE):
                crc, size = zlib.crc32(piece, crc), size + len(piece)
                if size <= wanted:
                    copy.write(piece)
            if size != member.size:
                raise tarfile.ReadError(f"{path} is cut off")
            self.files[path] = crc
            if 0 < size <= wanted:
                self._look(path, cast(BinaryIO, copy))

    def _look(self, path: str, copy: BinaryIO) -> None:
        copy.seek(0)
        if path in _TEXTS:
            self.texts[path] = copy.read().decode("utf-8", "replace")
            return
        # A damaged one is a file like any other: no loader takes it.
        with suppress(ArchiveError):
            if (found := read_elf(copy, path, self.label)) is not None:
                self.elf[path] = found
        for name, version in _MARKS:
            if name.search(path):
                copy.seek(0)
                if (mark := version.search(copy.read(_MAX_MARKED))) is not None:
                    self.marks[path] = mark[1].decode()

    @property
    def _maps(self) -> "tuple[dict[str, Any], ...]":
        return self.files, self.links, self.directories, self.elf, self.texts, self.marks

    def _forget(self, path: str) -> None:
        for known in self._maps:
            known.pop(path, None)

    def _empty(self, path: str) -> None:
        """What was a directory earlier in the same layer goes with all that was in it."""
        if path not in self._folders:
            return
        self._emptied += 1
        if self._emptied > _MAX_EMPTIED:
            raise tarfile.ReadError("directories take the place of files again and again")
        self._folders = {folder for folder in self._folders if folder != path and not folder.startswith(f"{path}/")}
        for known in self._maps:
            for one in [one for one in known if one.startswith(f"{path}/")]:
                del known[one]

    def _merge(self, above: "_Overlay", removed: set[str], size: int) -> None:
        taken = above.files.keys() | above.links.keys() | above.directories.keys()
        # What is no directory any more takes what was in it away; what is one now, the file that was there.
        gone = {*removed, *above.files, *above.links}
        whole = "" in removed

        def is_gone(path: str) -> bool:
            if whole or path in taken or path in removed or (path in self.files and path in above._folders):
                return True
            return any(parent in gone or f"{parent}/" in removed for parent in parents(path))

        lost = {path for mine in self._maps for path in mine if is_gone(path)}
        for mine, others in zip(self._maps, above._maps, strict=True):
            for path in lost & mine.keys():
                del mine[path]
            mine.update(others)
        self.size += size

    def tree(self, image: Image) -> FileTree:
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
        return FileTree(segment, self.texts, self.marks)
