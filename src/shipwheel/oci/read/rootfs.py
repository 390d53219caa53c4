"""An image's files, unpacked below a directory of this machine (image-spec 1.1, layer.md), for what runs directories.

Owners are left out, set-user-ID bits, devices and pipes too. Nothing is written outside the directory, whatever the layers say: every
path is followed link by link inside it, and no link of the machine's is followed.
"""

import os
import shutil
import stat
import tarfile
from pathlib import Path

from shipwheel.errors import ArchiveError, DamagedBlob, ImageError
from shipwheel.files.entry import checked_path
from shipwheel.oci.image import ImageLayer, compressed_chunks
from shipwheel.oci.read.image_files import TAR_ERRORS, CappedReader, ChunkStream
from shipwheel.oci.read.layer_stream import MAX_UNPACKED, CompressedStream, UncompressedStream, UnpackError, check_member
from shipwheel.store import Store

__all__ = ["Rootfs"]

# image-spec, layer.md: whiteouts.
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MAX_LINKS = 40


class Rootfs:
    """A directory that layers are laid into, bottom first."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def lay(self, layer: ImageLayer, store: Store) -> None:
        """Writes a layer's entries over what is there."""
        packed = CompressedStream(ChunkStream(compressed_chunks(layer, store)), layer.descriptor.size, "sha256")
        data = UncompressedStream(packed, None, MAX_UNPACKED)
        written: set[str] = set()
        try:
            with tarfile.open(fileobj=CappedReader(data), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]
                    self._take(archive, member, written)
            data.drain()
        except (*TAR_ERRORS, UnpackError) as error:
            packed.drain()
            if f"sha256:{packed.hash.hexdigest()}" != layer.descriptor.digest:
                raise DamagedBlob(layer.descriptor.digest) from error
            hint = "The image is damaged; make or copy it again."
            raise ImageError(f"the layer {layer.descriptor.digest} cannot be read: {error}", hint=hint) from error
        packed.drain()
        if f"sha256:{packed.hash.hexdigest()}" != layer.descriptor.digest:
            raise DamagedBlob(layer.descriptor.digest)

    def place(self, path: str, *, directory: bool) -> None:
        """Sees to it that there is something to mount on."""
        if directory:
            self._directory(path.split("/"))
            return
        target = self._target(path.strip("/"))
        if not os.path.lexists(target):
            target.touch()

    def text(self, path: str) -> str:
        """A small text file's content, empty if there is none."""
        target = self._target(path)
        return target.read_text("utf-8", "replace") if target.is_file() and not target.is_symlink() else ""

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, written: set[str]) -> None:
        check_member(member)
        name = member.name.strip("/")
        if name.removeprefix("./") in ("", "."):
            return
        path = checked_path(member.name, "the image")
        folder, _, base = path.rpartition("/")
        target = self._target(path)
        if base == _OPAQUE:
            for child in os.scandir(target.parent):
                # Only what the layers below have there.
                if f"{folder}/{child.name}".lstrip("/") not in written:
                    _remove(Path(child.path))
            return
        if base.startswith(_WHITEOUT):
            hidden = base.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise ArchiveError(f"the image: the whiteout {path!r} leads outside", hint="The image is hostile; do not use it.")
            _remove(target.with_name(hidden))
            return
        written.add(path)
        self._write(archive, member, target)

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        there = os.path.lexists(target)
        if member.isdir():
            if there and not stat.S_ISDIR(target.lstat().st_mode):
                target.unlink()
            target.mkdir(exist_ok=True)
            # What comes later has to be written below it, by somebody who may not be root.
            target.chmod(member.mode & 0o1777 | 0o700)
            return
        if there:
            _remove(target)
        if member.issym():
            target.symlink_to(member.linkname)
        elif member.islnk():
            source = self._target(checked_path(member.linkname, "the image"))
            if source.is_dir() or not os.path.lexists(source):
                what = f"the image: {member.name[:200]!r} is a hard link to {member.linkname[:200]!r}, which is no file of it"
                raise ArchiveError(what, hint="The image is damaged; make or copy it again.")
            os.link(source, target, follow_symlinks=False)
        elif member.isreg():
            with target.open("xb") as file:
                stream = archive.extractfile(member)
                assert stream is not None  # noqa: S101 - it is a regular file
                shutil.copyfileobj(stream, file, 1 << 20)
            target.chmod(member.mode & 0o777)

    def _target(self, path: str) -> Path:
        """The place of an entry: its parent is followed through links as inside the container, and made where it is not there."""
        folder, _, base = path.rpartition("/")
        return self._directory(folder.split("/") if folder else []) / base

    def _directory(self, parts: list[str]) -> Path:
        here, links = self._root, 0
        todo = list(reversed(parts))
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.parent if here != self._root else here
                continue
            there = here / part
            if there.is_symlink():
                links += 1
                if links > _MAX_LINKS:
                    raise ArchiveError(f"the image: too many links on the way to {'/'.join(parts)!r}", hint="The image is hostile.")
                text = str(there.readlink())
                here = self._root if text.startswith("/") else here
                todo += reversed(text.split("/"))
                continue
            if not there.is_dir():
                there.unlink(missing_ok=True)
                there.mkdir()
                there.chmod(0o755)
            here = there
        return here


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
