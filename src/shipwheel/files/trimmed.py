"""A stored segment without some of its files, for layers in which a later segment has files of the same paths."""

import tarfile
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO, cast

import msgspec

from shipwheel.errors import ArchiveError
from shipwheel.files.entry import EntryType, FileEntry, spooled_file
from shipwheel.files.file_part import ChunkReader
from shipwheel.files.segment import Segment, key_of, uncompressed_chunks
from shipwheel.store.store import Store

__all__ = ["TrimmedSegment"]


class TrimmedSegment(msgspec.Struct, frozen=True, dict=True):
    """The source of a segment's entries without those at `paths`. It reads the segment's bytes, not the file that they came from."""

    segment: Segment
    paths: frozenset[str]
    store: Store

    @property
    def label(self) -> str:
        """The label of the segment."""
        return self.segment.label

    @cached_property
    def key(self) -> str:
        """A hex sha256 over the key of the segment and the paths."""
        return key_of("trimmed", self.segment.key, *sorted(self.paths))

    def entries(self) -> Iterator[FileEntry]:
        """Yield the remaining entries. Raise DamagedBlob for a damaged segment, ArchiveError if a hard link loses its target."""
        for path, directory in self.segment.directories.items():
            yield FileEntry(path, EntryType.DIRECTORY, directory.mode, uid=directory.uid, gid=directory.gid)
        chunks = uncompressed_chunks(self.segment, self.store)
        with tarfile.open(fileobj=cast(BinaryIO, ChunkReader(chunks)), mode="r|", encoding="utf-8") as archive:
            for member in archive:
                if member.name not in self.paths:
                    yield from self._entry(archive, member)
        for _ in chunks:
            pass  # the blob's digest is checked at its end

    def _entry(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[FileEntry]:
        if member.isreg():
            stream = archive.extractfile(member)
            assert stream is not None  # noqa: S101 - it is a regular file
            yield from spooled_file(stream, member.size, member.name, member.mode, uid=member.uid, gid=member.gid)
            return
        if member.islnk() and member.linkname in self.paths:
            raise ArchiveError(
                f"{self.label}: {member.name} is a hard link to {member.linkname}, which another package of the layer replaces",
                hint="Leave out one of the packages.",
            )
        kind = EntryType.HARDLINK if member.islnk() else EntryType.SYMLINK
        yield FileEntry(member.name, kind, member.mode, target=member.linkname, uid=member.uid, gid=member.gid)
