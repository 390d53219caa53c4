"""What of the project is in the image, for detection: nothing else of this machine's disk may change what is found."""

from collections.abc import Iterable
from dataclasses import dataclass

from shipwheel.errors import ProjectError
from shipwheel.files.entry import parents
from shipwheel.project.entrypoint.launch import Evidence

__all__ = ["Listed", "list_image"]


@dataclass(frozen=True, slots=True)
class Listed:
    """Paths below the working directory; symbolic links are among the files."""

    files: frozenset[str] = frozenset()
    directories: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()

    def has(self, path: str) -> bool:
        """Whether there is a file or a directory."""
        return path in self.files or path in self.directories

    def is_behind_file(self, path: str) -> bool:
        """Whether a part of the way to it is a file, or a symbolic link."""
        return any(parent in self.files for parent in parents(path))


def list_image(evidence: Evidence, include: Iterable[str] = ()) -> Listed | None:
    """The project's files as the build takes them; None where it will refuse to."""
    from shipwheel.project.app_tree import list_app

    settings = evidence.settings
    try:
        tree = list_app(evidence.root, include=(*settings.include, *include), exclude=settings.exclude, only=evidence.only)
    except ProjectError:
        return None
    files = frozenset(file.path for file in tree.files)
    links = frozenset(file.path for file in tree.files if file.link is not None)
    return Listed(files, frozenset(parent for path in files for parent in parents(path)), links)
