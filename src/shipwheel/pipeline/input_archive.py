"""An archive of the inputs of builds, for machines without a network: written from one store, read into another.

It is an OCI image layout without images, so that the reader of archives, which trusts none, reads it as well.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from shipwheel import __version__
from shipwheel.base.image_source import IMAGE_RECORD
from shipwheel.builder.kept_packages import NODE_RECORD
from shipwheel.builder.program_root import PROGRAMS_RECORD
from shipwheel.builder.vendored_crates import CRATE_RECORD
from shipwheel.builder.workshop import BUILDER_RECORD
from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.digest import Digest, digest_of
from shipwheel.errors import DamagedBlob, ImageError, UsageError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, Warned
from shipwheel.files import tar
from shipwheel.files.entry import EntryType, FileEntry
from shipwheel.files.segment import SEGMENT_RECORD, source_date_epoch
from shipwheel.locking import uv
from shipwheel.oci.archive import read_archive, read_member
from shipwheel.oci.layer import LAYER_RECORD
from shipwheel.oci.layout import INDEX, LAYOUT, OCI_LAYOUT, LayoutReader, atomic_write, blob_path, index_json, write_error
from shipwheel.oci.model import BlobSize, Descriptor, decode
from shipwheel.pipeline.build_inputs import BuildInputs, StoreRecord
from shipwheel.store.store import Store
from shipwheel.wheels.built_wheels import BUILT_RECORD
from shipwheel.wheels.kept_requirements import KEPT_RECORD

__all__ = ["InputArchive", "fill", "read_inputs", "write_inputs"]

_DOCUMENT = "shipwheel-build.json"
_MAX_RECORDS = 256 << 20
_BLOB_TYPE = "application/octet-stream"
_HOSTILE = "The archive is broken or hostile; do not use it."
_KINDS = frozenset(
    (BUILT_RECORD, SEGMENT_RECORD, LAYER_RECORD, IMAGE_RECORD, KEPT_RECORD, BUILDER_RECORD, PROGRAMS_RECORD, NODE_RECORD, CRATE_RECORD)
)
"""Records that an archive may bring."""


class _Blob(msgspec.Struct, frozen=True, order=True):
    """A blob of the archive; `size` in bytes."""

    digest: Digest
    size: BlobSize

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(media_type=_BLOB_TYPE, digest=self.digest, size=self.size)


class _Contents(msgspec.Struct, frozen=True):
    """The contents of an archive: the names of the projects, blobs, the blob with the records, and the versions that made all of it."""

    projects: tuple[str, ...]
    blobs: tuple[_Blob, ...]
    records: _Blob
    shipwheel: str
    uv: str
    format: int = 1


class InputArchive(msgspec.Struct, frozen=True):
    """An open archive of the inputs of builds. `projects` are their names."""

    reader: LayoutReader
    contents: _Contents

    @property
    def projects(self) -> tuple[str, ...]:
        """The names of the projects that can be built."""
        return self.contents.projects


def write_inputs(inputs: Sequence[BuildInputs], store: Store, file: Path) -> None:
    """Write the inputs of builds into an archive, which replaces `file` once it is complete. The same inputs give the same bytes.

    Raise UsageError if `file` is a directory, DamagedBlob if a blob in the store is damaged, BuildError if the disk is full.
    """
    if file.is_dir():
        raise UsageError(f"{file} is a directory", hint="Name a file.")
    records = msgspec.json.encode(sorted({record for each in inputs for record in each.records}))
    blobs = sorted({_Blob(digest, _size(digest, store)) for each in inputs for digest in each.blobs})
    projects = tuple(sorted(each.project for each in inputs))
    contents = _Contents(projects, tuple(blobs), _Blob(digest_of(records), len(records)), __version__, uv.version())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as write:
            for chunk in _chunks(contents, records, store):
                write(chunk)
    except OSError as error:
        raise write_error(f"the bundle {file}", error, "file") from error


def _size(digest: Digest, store: Store) -> int:
    try:
        return store.path(digest).stat().st_size
    except FileNotFoundError as error:
        raise DamagedBlob(digest) from error


def _chunks(contents: _Contents, records: bytes, store: Store) -> Iterator[bytes]:
    documents = {
        _DOCUMENT: msgspec.json.format(msgspec.json.encode(contents)),
        LAYOUT: OCI_LAYOUT,
        INDEX: index_json(()),
        blob_path(contents.records.digest): records,
    }
    for path, data in documents.items():
        yield _header(path, len(data)) + data + tar.padding(len(data))
    for blob in contents.blobs:
        yield _header(blob_path(blob.digest), blob.size)
        yield from store.chunks(blob.digest)
        yield tar.padding(blob.size)
    yield tar.END_OF_ARCHIVE


def _header(path: str, size: int) -> bytes:
    return tar.header(FileEntry(path, EntryType.FILE, 0o644), size, source_date_epoch())


def read_inputs(file: Path) -> InputArchive | None:
    """Open an archive without unpacking it; return None for one without inputs of builds.

    Raise UsageError for a file that is no archive, ImageError if it is broken or of a newer format.
    """
    reader = read_archive(file)
    data = read_member(reader, _DOCUMENT)
    if data is None:
        return None
    contents = decode(data, _Contents, f"{file}: {_DOCUMENT}")
    if contents.format != 1:
        raise ImageError(f"{file} is a bundle of format {contents.format}, not 1", hint="Upgrade shipwheel.")
    return InputArchive(reader, contents)


def fill(archive: InputArchive, store: Store, reporter: Reporter) -> None:
    """Bring the inputs of builds into a store, except for what it has. An interrupted call is continued by the next one.

    Raise ImageError for blobs that are missing or have another digest, StoreError if the disk is full.
    """
    contents, reader = archive.contents, archive.reader
    records = _read_records(archive)
    missing = [blob for blob in contents.blobs if not store.has(blob.digest)]
    total = sum(blob.size for blob in missing)
    reporter(StageStarted("unbundle", total, "bytes"))
    done = 0
    for blob in missing:
        with store.writer(blob.digest) as target:
            for chunk in reader.blob(blob.descriptor):
                target.write(chunk)
        done += blob.size
        reporter(Moved("unbundle", "", done, total))
    # Last, so that no record stands for bytes that are not there.
    for record in records:
        store.put(record.kind, record.key, record.data.encode())
    reporter(StageFinished("unbundle", f"{len(missing)} files, {total / 1e6:.1f} MB"))
    made, here = (contents.shipwheel, contents.uv), (__version__, uv.version())
    if made != here:
        what = f"the bundle was made with shipwheel {made[0]} and uv {made[1]}, and here are {here[0]} and {here[1]}"
        reporter(Warned(what, "Install the same versions: others make other layers, and build again what was built from source."))


def _read_records(archive: InputArchive) -> tuple[StoreRecord, ...]:
    """Return the records. Raise ImageError for those that a build's inputs do not have."""
    blob, path = archive.contents.records, archive.reader.path
    if blob.size > _MAX_RECORDS:
        raise ImageError(f"{path}: the records are larger than {_MAX_RECORDS >> 20} MiB", hint=_HOSTILE)
    try:
        records = decode_json(b"".join(archive.reader.blob(blob.descriptor)), tuple[StoreRecord, ...])
    except InvalidDocument as error:
        raise ImageError(f"{path}: the records cannot be read: {error}", hint=_HOSTILE) from error
    if wrong := sorted({record.kind for record in records} - _KINDS):
        raise ImageError(f"{path}: a build has no use for records of {wrong[0]!r}", hint=_HOSTILE)
    return records
