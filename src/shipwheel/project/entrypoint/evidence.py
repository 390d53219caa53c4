"""The facts about a project that the search for its command starts from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shipwheel.settings import Settings

__all__ = ["Evidence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts about a project that the search for its command starts from."""

    root: Path
    name: str
    """Normalised (PEP 503)."""
    kind: Literal["package", "app"]
    """The kind of `Project`."""
    settings: Settings = field(default_factory=Settings)
    scripts: dict[str, str] = field(default_factory=dict)
    """Console script -> module:function."""
    dependencies: frozenset[str] = frozenset()
    """Normalised names of Python packages."""
    complete: bool = True
    """True if `dependencies` holds all direct dependencies. If not, an import in the source counts as well."""
    packaged: frozenset[str] = frozenset()
    """Top-level import names in the project's wheel."""
    single_file: str | None = None
    """The one file that is the whole project; None if the project is a directory."""

    def has(self, *names: str) -> bool:
        """Return whether one of these Python packages is among the dependencies."""
        return not self.dependencies.isdisjoint(names)

    @property
    def port(self) -> str | None:
        """The first TCP port in the settings."""
        return next((port.removesuffix("/tcp") for port in self.settings.ports if port.endswith("/tcp")), None)

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
        return (self.root / path).is_file()

    def is_symlink(self, path: str) -> bool:
        """Ask the disk whether this path in the project is a symbolic link."""
        return (self.root / path).is_symlink()

    def has_entries(self, directory: str) -> bool:
        """Ask the disk whether the project has this directory with something in it."""
        return any((self.root / directory).glob("*"))

    def has_directory(self, path: str) -> bool:
        """Ask the disk whether the project has this directory."""
        return (self.root / path).is_dir()
