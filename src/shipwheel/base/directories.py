"""What a base owns of the places where our files go: directories keep their modes and owners, links and files are not replaced. Pure.

An entry for a directory that is there already gives it the entry's attributes, and one for what is a link or a file takes its place
(image-spec 1.1, layer.md): /opt as a link elsewhere would be gone, with all that is reached through it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from shipwheel.errors import ImageError
from shipwheel.files.entry import parents
from shipwheel.files.segment import Directory, Segment
from shipwheel.venv import VENV

__all__ = ["COMPOSED", "EVERYWHERE", "Kept", "check_places", "kept", "kept_volumes", "owned_directories"]

Kept = tuple[tuple[str, Directory], ...]
"""Directories with the attributes that a layer leaves them, sorted by path."""

COMPOSED = {"tmp": Directory(0o1777), "var/tmp": Directory(0o1777)}
"""What a composed base has, of what others than its own layers could give entries for."""

EVERYWHERE = ("",)

_MOST = 256
_NOT_FILES = ("dev/", "proc/", "sys/")
_DOCUMENTATION = "usr/share/doc/"


def owned_directories(directories: Mapping[str, Directory]) -> dict[str, Directory]:
    """Those that are not as others make them (0755, root), the nearest to the root, sorted by path."""
    usual = Directory()
    found = [path for path, at in directories.items() if at != usual and not path.startswith(_NOT_FILES)]
    return {path: directories[path] for path in sorted(sorted(found, key=lambda path: (path.count("/"), path))[:_MOST])}


def kept(owned: Mapping[str, Directory], roots: Iterable[str]) -> Kept:
    """Those that a layer with files below these paths could have an entry for: a layer elsewhere has the same key upon every base."""
    places = [root.strip("/") for root in roots]
    return tuple((path, at) for path, at in sorted(owned.items()) if any(_meets(path, place) for place in places))


def kept_volumes(owned: Mapping[str, Directory], volumes: Sequence[str], owner: int) -> Kept:
    """As `kept`, but a volume itself belongs to the image's user, unless that may write there anyhow."""
    own = {path.strip("/") for path in volumes}
    return tuple((path, at) for path, at in kept(owned, volumes) if path not in own or at.uid == owner or at.mode & 0o002)


def _meets(path: str, place: str) -> bool:
    return not place or path == place or path.startswith(f"{place}/") or place.startswith(f"{path}/")


def check_places(below: Segment, ours: Sequence[Segment]) -> None:
    """Raises ImageError that names all that lies in the way of `ours` in the image `below`, whose name is its label."""
    problems = list(dict.fromkeys(_problems(below, ours)))
    if problems:
        more = [f"and {len(problems) - _TOLD} more"] if len(problems) > _TOLD else []
        lines = "\n".join(f"  {line}" for line in (*problems[:_TOLD], *more))
        raise ImageError(
            f"the base {below.label} has something in the place of the image's own files:\n{lines}",
            hint="Take another base, or another workdir or other volumes; what is in /opt/venv cannot be added to.",
        )


_TOLD = 10


def _problems(below: Segment, ours: Sequence[Segment]) -> Iterator[str]:
    if any(path.startswith(f"{VENV}/") for known in (below.files, below.links) for path in known):
        yield f"/{VENV}: a virtual environment or other files of its own"
    folders = {parent for path in below.files for parent in parents(path)} | below.directories.keys()
    for segment in ours:
        paths = (*segment.files, *segment.links)
        wanted = {*segment.directories, *(parent for path in (*paths, *segment.directories) for parent in parents(path))}
        for path in sorted(wanted):
            # Debian links documentation of packages of one source to one another.
            if path in below.links and not path.startswith(_DOCUMENTATION):
                yield f"/{path}: a link to {below.links[path][:200]}, and {segment.label} has a directory there"
            elif path in below.files:
                yield f"/{path}: a file, and {segment.label} has a directory there"
        for path in sorted(folders.intersection(paths)):
            yield f"/{path}: a directory, and {segment.label} has a file there"
