"""The saved files that matter: dependencies and settings build the image again, code and configuration start the processes again."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from shipwheel.project.default_excludes import NEVER_INCLUDED
from shipwheel.project.project import Project

__all__ = ["Saved", "Watched"]

_RESTARTING = frozenset(
    {".py", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".env", ".mo"}
)
"""Not .json, .db, .log and the like, which running apps write."""

_REBUILDING = frozenset(
    {"pyproject.toml", "setup.py", "setup.cfg", "shipwheel.toml", "requirements.txt", "Pipfile", "poetry.lock", "uv.lock"}
)


class Saved(msgspec.Struct, frozen=True):
    """Files that were saved at one time, as paths relative to the project; those that decide the image, and others."""

    rebuilding: tuple[str, ...]
    restarting: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.rebuilding or self.restarting)


class Watched(msgspec.Struct, frozen=True):
    """The files of a project whose changes matter."""

    root: Path
    deciding: frozenset[str]
    """Paths of files that decide the image."""
    written: tuple[str, ...]
    """Directories that the app writes to, with a slash at the end."""

    @classmethod
    def of(cls, project: Project) -> "Watched":
        """Return what to watch of a project."""
        workdir = project.settings.workdir.rstrip("/") + "/"
        written = (f"{path.removeprefix(workdir)}/" for path in project.volumes if path.startswith(workdir))
        inputs = project.inputs
        # A build writes these itself, which would be the next change.
        own = {path.name for path in (inputs.lock_path, inputs.main_lock) if path is not None}
        return cls(project.root.resolve(), (_REBUILDING | frozenset(inputs.texts)) - own, tuple(written))

    def names(self) -> Iterator[str]:
        """Yield the paths of the files that are there, relative to the project."""
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name not in NEVER_INCLUDED]
            yield from (name for file in files if (name := self.name(str(Path(folder, file)))))

    def saved(self, paths: Iterable[str]) -> Saved:
        """Return what matters of the paths that a watcher reports, absolute and with links resolved."""
        names = sorted({name for path in paths if (name := self.name(path))})
        rebuilding = tuple(name for name in names if name in self.deciding)
        return Saved(rebuilding, tuple(name for name in names if name not in self.deciding))

    def name(self, path: str) -> str:
        """Return the path of a file relative to the project; empty if it does not matter."""
        try:
            relative = Path(path).relative_to(self.root)
        except ValueError:
            return ""
        name = relative.as_posix()
        if name in self.deciding:
            return name
        own = relative.suffix in _RESTARTING or relative.name == ".env"
        if not own or name.startswith(("pylock.", *self.written)) or not NEVER_INCLUDED.isdisjoint(relative.parts):
            return ""
        return name
