"""Programs in an image's unpacked root, in bubblewrap, and the files that they write there.

The root stays as it is: an overlay takes what is written, or, where bubblewrap or the file system has none, a copy of the root does. The
program sees the root, its variables, and nothing of this machine.
"""

import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from shipwheel.container.devices import device_flags
from shipwheel.container.venv import VENV
from shipwheel.files.entry import parents
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.process import Finished, run_bounded
from shipwheel.locking.sandbox import bubblewrap, with_variables
from shipwheel.oci.read.rootfs import Rootfs

__all__ = ["PROBED_PYTHON", "ImageRoot", "WrittenFile", "written_files"]

_SYSTEM = ("dev", "proc", "sys", "tmp", "run", "var/tmp", "var/cache", "var/lock", "root/.cache")
"""Directories that an image has no files in, or that are caches."""
_HOST_FILES = ("etc/hosts", "etc/resolv.conf")
_SCRATCH_PATHS = ("/tmp", "/var/tmp")  # noqa: S108 - in the image
"""One directory beside the programs' files stands for these and for shared memory, so that its size counts, and no memory is filled."""
_CACHES = frozenset({"__pycache__", ".cache", ".pytest_cache", ".mypy_cache"})
PROBED_PYTHON = f"/{VENV}/bin/python"
"""The program that tells whether a root's programs run."""
_PROBE_TIMEOUT_S = 30
_COMPARED_BYTES = 1 << 20


class WrittenFile(msgspec.Struct, frozen=True):
    """A file or symbolic link that a program wrote: its path in the image, and where it is on this machine."""

    path: str
    host: Path

    @property
    def link(self) -> str | None:
        """The target of a symbolic link, None for a file."""
        return os.readlink(self.host) if self.host.is_symlink() else None  # noqa: PTH115 - the target as it is

    @property
    def executable(self) -> bool:
        """True if its owner may execute it."""
        return bool(self.host.lstat().st_mode & stat.S_IXUSR)

    @property
    def is_elf(self) -> bool:
        """True for a program or library, which is for one kind of processor."""
        if self.host.is_symlink():
            return False
        with self.host.open("rb") as stream:
            return stream.read(4) == b"\x7fELF"


