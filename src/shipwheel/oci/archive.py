"""Image archives: a tar that is both an OCI image layout and a docker archive with a manifest.json.

docker's own image store reads manifest.json (moby, image/spec v1.2: "Combined Image JSON + Filesystem Changeset Format"). containerd,
docker's containerd image store, podman and skopeo's oci-archive: read the layout with all platforms.

manifest.json has no platforms. If several entries have the same name, docker 26.1 keeps the last one, and skopeo's docker-archive: and
go-containerregistry reject them. Therefore it lists only one image.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec

from shipwheel.digest import Digest
from shipwheel.errors import ImageError, UsageError
from shipwheel.files import tar
from shipwheel.files.entry import EntryType, FileEntry
from shipwheel.files.segment import source_date_epoch
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.layout import (
    INDEX,
    LAYOUT,
    MAX_DOCUMENT,
    OCI_LAYOUT,
    LayoutReader,
    atomic_write,
    blob_path,
    index_entry,
    index_json,
    write_error,
)
from shipwheel.oci.model import Descriptor, Index, decode
from shipwheel.oci.read.image_files import FileRange, open_image
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform, host_platform
from shipwheel.store.store import Store

__all__ = ["archive_chunks", "read_archive", "read_member", "write_archive"]

DOCKER_MANIFEST = "manifest.json"


class _DockerImage(msgspec.Struct, frozen=True, rename="pascal"):
    """An entry of manifest.json."""

    config: str
    repo_tags: tuple[str, ...] | None
    layers: tuple[str, ...]


def write_archive(index: ImageIndex, file: Path, store: Store, *, name: str | None, docker_platform: Platform | None = None) -> Descriptor:
    """Write the images into an archive, which replaces `file` once it is complete, and return the entry of its index.json.

    `docker_platform` is the platform that manifest.json lists. Default: the host's platform if there is an image for it, else the first.
    Raise UsageError if `file` is a directory, DamagedBlob if a part in the store is damaged, BuildError if the disk is full.
    """
    if file.is_dir():
        raise UsageError(f"{file} is a directory", hint="Name a file, or a path without .tar for an OCI image layout.")
    reference = None if name is None else Reference.parse(name)
    entry = index_entry(index, reference)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as write:
            for chunk in archive_chunks(index, store, reference, docker_platform=docker_platform):
                write(chunk)
    except OSError as error:
        raise write_error(f"the archive {file}", error, "file") from error
    return entry


def archive_chunks(
    index: ImageIndex, store: Store, name: Reference | None, *, docker_platform: Platform | None = None, without: Collection[str] = ()
) -> Iterator[bytes]:
    """Yield the bytes of an archive. `without` are the digests of layers to leave out, because the reader has them already.

    Raise UsageError if there is no image for `docker_platform`, DamagedBlob at the end of a layer that is damaged in the store.
    """
    docker_manifest, entry = _docker_manifest(index, name, docker_platform), index_entry(index, name)
    mtime = source_date_epoch()
    documents = {LAYOUT: OCI_LAYOUT, INDEX: index_json([entry]), DOCKER_MANIFEST: docker_manifest}
    for path, data in documents.items():
        yield tar.header(FileEntry(path, EntryType.FILE, 0o644), len(data), mtime) + data + tar.padding(len(data))
    for path in ("blobs", "blobs/sha256"):
        yield tar.header(FileEntry(path, EntryType.DIRECTORY, 0o755), 0, mtime)
    for blob in index.blobs(store):
        if blob.descriptor.digest in without:
            continue
        size = blob.descriptor.size
        yield tar.header(FileEntry(blob_path(blob.descriptor.digest), EntryType.FILE, 0o644), size, mtime)
        yield from blob.chunks()
        yield tar.padding(size)
    yield tar.END_OF_ARCHIVE


class _ArchiveReader(LayoutReader, frozen=True):
    """A layout whose files are members of an archive on disk, which are read in place."""

    files: Mapping[str, FileRange]

    def _read(self, digest: Digest) -> bytes:
        return _small(self._file(blob_path(digest)), self.path, blob_path(digest))

    def _location(self, digest: Digest) -> tuple[Path, int]:
        found = self._file(blob_path(digest))
        return found.path, found.offset

    def _file(self, name: str) -> FileRange:
        if name not in self.files:
            raise ImageError(f"{self.path}: {name} is missing", hint="The archive is incomplete; build or copy it again.")
        return self.files[name]


def read_archive(file: Path) -> LayoutReader:
    """Open an archive with an OCI image layout, without unpacking it. Raise UsageError for other files, ImageError if it is broken."""
    opened = open_image(file)
    if INDEX not in opened.files:
        hint = "Write one with `shipwheel build -o FILE.tar`, `skopeo copy … oci-archive:FILE` or `podman save --format oci-archive`."
        raise UsageError(f"{file} is not an OCI image archive: it has no {INDEX}", hint=hint)
    files = {name: found for name, found in opened.files.items() if isinstance(found, FileRange)}
    data = _small(files[INDEX], file, INDEX)
    return _ArchiveReader(file, data, decode(data, Index, f"{file}: {INDEX}").manifests, files)


def read_member(reader: LayoutReader, name: str) -> bytes | None:
    """Return a small member of an archive that is no part of the layout; None if there is none. Raise ImageError if it is too large."""
    found = reader.files.get(name) if isinstance(reader, _ArchiveReader) else None
    return None if found is None else _small(found, reader.path, name)


def _small(found: FileRange, file: Path, name: str) -> bytes:
    if found.size > MAX_DOCUMENT:
        raise ImageError(f"{file}: {name} is larger than {MAX_DOCUMENT >> 20} MiB", hint="The archive is broken or hostile; do not use it.")
    with found.open() as stream:
        return stream.read(found.size)


def _docker_manifest(index: ImageIndex, name: Reference | None, platform: Platform | None) -> bytes:
    preferred = platform or host_platform()
    image = next((image for image in index.images if preferred.matches(image.platform)), None)
    if image is None and platform is not None:
        built = ", ".join(str(image.platform) for image in index.images)
        raise UsageError(f"there is no image for {platform}", hint=f"There are images for {built}.")
    image = image or index.images[0]
    entry = _DockerImage(
        config=blob_path(image.config_descriptor.digest),
        repo_tags=None if name is None else (f"{name.name}:{name.tag_or_latest}",),
        layers=tuple(blob_path(layer.descriptor.digest) for layer in image.layers),
    )
    return msgspec.json.encode([entry])
