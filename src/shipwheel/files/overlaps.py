"""The paths that several segments have: of one path, the last segment's file is in the image."""

from collections.abc import Sequence
from itertools import chain

import msgspec

from shipwheel.errors import ArchiveError
from shipwheel.files.entry import directories_above
from shipwheel.files.segment import Segment

__all__ = ["check_kinds", "content_of", "replaced_paths", "visible"]


def replaced_paths(segments: Sequence[Segment]) -> list[frozenset[str]]:
    """Return, for each segment, its files and links whose paths a later segment has too."""
    owners: dict[str, int] = {}
    replaced: list[set[str]] = [set() for _ in segments]
    for number, segment in enumerate(segments):
        for path in (*segment.files, *segment.links):
            if path in owners:
                replaced[owners[path]].add(path)
            owners[path] = number
    return [frozenset(paths) for paths in replaced]


def visible(segment: Segment, replaced: frozenset[str]) -> Segment:
    """Return a segment's metadata without the paths that others replace."""
    if not replaced:
        return segment
    return msgspec.structs.replace(
        segment,
        files={path: crc for path, crc in segment.files.items() if path not in replaced},
        links={path: target for path, target in segment.links.items() if path not in replaced},
        elf=tuple(elf for elf in segment.elf if elf.path not in replaced),
    )


def content_of(segment: Segment, path: str) -> int | str:
    """Return what stands for a path's content: a file's CRC-32, or a link's target."""
    return segment.links[path] if path in segment.links else segment.files[path]


def check_kinds(segments: Sequence[Segment]) -> None:
    """Raise ArchiveError if one segment has a file or a link where another has a directory: no file system can have both."""
    files = {path for segment in segments for path in (*segment.files, *segment.links)}
    conflicts = sorted(files & _directories(segments))
    if not conflicts:
        return
    path = conflicts[0]
    with_file = next(segment.label for segment in segments if path in segment.files or path in segment.links)
    with_directory = next(segment.label for segment in segments if path in _directories([segment]))
    more = f", and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
    raise ArchiveError(
        f"{with_file} has a file {path}, and {with_directory} has a directory there{more}",
        hint="They cannot be installed together; leave out one of them.",
    )


def _directories(segments: Sequence[Segment]) -> set[str]:
    own = set(chain.from_iterable(segment.directories for segment in segments))
    return own | directories_above(chain(own, *(chain(segment.files, segment.links) for segment in segments)))