class ImageRoot(msgspec.Struct, frozen=True):
    """The unpacked files of an image at `root`, with `place`, a directory for the programs' files alone.

    `user` is `uid:gid`; `directory` is where programs start, absolute in the image. Each has `bounds`, and setting `stop` ends it.
    `tools` is a root whose files are there as well, where the image has none of the same path.
    """

    root: Path
    place: Path
    user: str
    directory: str
    stop: threading.Event
    bounds: Bounds = msgspec.field(default_factory=Bounds)
    tools: Path | None = None

    def prepare(self) -> None:
        """Make the directories, and copy the root if no overlay can be mounted over it. Raise OSError."""
        for path in (self._upper, self._work, self._scratch):
            path.mkdir(parents=True)
        self._scratch.chmod(0o1777)
        if not self._overlays():
            shutil.rmtree(self._upper)
            _make_accessible(self._work)
            shutil.rmtree(self._work)
            shutil.copytree(self.root, self._copy, symlinks=True)
            if self.tools is not None:
                _add_missing(self.tools, self._copy)

    def run(self, command: Sequence[str], env: Mapping[str, str], *, network: bool) -> Finished:
        """Run a program. Raise OverBounds if it had to be stopped at the bounds."""
        words, outside = with_variables([*self._bubblewrap(network=network), "--", *command], env)
        directory = self._copy if self._copy.is_dir() else self._upper
        return run_bounded(words, env=outside, stop=self.stop, bounds=self.bounds, directories=(directory, self._scratch))

    def starts(self, program: str = PROBED_PYTHON) -> bool:
        """Return whether this machine can run the root's programs at all: it may be for another processor."""
        words = [*self._bubblewrap(network=False), "--", program, "-c", ""]
        try:
            done = subprocess.run(words, env={}, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_PROBE_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def written(self) -> tuple[WrittenFile, ...]:
        """Return what programs wrote so far, sorted by path, without caches and what the system mounts."""
        return written_files(self.root, self.tools, self._copy if self._copy.is_dir() else self._upper)

    def remove(self) -> None:
        """Remove what programs wrote, also where they forbade it."""
        _make_accessible(self.place)
        shutil.rmtree(self.place, ignore_errors=True)

    @property
    def _upper(self) -> Path:
        return self.place / "upper"

    @property
    def _work(self) -> Path:
        return self.place / "work"

    @property
    def _scratch(self) -> Path:
        return self.place / "tmp"

    @property
    def _copy(self) -> Path:
        return self.place / "copy"

    def _overlays(self) -> bool:
        """Return whether bubblewrap mounts an overlay here: it does from 0.11 on, if `place` is not on an overlay itself."""
        return self.starts()

    def _bubblewrap(self, *, network: bool) -> Iterator[str]:
        uid, _, gid = self.user.partition(":")
        yield from (
            bubblewrap(),
            "--unshare-all",
            "--cap-drop",
            "ALL",
            "--new-session",
            "--die-with-parent",
            "--hostname",
            "build",
        )
        yield from ("--uid", uid, "--gid", gid or uid)
        if network:
            yield "--share-net"
        if self._copy.is_dir():
            yield from ("--bind", str(self._copy), "/")
        else:
            for source in filter(None, (self.tools, self.root)):
                yield from ("--overlay-src", str(source))
            yield from ("--overlay", str(self._upper), str(self._work), "/")
        # bubblewrap would follow the image's links while the machine's files are in reach, so it gets paths without links.
        rootfs = Rootfs(self._copy if self._copy.is_dir() else self.root)
        yield from ("--proc", rootfs.make_mount_point("/proc", directory=True))
        yield from device_flags(rootfs.make_mount_point("/dev", directory=True))
        for path in _SCRATCH_PATHS:
            yield from ("--bind", str(self._scratch), rootfs.make_mount_point(path, directory=True))
        yield from ("--bind", str(self._scratch), "/dev/shm")  # noqa: S108
        for path in _HOST_FILES if network else ():
            yield from ("--ro-bind-try", f"/{path}", rootfs.make_mount_point(path, directory=False))
        yield from ("--chdir", self.directory)


def written_files(root: Path, tools: Path | None, top: Path, ignored: Iterable[str] = ()) -> tuple[WrittenFile, ...]:
    """Return the files below `top` that are not in `root` or are others there, sorted by path, without caches and what the system mounts.

    What `tools` has where `root` has nothing does not count, nor do the paths `ignored`.
    """
    left_out = {*_SYSTEM, *_HOST_FILES, *ignored}
    return tuple(sorted(_written(root, tools, top, left_out), key=lambda each: each.path))


def _written(root: Path, tools: Path | None, top: Path, left_out: Container[str]) -> Iterator[WrittenFile]:
    pending = [""]
    while pending:
        below = pending.pop()
        for entry in os.scandir(top / below):
            path = f"{below}/{entry.name}".lstrip("/")
            if path in left_out or entry.name in _CACHES:
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
            elif (entry.is_file(follow_symlinks=False) or entry.is_symlink()) and _is_new(root, tools, path, Path(entry.path)):
                yield WrittenFile(path, Path(entry.path))


def _is_new(root: Path, tools: Path | None, path: str, host: Path) -> bool:
    """Return whether a file differs from the root's: an overlay also has files of which only the times were changed."""
    before = root / path
    if tools is not None and not os.path.lexists(before):
        before = tools / path
    if any((root / parent).is_symlink() for parent in parents(path)):
        # A directory took the place of the link, which may lead to this machine's files.
        return True
    with suppress(OSError):
        if host.is_symlink() or before.is_symlink():
            return not (host.is_symlink() and before.is_symlink() and host.readlink() == before.readlink())
        new, old = host.stat(), before.stat()
        if new.st_size != old.st_size or (new.st_mode ^ old.st_mode) & stat.S_IXUSR:
            return True
        return new.st_mtime_ns != old.st_mtime_ns and not _same_content(host, before)
    return True


def _same_content(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            data = first.read(_COMPARED_BYTES)
            if data != second.read(_COMPARED_BYTES):
                return False
            if not data:
                return True


def _add_missing(source: Path, directory: Path) -> None:
    """Copy what `directory` lacks. A link in place of a directory stays: it may lead to this machine's files."""
    for entry in os.scandir(source):
        target = directory / entry.name
        if not entry.is_dir(follow_symlinks=False):
            if not os.path.lexists(target):
                shutil.copy2(entry.path, target, follow_symlinks=False)
        elif not target.is_symlink():
            target.mkdir(exist_ok=True)
            _add_missing(Path(entry.path), target)


def _make_accessible(top: Path) -> None:
    """Make every directory below `top` one that this process can empty: an overlay's work directory has no permissions."""
    pending = [top]
    while pending:
        path = pending.pop()
        with suppress(OSError):
            path.chmod(0o700)
            with os.scandir(path) as entries:
                pending += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
