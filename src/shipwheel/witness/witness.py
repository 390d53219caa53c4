"""Notes what this process looks at in the file system.

The interpreter reports every file that is opened and every directory that is listed (PEP 578). What is only asked for, as by
`Path.is_file`, it does not report: so all entries of the project's tree count, and the files in the directories above it by which a project
would belong to a larger one. What another program reads, such as git, is named by the code that starts it.

The standard library alone, since the build hook uses it.
"""

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipwheel.witness.file_states import (
    OPAQUE,
    State,
    Uncomparable,
    entries,
    file_state,
    folder_state,
    is_in_tree,
    tree_entries,
    tree_state,
)

if TYPE_CHECKING:
    from shipwheel.witness.looks import Looks

__all__ = ["Witness", "note_look", "note_unknown"]

_GRAIN_NS, _COARSE_GRAIN_NS = 20_000_000, 2_000_000_000
"""Within this time a file may change twice and look the same: a tick of the kernel's clock, or of a file system with whole seconds."""

_MARKERS = (".git", ".gitignore", "pyproject.toml", "uv.toml")
"""Names in the directories above a project that make it a part of something."""

_SYSTEM = ("/proc/", "/sys/", "/dev/")


class _ChangedError(Exception):
    """Something changed while the process looked at it, or shortly before."""


class Witness:
    """Notes from its creation on, until `looks` is called. `ignored` are directories that do not count. There is one at a time."""

    def __init__(self, ignored: tuple[str, ...] = ()) -> None:
        self._began_ns = time.time_ns()
        self._ignored = (*_SYSTEM, *(f"{path.rstrip('/')}/" for path in ignored))
        self._made: tuple[str, ...] = ()
        self._files: dict[str, State] = {}
        self._folders: dict[str, frozenset[str]] = {}
        self._written: dict[str, State] = {}
        self._unknown = False
        self._lock = threading.Lock()
        _listen(self)

    def looks(self, project: str) -> "Looks | None":
        """Return what was looked at, for a project in a directory. None if it has changed meanwhile, or cannot be told."""
        from shipwheel.witness.looks import Looks

        root = self._top(os.path.realpath(project))
        _listen(None)
        try:
            if self._unknown:
                return None
            folders = {folder: folder_state(folder) for folder in self._folders_outside(root)}
            files = {path: file_state(path) for path in _outside({**self._files, **self._written}, root)}
            looks = Looks(root, tree_state(root), folders, files)
            self._check(root)  # last: whatever changes after it is in none of the states
            return looks
        except (OSError, Uncomparable, _ChangedError):
            return None

    def opened(self, path: str) -> None:
        """Note a file that is about to be read."""
        if path not in self._files and not self._counts_not(path):
            self._files[path] = file_state(path)

    def listed(self, path: str) -> None:
        """Note a directory that is about to be listed."""
        if path in self._folders or self._counts_not(path):
            return
        self._folders[path] = frozenset()  # listing it here is reported as well
        try:
            self._folders[path] = frozenset(os.listdir(path))  # noqa: PTH208
        except OSError:
            del self._folders[path]
            self._files[path] = file_state(path)

    def made(self, path: str) -> None:
        """Note a directory that this process is about to make: what is below it is its own, unless it is there already."""
        if not os.path.lexists(path):
            with self._lock:
                self._made += (f"{path.rstrip('/')}/",)

    def moved(self, source: str, target: str) -> None:
        """Note a file that this process moves into place."""
        if not self._counts_not(target):
            self._written[target] = file_state(source)

    def unknown(self) -> None:
        """Note a look that cannot be told."""
        self._unknown = True

    def _counts_not(self, path: str) -> bool:
        return path.startswith(self._ignored) or f"{path}/".startswith(self._made or "\0")

    def _top(self, project: str) -> str:
        """Return the directory whose tree counts; note what would make it another one."""
        above = [project, *map(str, Path(project).parents)]
        for folder in above:
            for name in _MARKERS:
                self.opened(os.path.join(folder, name))  # noqa: PTH118
        return next((folder for folder in above if self._files.get(os.path.join(folder, ".git"))), project)  # noqa: PTH118

    def _folders_outside(self, root: str) -> list[str]:
        return [folder[:-1] for folder in _outside((f"{folder}/" for folder in self._folders), root)]

    def _check(self, root: str) -> None:
        """Raise _ChangedError unless everything is as it was when it was looked at first."""
        for path, written in self._written.items():
            # Moving a file changes the time of its last change of status, the last item.
            if file_state(path)[:-1] != written[:-1]:
                raise _ChangedError
        for path, state in self._files.items():
            if path not in self._written:
                if file_state(path) != state:
                    raise _ChangedError
                self._check_age(state[-1] if len(state) > 1 else 0)
        self._check_entry(root, os.stat(root))  # noqa: PTH116
        for path, status in tree_entries(root):
            self._check_entry(path, status, is_opaque=os.path.basename(path) in OPAQUE)  # noqa: PTH119
        for folder in self._folders_outside(root):
            self._check_names(folder)
            for path, status in entries(folder):
                if not stat.S_ISDIR(status.st_mode):
                    self._check_entry(path, status)

    def _check_entry(self, path: str, status: os.stat_result, *, is_opaque: bool = False) -> None:
        if not stat.S_ISDIR(status.st_mode):
            if path not in self._written:
                self._check_age(status.st_ctime_ns)
        elif any(os.path.dirname(written) == path for written in self._written):  # noqa: PTH120
            self._check_names(path)
        elif not is_opaque:
            self._check_age(status.st_ctime_ns)

    def _check_names(self, folder: str) -> None:
        """Raise _ChangedError if a directory has other names than at first, but for what this process wrote."""
        own = {os.path.basename(path) for path in self._written if os.path.dirname(path) == folder}  # noqa: PTH119, PTH120
        if folder not in self._folders or own | self._folders[folder] != own | frozenset(os.listdir(folder)):  # noqa: PTH208
            raise _ChangedError

    def _check_age(self, changed_ns: int) -> None:
        """Raise _ChangedError for what has changed since the process began, or so shortly before that it may have changed after it."""
        if changed_ns > self._began_ns - (_GRAIN_NS if changed_ns % 1_000_000_000 else _COARSE_GRAIN_NS):
            raise _ChangedError


