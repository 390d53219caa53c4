"""Files of several Python packages at one path: the file of the package that comes last in the lock is in the image.

Layers are not stacked in the lock's order, because large packages have layers of their own. Where another package's file would be on top,
one more layer repeats the right one. The layers of the packages stay what they are, whatever else is installed.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from shipwheel.files.entry import EntryType, FileEntry
from shipwheel.files.overlaps import check_kinds, content_of, replaced_paths
from shipwheel.files.segment import Segment, key_of
from shipwheel.wheels.wheel import WheelSource

__all__ = ["WinningFiles", "winning_files"]


class WinningFiles(msgspec.Struct, frozen=True):
    """The source of some files of a wheel; `paths` are those in the image, sorted."""

    wheel: WheelSource
    paths: tuple[str, ...]

    @property
    def label(self) -> str:
        """The wheel's label."""
        return self.wheel.label

    @property
    def key(self) -> str:
        """A hex sha256 over the wheel's key and the paths."""
        return key_of("winning", self.wheel.key, *self.paths)

    def entries(self) -> Iterator[FileEntry]:
        """Yield the files. Raise ArchiveError for a damaged or hostile wheel."""
        wanted = frozenset(self.paths)
        yield from (entry for entry in self.wheel.entries() if entry.type is not EntryType.DIRECTORY and entry.path in wanted)


def winning_files(locked: Sequence[WheelSource], stacked: Sequence[str], segments: Mapping[str, Segment]) -> tuple[WinningFiles, ...]:
    """Return the files that must be repeated on top: of the last package in the lock, where another package's file covers it.

    `locked` are the wheels in the lock's order, `stacked` their keys in the order of the layers, bottom first; `segments` maps the keys to
    what is in the wheels. Files of equal content are left as they are. Raise ArchiveError if a package has a file where another has a
    directory.
    """
    keys = [wheel.key for wheel in locked]
    check_kinds([segments[key] for key in keys])
    losing = dict(zip(keys, replaced_paths([segments[key] for key in keys]), strict=True))
    covered = dict(zip(stacked, replaced_paths([segments[key] for key in stacked]), strict=True))
    winning = {key: covered[key] - losing[key] for key in keys}
    paths = frozenset[str]().union(*winning.values())
    on_top = {path: content_of(segments[key], path) for key in stacked for path in paths & _paths(segments[key])}
    files = (
        WinningFiles(wheel, tuple(sorted(path for path in winning[key] if content_of(segments[key], path) != on_top[path])))
        for wheel, key in zip(locked, keys, strict=True)
    )
    return tuple(each for each in files if each.paths)


def _paths(segment: Segment) -> frozenset[str]:
    return frozenset((*segment.files, *segment.links))
