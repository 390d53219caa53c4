"""The facts about a project that the search for its command starts from."""

from pathlib import Path
from typing import Literal

import msgspec

from shipwheel.settings.settings import Settings

__all__ = ["Evidence"]

_MAX_TEXT = 1 << 20
_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")


class Evidence(msgspec.Struct, frozen=True):
    """The facts about a project that the search for its command starts from."""

    root: Path
    name: str
    """Normalised (PEP 503)."""
    kind: Literal["package", "app"]
    """The kind of `Project`."""
    settings: Settings = msgspec.field(default_factory=Settings)
    scripts: dict[str, str] = msgspec.field(default_factory=dict)
    """Console script -> module:function."""
    dependencies: frozenset[str] = frozenset()
    """Normalised names of Python packages."""
    packaged: frozenset[str] = frozenset()
    """Top-level import names in the project's wheel."""
    single_file: str | None = None
    """The one file that is the whole project; None if the project is a directory."""
    still_wsgi: frozenset[str] = frozenset()
    """Frameworks whose applications are WSGI in the version that the project gets, other than today's."""
    declared_port: str | None = None
    """The TCP port that the project's deployment files declare."""
    listed: frozenset[str] = frozenset()
    """Normalised names of the packages in a requirements file beside the metadata that counts."""

    def has(self, *names: str) -> bool:
        """Return whether one of these Python packages is among the dependencies."""
        return not self.dependencies.isdisjoint(names)

    def has_installed(self, name: str) -> bool:
        """Return whether this Python package is among the dependencies, or in the project's own lock as what one of them requires."""
        return name in self.dependencies or any(f'\nname = "{name}"\n' in self.read_text(lock) for lock in _LOCKS)

    @property
    def settings_port(self) -> str | None:
        """The first TCP port in the settings."""
        return next((port.removesuffix("/tcp") for port in self.settings.ports if port.endswith("/tcp")), None)

    @property
    def port(self) -> str | None:
        """The first TCP port in the settings, or else the one that deployment files declare."""
        return self.settings_port or self.declared_port

    @property
    def workdir(self) -> str:
        """The working directory in the image, without a trailing slash: empty if it is the image's root."""
        return self.settings.workdir.rstrip("/")

    def exists(self, path: str) -> bool:
        """Ask the disk whether the project has this file or directory."""
        try:
            return (self.root / path).exists()
        except (OSError, ValueError):
            return False

    def has_file(self, path: str) -> bool:
        """Ask the disk whether the project has this file."""
        try:
            return (self.root / path).is_file()
        except (OSError, ValueError):
            return False

    def read_text(self, path: str) -> str:
        """Return the text of one of the project's files; empty if it cannot be read, or is no small text."""
        if not self.has_file(path):
            # A pipe would be waited for.
            return ""
        try:
            with (self.root / path).open("rb") as stream:
                data = stream.read(_MAX_TEXT)
            return data.decode() if len(data) < _MAX_TEXT else ""
        except (OSError, ValueError):
            return ""

    def is_symlink(self, path: str) -> bool:
        """Ask the disk whether this path in the project is a symbolic link."""
        return (self.root / path).is_symlink()

    def has_entries(self, directory: str) -> bool:
        """Ask the disk whether the project has this directory with something in it."""
        return any((self.root / directory).glob("*"))

    def directories(self) -> tuple[str, ...]:
        """Ask the disk for the names of the directories at the project's top."""
        return tuple(sorted(path.name for path in self.root.glob("*/")))

    def has_directory(self, path: str) -> bool:
        """Ask the disk whether the project has this directory."""
        return (self.root / path).is_dir()