def _outside(paths: Iterable[str], root: str) -> list[str]:
    """Return the paths of whose changes the state of a tree does not tell. Some lead out of it after all, by `..` or a link."""
    is_real = cache(lambda folder: os.path.realpath(folder) == folder)
    return [path for path in paths if not is_in_tree(path, root) or os.path.islink(path) or not is_real(os.path.dirname(path))]  # noqa: PTH114, PTH120


_witness: Witness | None = None
_hooked = False


def _listen(witness: Witness | None) -> None:
    global _hooked, _witness
    _witness = witness
    if not _hooked:
        _hooked = True
        sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    witness = _witness
    if witness is None or event not in _EVENTS:
        return
    with suppress(OSError, ValueError, TypeError):  # of a path that is none, or a relative one in a directory that is gone
        _EVENTS[event](witness, *map(_absolute, arguments[: 2 if event == "os.rename" else 1]))


_EVENTS: dict[str, Callable[..., None]] = {
    "open": Witness.opened,
    "os.listdir": Witness.listed,
    "os.scandir": Witness.listed,
    "os.mkdir": Witness.made,
    "os.rename": Witness.moved,
}


def _absolute(path: object) -> str:
    """Return a path as the interpreter reports it, from the root on. Raise TypeError for a file descriptor, ValueError for no path."""
    text = os.fsdecode("." if path is None else path)  # type: ignore[arg-type]
    # The working directory may be gone, which does not matter to a path from the root on.
    return text if os.path.isabs(text) else os.path.join(os.getcwd(), text)  # noqa: PTH109, PTH117, PTH118


def note_look(path: str | os.PathLike[str]) -> None:
    """Note a file or directory that another program reads on behalf of this one."""
    if _witness is not None:
        _witness.opened(_absolute(path))


def note_unknown() -> None:
    """Note that another program reads what nobody here knows."""
    if _witness is not None:
        _witness.unknown()
