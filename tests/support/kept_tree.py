"""A small tree of files that is written again and again: from memory, without asking what each file and directory is."""

import os
from pathlib import Path

import msgspec

__all__ = ["KeptTree", "keep_tree"]


class _File(msgspec.Struct, frozen=True):
    """A regular file: its path below the root, mode, times of access and change in nanoseconds, and bytes."""

    path: str
    mode: int
    times: tuple[int, int]
    data: bytes


class KeptTree(msgspec.Struct, frozen=True):
    """The directories below a root, parents first, and the regular files in them."""

    directories: tuple[str, ...]
    files: tuple[_File, ...]

    def write(self, root: Path) -> None:
        """Write the tree as `root`, which must not exist."""
        root.mkdir()
        for path in self.directories:
            os.mkdir(f"{root}/{path}")  # noqa: PTH102 - strings all the way: there are hundreds
        for file in self.files:
            number = os.open(f"{root}/{file.path}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
            try:
                if os.write(number, file.data) != len(file.data):
                    raise OSError(f"{root}/{file.path} was not written to its end")
                os.fchmod(number, file.mode)
                os.utime(number, ns=file.times)
            finally:
                os.close(number)


def keep_tree(root: Path) -> KeptTree:
    """Read a tree that has directories and regular files alone."""
    paths = sorted(root.rglob("*"))
    assert not [path for path in paths if path.is_symlink() or not (path.is_dir() or path.is_file())]
    return KeptTree(
        tuple(path.relative_to(root).as_posix() for path in paths if path.is_dir()),
        tuple(_file(path, root) for path in paths if path.is_file()),
    )


def _file(path: Path, root: Path) -> _File:
    status = path.stat()
    times = (status.st_atime_ns, status.st_mtime_ns)
    return _File(path.relative_to(root).as_posix(), status.st_mode & 0o7777, times, path.read_bytes())
