"""The merged file tree of an untrusted image (image-spec 1.1, layer.md).

Each layer is read once, as a stream. The tree keeps paths, links, the properties of ELF files, a few small text files, and the versions
that interpreters and C libraries contain.
"""

import tarfile
import tempfile
import zlib
from contextlib import suppress
from typing import Any, BinaryIO, cast

import msgspec

from shipwheel.digest import hash_digest
from shipwheel.errors import ArchiveError, DamagedBlob, ImageError
from shipwheel.files.elf import ElfObject, is_elf, read_elf
from shipwheel.files.entry import parents
from shipwheel.files.segment import Directory, Segment
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.image import FileLayer, Image, ImageLayer, compressed_chunks
from shipwheel.oci.read.image_files import TAR_ERRORS, CappedReader, ChunkStream, members
from shipwheel.oci.read.layer_stream import Allowance, CompressedStream, UncompressedStream, UnpackError, check_member
from shipwheel.store.store import Store

__all__ = ["FileTree", "find_file_tree", "read_file_tree"]

_TREE_VERSION = "2"
_TEXTS = frozenset({"etc/passwd", "etc/group", "etc/os-release", "usr/lib/os-release"})
_MAX_TEXT = 256 << 10
_MAX_ELF = 1 << 30
_MAX_SEARCHED = 128 << 20
_MAX_EMPTIED = 1000
_MAX_NAMES = 256 << 20
_MAX_PATH = 4096
_MAX_LINKS = 40
_MAX_STEPS = 4096
_MAX_IN_MEMORY = 32 << 20
_PIECE = 1 << 20
# image-spec, layer.md: whiteouts.
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_VERSIONS = (
    # CPython's PY_VERSION, glibc's banner, musl's version: each is a separate string in the file.
    (lazy_pattern(r"(?:python3\.\d+|libpython3\.\d+[a-z]*\.so[\d.]*)$"), lazy_pattern(rb"\0(3\.\d{1,2}\.\d{1,3})(?:\+|(?:a|b|rc)\d+)?\0")),
    (lazy_pattern(r"libc(?:\.so\.6|-2\.\d+\.so)$"), lazy_pattern(rb"GNU C Library [^\n\0]{0,80}version (2\.\d{1,3})")),
    (lazy_pattern(r"(?:ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1|/libc\.so)$"), lazy_pattern(rb"\0(1\.\d{1,2}\.\d{1,3})(?:-git[\w-]*)?\0")),
)
"""(name of a file, version that it contains)."""


class FileTree(msgspec.Struct, frozen=True):
    """The files of an image. `segment` describes them like a segment's, but has no bytes in the store.

    `texts` are a few text files by path, `marks` the versions found in interpreters and C libraries by path.
    """

    segment: Segment
    texts: dict[str, str]
    marks: dict[str, str]

    def real(self, path: str) -> str | None:
        """Resolve the links in a path. Return the resulting path without a leading slash, or None if it does not exist."""
        segment = self.segment
        resolved: list[str] = []
        parts = [part for part in path.split("/") if part]
        links = 0
        for _ in range(_MAX_STEPS):
            if not parts:
                real = "/".join(resolved)
                return real if not real or real in segment.files or real in segment.directories else None
            part = parts.pop(0)
            if part in (".", ".."):
                resolved = resolved[:-1] if part == ".." else resolved
                continue
            target = segment.links.get("/".join((*resolved, part)))
            if target is None:
                resolved.append(part)
                continue
            links += 1
            if links > _MAX_LINKS or len(target) > _MAX_PATH:
                return None  # like the kernel: ELOOP, ENAMETOOLONG
            resolved = [] if target.startswith("/") else resolved
            parts = [step for step in target.split("/") if step] + parts
        return None


def find_file_tree(image: Image, store: Store) -> FileTree | None:
    """Return the tree of an image from the store, or None if it was never read."""
    return store.get_as("tree", _key(image), FileTree)


