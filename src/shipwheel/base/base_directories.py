"""Directories of a base that our layers also write: attributes to keep, links and files that must not be replaced.

A layer's entry for an existing directory changes the directory's attributes, and an entry for the path of a link or file replaces it
(image-spec 1.1, layer.md): a base whose /opt is a link would lose the link, and everything that is reached through it. Nothing here reads
files: all functions work on metadata of segments.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from shipwheel.container.venv import VENV
from shipwheel.errors import ImageError
from shipwheel.files.entry import parents
from shipwheel.files.segment import Directory, Segment

if TYPE_CHECKING:
    from shipwheel.oci.read.file_tree import FileTree

__all__ = [
    "ANYWHERE",
    "COMPOSED_DIRECTORIES",
    "DirectoryAttributes",
    "check_path_conflicts",
    "inherited_attributes",
    "path_conflicts",
    "special_directories",
    "volume_attributes",
]

DirectoryAttributes = tuple[tuple[str, Directory], ...]
"""Directories and the attributes that a layer must give them, sorted by path."""

COMPOSED_DIRECTORIES = {"tmp": Directory(0o1777), "var/tmp": Directory(0o1777)}
"""The special directories of every composed base."""

ANYWHERE = ("",)
"""The roots of a layer that may write anywhere."""

_MAX_DIRECTORIES = 256
_MAX_REPORTED = 10
_NOT_IN_IMAGES = ("dev/", "proc/", "sys/")
_DOCUMENTATION = "usr/share/doc/"


def special_directories(directories: Mapping[str, Directory]) -> dict[str, Directory]:
    """Return the directories whose mode or owner is not 0755 and root, sorted by path; of too many, those nearest to the root."""
    usual = Directory()
    special = [path for path, directory in directories.items() if directory != usual and not path.startswith(_NOT_IN_IMAGES)]
    nearest = sorted(special, key=lambda path: (path.count("/"), path))[:_MAX_DIRECTORIES]
    return {path: directories[path] for path in sorted(nearest)}


def inherited_attributes(special: Mapping[str, Directory], roots: Iterable[str]) -> DirectoryAttributes:
    """Return the special directories that a layer with files below these roots could have entries for.

    Other directories are left out, so that the layer's key is the same on every base that does not touch its paths.
    """
    stripped = [root.strip("/") for root in roots]
    return tuple((path, attributes) for path, attributes in sorted(special.items()) if any(_overlap(path, root) for root in stripped))


def volume_attributes(special: Mapping[str, Directory], volumes: Sequence[str], uid: int) -> DirectoryAttributes:
    """Return `inherited_attributes` for volumes, without the volumes that the image's user could not write to: they become the user's."""
    own = {path.strip("/") for path in volumes}
    inherited = inherited_attributes(special, volumes)
    return tuple((path, it) for path, it in inherited if path not in own or it.uid == uid or it.mode & 0o002)


def _overlap(path: str, root: str) -> bool:
    return not root or path == root or path.startswith(f"{root}/") or root.startswith(f"{path}/")


def check_path_conflicts(parent: Segment, ours: Sequence[Segment]) -> None:
    """Raise ImageError that lists the paths of a base image which our segments would replace. The label of `parent` is its name."""
    problems = list(dict.fromkeys(_conflicts(parent, ours)))
    if problems:
        more = [f"and {len(problems) - _MAX_REPORTED} more"] if len(problems) > _MAX_REPORTED else []
        lines = "\n".join(f"  {line}" for line in (*problems[:_MAX_REPORTED], *more))
        raise ImageError(
            f"the base {parent.label} has something in the place of the image's own files:\n{lines}",
            hint="Use another base, another workdir or other volumes. A base must not have files in /opt/venv.",
        )


def _conflicts(parent: Segment, ours: Sequence[Segment]) -> Iterator[str]:
    if _has_venv(parent):
        yield f"/{VENV}: a virtual environment or other files of its own"
    parent_directories = {directory for path in parent.files for directory in parents(path)} | parent.directories.keys()
    for segment in ours:
        paths = (*segment.files, *segment.links)
        directories = {*segment.directories, *(directory for path in (*paths, *segment.directories) for directory in parents(path))}
        for path in sorted(directories):
            # Debian packages of one source link their documentation directories to one another.
            if path in parent.links and not path.startswith(_DOCUMENTATION):
                yield f"/{path}: a link to {parent.links[path][:200]}, and {segment.label} has a directory there"
            elif path in parent.files:
                yield f"/{path}: a file, and {segment.label} has a directory there"
        for path in sorted(parent_directories.intersection(paths)):
            yield f"/{path}: a directory, and {segment.label} has a file there"


def path_conflicts(tree: "FileTree", roots: Iterable[str]) -> Iterator[str]:
    """Yield a line per link or file of a new base where an image that is rebased on it has the virtual environment or these directories."""
    segment = tree.segment
    if _has_venv(segment):
        yield f"it has a virtual environment or other files of its own in /{VENV}"
    stripped = [root.strip("/") for root in (VENV, *roots)]
    for path in dict.fromkeys(path for root in stripped for path in (*parents(root), root)):
        if path in segment.links:
            yield f"its /{path} is a link to {segment.links[path][:200]}, and the image has a directory there"
        elif path in segment.files:
            yield f"its /{path} is a file, and the image has a directory there"


def _has_venv(segment: Segment) -> bool:
    return any(path.startswith(f"{VENV}/") for paths in (segment.files, segment.links) for path in paths)
