"""The files that steps write in an image, as a source of a layer."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from shipwheel.files.entry import EntryType, FileEntry, LazyContent, directories_above, directory, symlink
from shipwheel.files.segment import Directory

if TYPE_CHECKING:
    from shipwheel.builder.step_run import WrittenFile

__all__ = ["StepsSource"]


class StepsSource(msgspec.Struct, frozen=True):
    """Files that steps wrote. A layer is planned without them: they are there once the steps have run.

    `around` are directories of the layers below, with the attributes that they keep.
    """

    label: str
    key: str
    files: "tuple[WrittenFile, ...]" = ()
    around: Mapping[str, Directory] = msgspec.field(default_factory=dict)

    def entries(self) -> Iterator[FileEntry]:
        """Yield the directories that have special attributes, then the files, both sorted by path."""
        folders = directories_above(each.path for each in self.files)
        for path in sorted(folders & self.around.keys()):
            yield directory(path, self.around[path].mode, uid=self.around[path].uid, gid=self.around[path].gid)
        for each in sorted(self.files, key=lambda each: each.path):
            yield _entry(each)


def _entry(each: "WrittenFile") -> FileEntry:
    if (target := each.link) is not None:
        return symlink(each.path, target)

    def read() -> BinaryIO:
        return each.host.open("rb")

    return FileEntry(each.path, EntryType.FILE, 0o755 if each.executable else 0o644, LazyContent(each.host.stat().st_size, read))