def read_file_tree(image: Image, store: Store, label: str) -> FileTree:
    """Return the tree of an image, from the store if it was read before. `label` is the image's name in errors and reports.

    Raise ImageError for a malformed layer, DamagedBlob for a layer whose bytes do not match its descriptor.
    """
    if (known := find_file_tree(image, store)) is not None:
        # The image may have been read under another name.
        return msgspec.structs.replace(known, segment=msgspec.structs.replace(known.segment, label=label))
    builder = _TreeBuilder(label, Allowance())
    for layer in image.layers:
        builder.apply(layer, store)
    tree = builder.build(image)
    store.put("tree", _key(image), msgspec.json.encode(tree))
    return tree


def _key(image: Image) -> str:
    return f"{_TREE_VERSION}-{image.digest.partition(':')[2]}"


class _TreeBuilder:
    """The merged tree of the layers read so far. A hard link to a known file becomes a file."""

    def __init__(self, label: str, allowance: Allowance) -> None:
        self.label = label
        self.allowance = allowance
        self.files: dict[str, int] = {}
        self.links: dict[str, str] = {}
        self.directories: dict[str, Directory] = {}
        self.elf: dict[str, ElfObject] = {}
        self.texts: dict[str, str] = {}
        self.marks: dict[str, str] = {}
        self.size = 0
        self.names = 0
        self._emptied = 0
        self._folders: set[str] = set()
        """The directories of this layer, with or without an entry of their own."""

    def apply(self, layer: ImageLayer, store: Store) -> None:
        """Apply a layer. Its whiteouts come first, because they concern the layers below it."""
        above = _TreeBuilder(self.label, self.allowance)
        above.names = self.names
        removed: set[str] = set()
        compressed = CompressedStream(ChunkStream(compressed_chunks(layer, store)), layer.descriptor.size, "sha256")
        uncompressed = UncompressedStream(compressed, None, self.allowance)
        broken: Exception | None = None
        try:
            try:
                above.read(uncompressed, removed)
            except (*TAR_ERRORS, UnpackError) as error:
                broken = error
            compressed.drain()
        except DamagedBlob as error:
            if not isinstance(layer, FileLayer):
                raise
            broken = error
        self._check(layer, compressed, broken)
        if hash_digest(uncompressed.hash) != layer.diff_id:
            raise ImageError(
                f"{self.label}: the layer {layer.descriptor.digest} does not match its diff_id in the config", hint="Use another image."
            )
        self._merge(above, removed, uncompressed.size)
        self.names = above.names

    def read(self, uncompressed: UncompressedStream, removed: set[str]) -> None:
        """Record all entries of a layer, and in `removed` the paths that its whiteouts remove."""
        # Names that are not UTF-8 cannot be stored, and nothing looks for them.
        with tarfile.open(fileobj=CappedReader(uncompressed), mode="r:", encoding="utf-8", errors="replace") as archive:
            for member in members(archive):
                self.add(archive, member, removed)
        uncompressed.drain()

    def _check(self, layer: ImageLayer, compressed: CompressedStream, broken: Exception | None) -> None:
        """Raise ImageError for a malformed layer, and DamagedBlob for wrong bytes in the store, which can be fetched again."""
        digest = layer.descriptor.digest
        if hash_digest(compressed.hash) != digest or compressed.size != layer.descriptor.size:
            if isinstance(layer, FileLayer):
                raise ImageError(f"{self.label}: the layer {digest} does not match its digest", hint="Build or copy the layout again.")
            raise DamagedBlob(digest)
        if broken is not None:
            hint = "The image is damaged; use another one."
            raise ImageError(f"{self.label}: the layer {digest} cannot be read: {broken}", hint=hint) from broken

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo, removed: set[str]) -> None:
        """Record one entry of a layer."""
        check_member(member)
        self.allowance.take(entries=1)
        self.names += len(member.name) + len(member.linkname)
        if self.names > _MAX_NAMES:
            raise tarfile.ReadError(f"more than {_MAX_NAMES >> 20} MiB of names")
        path = member.name.removeprefix("./").strip("/")
        if path in ("", "."):
            return
        self._check_inside(path)
        self._add_parents(path, removed)
        folder, slash, name = path.rpartition("/")
        if name == _OPAQUE:
            removed.add(folder + slash)
        elif name.startswith(_WHITEOUT):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise self._hostile(path)
            removed.add(folder + slash + hidden)
        else:
            self._add_entry(archive, member, path, removed)

    def _add_parents(self, path: str, removed: set[str]) -> None:
        for parent in parents(path):
            if parent in self._folders:
                break
            if parent in self.files:
                self._replace(parent, removed)
            self._folders.add(parent)

    def _replace(self, path: str, removed: set[str]) -> None:
        """Replace a file by a directory. The file itself may have replaced a directory of a lower layer, whose content is removed."""
        self._forget(path)
        removed.add(f"{path}/")

    def _check_inside(self, path: str) -> None:
        if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            raise self._hostile(path)

    def _hostile(self, path: str) -> ImageError:
        return ImageError(f"{self.label}: the path {path[:200]!r} leads outside the image", hint="The image is hostile; do not use it.")

    def _add_entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, removed: set[str]) -> None:
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
            self._check_inside(target)
            self._add_hard_link(path, target)
        elif member.isreg():
            self._add_file(archive, member, path)
        else:
            # A device or a pipe is not recorded, but it replaces what was at its path.
            removed.add(path)

    def _add_hard_link(self, path: str, target: str) -> None:
        if target not in self.files:
            self.links[path] = f"/{target}"
            return
        for known in (self.files, self.texts, self.marks):
            if target in known:
                known[path] = known[target]  # type: ignore[assignment]
        if target in self.elf:
            self.elf[path] = msgspec.structs.replace(self.elf[target], path=path)

    def _add_file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        stream = archive.extractfile(member)
        assert stream is not None  # noqa: S101 - it is a regular file
        head = stream.read(4)
        crc, size = zlib.crc32(head), len(head)
        max_inspected = _MAX_TEXT if path in _TEXTS else _MAX_ELF if is_elf(head) else 0
        with tempfile.SpooledTemporaryFile(_MAX_IN_MEMORY) as copy:
            copy.write(head)
            while piece := stream.read(_PIECE):
                crc, size = zlib.crc32(piece, crc), size + len(piece)
                if size <= max_inspected:
                    copy.write(piece)
            if size != member.size:
                raise tarfile.ReadError(f"{path} is cut off")
            self.files[path] = crc
            if 0 < size <= max_inspected:
                self._inspect(path, cast(BinaryIO, copy))

    def _inspect(self, path: str, copy: BinaryIO) -> None:
        copy.seek(0)
        if path in _TEXTS:
            self.texts[path] = copy.read().decode("utf-8", "replace")
            return
        # A damaged ELF file is an ordinary file: no loader accepts it.
        with suppress(ArchiveError):
            if (found := read_elf(copy, path, self.label)) is not None:
                self.elf[path] = found
        for name, version in _VERSIONS:
            if name.search(path):
                copy.seek(0)
                if (match := version.search(copy.read(_MAX_SEARCHED))) is not None:
                    self.marks[path] = match[1].decode()

    @property
    def _maps(self) -> "tuple[dict[str, Any], ...]":
        return self.files, self.links, self.directories, self.elf, self.texts, self.marks

    def _forget(self, path: str) -> None:
        for known in self._maps:
            known.pop(path, None)

    def _empty(self, path: str) -> None:
        """Remove everything below a path that was a directory earlier in the same layer."""
        if path not in self._folders:
            return
        self._emptied += 1
        if self._emptied > _MAX_EMPTIED:
            raise tarfile.ReadError("directories take the place of files again and again")
        self._folders = {folder for folder in self._folders if folder != path and not folder.startswith(f"{path}/")}
        for known in self._maps:
            for child in [child for child in known if child.startswith(f"{path}/")]:
                del known[child]

    def _merge(self, above: "_TreeBuilder", removed: set[str], size: int) -> None:
        replaced = above.files.keys() | above.links.keys() | above.directories.keys()
        # A file that replaces a directory hides its content, and a directory replaces a file.
        hidden = {*removed, *above.files, *above.links}
        all_hidden = "" in removed

        def is_hidden(path: str) -> bool:
            if all_hidden or path in replaced or path in removed or (path in self.files and path in above._folders):
                return True
            return any(parent in hidden or f"{parent}/" in removed for parent in parents(path))

        lost = {path for below in self._maps for path in below if is_hidden(path)}
        for below, upper in zip(self._maps, above._maps, strict=True):
            for path in lost & below.keys():
                del below[path]
            below.update(upper)
        self.size += size

    def build(self, image: Image) -> FileTree:
        """Return the tree."""
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
