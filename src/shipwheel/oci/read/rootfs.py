"""An image's files in a directory of this machine, for engines that run directories (image-spec 1.1, layer.md).

Owners, set-user-ID bits, devices and pipes are left out. Nothing is written outside the directory, whatever the layers contain: links in a
path are resolved inside the directory, one by one.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shipwheel.errors import ArchiveError
from shipwheel.files.entry import checked_path
from shipwheel.oci.read.layer_files import EntryKind, LayerEntry, LayerFiles

__all__ = ["Rootfs"]

# image-spec, layer.md: whiteouts.
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MAX_LINKS, _MAX_SHOWN = 40, 200
_IMPOSSIBLE = {errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}
_CODE = {".py", ".pyc", ".so"}
_MAX_COPIED = 1 << 20
"""Bytes of data from which on a link is worth more than a name of its own."""
_UNLINKABLE = {errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of file systems that have no hard links, or no more of them for a file."""


class Rootfs:
    """A directory that layers are applied to, bottom first. With `own_data`, data below 1 MiB has no other name in the store."""

    def __init__(self, root: Path, *, own_data: bool = False) -> None:
        self._root = root
        self._own_data = own_data
        self._resolved: dict[str, Path] = {}
        """Folder -> the directory that its path leads to. Empty again after anything was removed: only then can it lead elsewhere."""

    def apply(self, layer: LayerFiles) -> None:
        """Write the entries of a layer over the existing files. Raise ArchiveError for a hostile layer."""
        written: set[Path] = set()
        self._resolved.clear()
        for number, entry in enumerate(layer.entries):
            with _impossible_paths(entry):
                self._apply_entry(entry, layer.content(number), written)

    def make_mount_point(self, path: str, *, directory: bool) -> str:
        """Create a directory or an empty file to mount on, unless the path exists. Return its absolute path, which leads through no link.

        A link in the place of a file is replaced: the mount covers it anyway.
        """
        if directory:
            target = self._directory(path.split("/"))
        else:
            target = self._target(path.strip("/"))
            if target.is_symlink():
                target.unlink()
            if not target.exists():
                target.touch()
        return f"/{target.relative_to(self._root)}"

    def read_text(self, path: str) -> str:
        """Return the content of a small text file, empty if it does not exist."""
        target = self._target(path)
        return target.read_text("utf-8", "replace") if target.is_file() and not target.is_symlink() else ""

    def _apply_entry(self, entry: LayerEntry, content: Path, written: set[Path]) -> None:
        """Apply an entry. `written` are the paths that the layer has written so far, with the directories above them."""
        name = os.fsdecode(entry.name)
        if name.strip("/").removeprefix("./") in ("", "."):
            return
        folder, _, base = checked_path(name, "the image").rpartition("/")
        if folder not in self._resolved:
            self._resolved[folder] = self._directory(folder.split("/"))
        target = self._resolved[folder] / base
        if base == _OPAQUE:
            self._resolved.clear()
            _remove_unwritten([Path(child.path) for child in os.scandir(target.parent)], written)
            return
        if base.startswith(_WHITEOUT):
            self._resolved.clear()
            hidden = base.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise ArchiveError(f"the image: the whiteout {name!r} leads outside", hint="The image is hostile; do not use it.")
            _remove_unwritten([target.with_name(hidden)], written)
            return
        self._write(entry, content, target)
        while target not in written and target != self._root:
            written.add(target)
            target = target.parent

    def _write(self, entry: LayerEntry, content: Path, target: Path) -> None:
        exists = os.path.lexists(target)
        if entry.kind is EntryKind.DIRECTORY:
            if exists and not stat.S_ISDIR(target.lstat().st_mode):
                self._resolved.clear()
                target.unlink()
            target.mkdir(exist_ok=True)
            # Later entries are written below it, maybe by a user who is not root.
            target.chmod(entry.mode & 0o1777 | 0o700)
            return
        if exists:
            self._resolved.clear()
            _remove(target)
        link = os.fsdecode(entry.target)
        if entry.kind is EntryKind.SYMLINK:
            target.symlink_to(link)
        elif entry.kind is EntryKind.HARD_LINK:
            source = self._target(checked_path(link, "the image"))
            if source.is_dir() or not os.path.lexists(source):
                what = f"the image: {_shown(entry.name)} is a hard link to {_shown(entry.target)}, which is not one of its files"
                raise ArchiveError(what, hint="The image is damaged; build or copy it again.")
            os.link(source, target, follow_symlinks=False)
        elif entry.kind is EntryKind.FILE:
            _place(content, target, own_data=self._own_data)

    def _target(self, path: str) -> Path:
        """Return the path of an entry on this machine. Its parent is resolved as inside the container, and created if it is missing."""
        folder, _, base = path.rpartition("/")
        return self._directory(folder.split("/") if folder else []) / base

    def _directory(self, parts: list[str]) -> Path:
        directory, links = self._root, 0
        remaining = list(reversed(parts))
        while remaining:
            part = remaining.pop()
            if part in ("", "."):
                continue
            if part == "..":
                directory = directory.parent if directory != self._root else directory
                continue
            path = directory / part
            if path.is_symlink():
                links += 1
                if links > _MAX_LINKS:
                    hint = "The image is hostile; do not use it."
                    raise ArchiveError(f"the image: the path {'/'.join(parts)!r} leads through too many links", hint=hint)
                target = str(path.readlink())
                directory = self._root if target.startswith("/") else directory
                remaining += reversed(target.split("/"))
                continue
            if not path.is_dir():
                path.unlink(missing_ok=True)
                path.mkdir()
                path.chmod(0o755)
            directory = path
        return directory


def _remove_unwritten(paths: list[Path], written: set[Path]) -> None:
    """Remove paths with everything below them, except for what the same layer has written: whiteouts concern the layers below."""
    while paths:
        path = paths.pop()
        if path not in written:
            _remove(path)
        elif path.is_dir() and not path.is_symlink():
            paths += [Path(child.path) for child in os.scandir(path)]


def _place(content: Path, target: Path, *, own_data: bool) -> None:
    """Make a file with some content, without a copy of it where the file system can do so; with `own_data`, for code and what is large."""
    is_data = own_data and not (target.suffix in _CODE or ".so." in target.name or content.stat().st_size > _MAX_COPIED)
    # What nobody may read, as /etc/shadow in some images, can only be linked.
    if is_data and os.access(content, os.R_OK):
        shutil.copy(content, target)
        return
    try:
        os.link(content, target)
    except OSError as error:
        if error.errno not in _UNLINKABLE:
            raise
        shutil.copy(content, target)


@contextmanager
def _impossible_paths(entry: LayerEntry) -> Iterator[None]:
    """Raise ArchiveError if the file system has no place for an entry; other errors, such as a full disk, are not the image's fault."""
    try:
        yield
    except OSError as error:
        if error.errno not in _IMPOSSIBLE:
            raise
        what = f"the image: {_shown(entry.name)} cannot be a file: {error.strerror}"
        raise ArchiveError(what, hint="The image is damaged or hostile; build or copy it again.") from error


def _shown(name: bytes) -> str:
    return repr(os.fsdecode(name)[:_MAX_SHOWN])


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
