"""OCI image layouts: a directory of blobs with an index.json (image-spec 1.1, image-layout.md).

A new layout is written to a temporary directory and renamed. An existing layout is updated blob by blob and its index.json replaced last,
so that readers always find a complete image; one process at a time does so. A blob that exists with the right size is not written again;
`validate` checks its bytes.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from shipwheel.digest import Digest, digest_of, hash_digest
from shipwheel.errors import BuildError, ImageError, UsageError
from shipwheel.oci.image import FileLayer, Image, ImageIndex, RemoteLayer, verified_chunks
from shipwheel.oci.layer import Layer
from shipwheel.oci.model import (
    INDEX_TYPES,
    MEDIA_TYPE_INDEX,
    ConfigFile,
    Descriptor,
    Index,
    Manifest,
    decode,
    encode,
)
from shipwheel.oci.read.image_files import ImageFile, ImageFiles, StreamedFile
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.file_lock import locked_directory
from shipwheel.store.store import NO_SPACE, Store

__all__ = [
    "ANNOTATION_IMAGE_NAME",
    "ANNOTATION_REF_NAME",
    "INDEX",
    "LAYOUT",
    "OCI_LAYOUT",
    "LayoutReader",
    "atomic_write",
    "blob_path",
    "create_empty_layout",
    "has_blob",
    "image_files",
    "index_entry",
    "index_json",
    "read_layout",
    "require_layout_or_empty",
    "write_error",
    "write_layout",
]

INDEX = "index.json"
LAYOUT = "oci-layout"
OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'

# Like BuildKit and containerd, shipwheel writes both: skopeo and umoci look for the tag in the first one, containerd, docker and podman
# for the full name in the second.
ANNOTATION_REF_NAME = "org.opencontainers.image.ref.name"
ANNOTATION_IMAGE_NAME = "io.containerd.image.name"

MAX_DOCUMENT = 4 << 20
"""The maximum size of manifests, indexes and configs in bytes; registries have the same limit."""


def blob_path(digest: Digest) -> str:
    """Return the path of a blob inside a layout: blobs/<algorithm>/<hex>."""
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


def index_entry(index: ImageIndex, name: Reference | None) -> Descriptor:
    """Return the entry of index.json for these images, annotated with the name."""
    annotations = {} if name is None else {ANNOTATION_REF_NAME: name.tag_or_latest, ANNOTATION_IMAGE_NAME: name.full}
    return msgspec.structs.replace(index.descriptor, annotations=annotations)


def index_json(entries: Iterable[Descriptor]) -> bytes:
    """Return the bytes of index.json."""
    return encode(Index(schema_version=2, media_type=MEDIA_TYPE_INDEX, manifests=tuple(entries)))


def write_layout(index: ImageIndex, directory: Path, store: Store, *, name: str | None, recheck: bool = False) -> Descriptor:
    """Write the images into a new or an existing OCI image layout, and return the entry of its index.json.

    An entry with the same name is replaced, and the blobs that only it needed are removed; other entries stay. With `recheck`, existing
    blobs are read, and damaged ones are written again.
    Raise UsageError if the directory contains something else, DamagedBlob if a part in the store is damaged, BuildError if the disk is
    full.
    """
    entry = index_entry(index, None if name is None else Reference.parse(name))
    try:
        if (directory / LAYOUT).is_file():
            _update(index, directory, store, entry, recheck)
        else:
            require_layout_or_empty(directory)
            if not _create(directory, [entry], partial(_write_blobs, index, store=store)):
                _update(index, directory, store, entry, recheck)
    except OSError as error:
        raise write_error(f"the layout {directory}", error, "directory") from error
    return entry


def write_error(what: str, error: OSError, kind: str) -> BuildError:
    """Return the error for a layout or an archive that cannot be written. `kind` is "directory" or "file"."""
    full = error.errno in NO_SPACE
    hint = f"Free some space or name another {kind}." if full else f"Name another {kind}, in a location that you can write to."
    return BuildError(f"{what} cannot be written: {error.strerror or error}", hint=hint)


def require_layout_or_empty(directory: Path) -> None:
    """Raise UsageError if the path exists and is neither an OCI image layout nor an empty directory."""
    if not directory.exists() and not directory.is_symlink():
        return
    try:
        if directory.is_dir() and not any(directory.iterdir()):
            return
    except FileNotFoundError:
        # Another process is about to put a layout in the place of the empty directory.
        return
    # Looked for last: if another process has created the layout in the meantime, it is complete.
    if not (directory / LAYOUT).is_file():
        kind = "a directory that is not an OCI image layout" if directory.is_dir() else "not a directory"
        raise UsageError(f"{directory} is {kind}", hint="Name a new or an empty directory, or a file that ends in .tar.")


def create_empty_layout(directory: Path) -> None:
    """Create a layout without images, unless there is a layout already. Raise OSError."""
    if not (directory / LAYOUT).is_file():
        _create(directory, [], lambda _: None)


def _create(directory: Path, entries: list[Descriptor], write_blobs: Callable[[Path], None]) -> bool:
    """Create a layout. Return False, and leave it alone, if another process has created one in the meantime."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        write_blobs(temporary)
        _write(temporary / LAYOUT, (OCI_LAYOUT,))
        _write(temporary / INDEX, (index_json(entries),))
        temporary.chmod(0o755)
        try:
            if directory.is_dir():
                # Windows cannot rename over a directory, not even an empty one.
                directory.rmdir()
            temporary.rename(directory)
        except OSError:
            if not (directory / LAYOUT).is_file():
                raise
            return False
        return True
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _update(index: ImageIndex, directory: Path, store: Store, entry: Descriptor, recheck: bool) -> None:
    # An index.json that was read before another process changed it would forget that process's image.
    with locked_directory(directory):
        before = read_layout(directory)
        _write_blobs(index, directory, store, recheck)
        replaced = [old for old in before.entries if _name(old) == _name(entry)]
        others = [old for old in before.entries if _name(old) != _name(entry)]
        data = index_json([*others, entry])
        if before.data != data:
            _write(directory / INDEX, (data,))
            _remove_stale_blobs(before, replaced, [*others, entry])


def _name(entry: Descriptor) -> tuple[str | None, str | None]:
    full, ref = entry.annotations.get(ANNOTATION_IMAGE_NAME), entry.annotations.get(ANNOTATION_REF_NAME)
    return (full, None) if full else (None, ref)


def _remove_stale_blobs(before: "LayoutReader", replaced: list[Descriptor], entries: list[Descriptor]) -> None:
    """Remove the blobs that only the replaced entries refer to; remove nothing if an entry cannot be read."""
    try:
        needed = {digest for entry in entries for digest in before.reachable(entry)}
        stale = {digest for entry in replaced for digest in before.reachable(entry)} - needed
    except ImageError:
        return
    for digest in stale:
        (before.path / blob_path(digest)).unlink(missing_ok=True)


def _write_blobs(index: ImageIndex, directory: Path, store: Store, recheck: bool = False) -> None:
    for blob in index.blobs(store):
        path = directory / blob_path(blob.descriptor.digest)
        if not has_blob(path, blob.descriptor.size) or (recheck and _digest(path) != blob.descriptor.digest):
            _write(path, blob.chunks())


def has_blob(path: Path, size: int) -> bool:
    """Return whether a blob's file exists with the right size."""
    with contextlib.suppress(OSError):
        return path.is_file() and path.stat().st_size == size
    return False


def _digest(path: Path) -> Digest:
    with path.open("rb") as stream:
        return hash_digest(hashlib.file_digest(stream, "sha256"))


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as write:
        for chunk in chunks:
            write(chunk)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Write a temporary file that replaces `path` if the block succeeds, and is removed otherwise."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb", buffering=1 << 20) as stream:
            yield stream.write
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class LayoutReader(msgspec.Struct, frozen=True):
    """An existing layout. Documents are checked against their digests when they are read, layers when they are streamed."""

    path: Path
    data: bytes
    entries: tuple[Descriptor, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the named entries."""
        return tuple(full or ref for full, ref in map(_name, self.entries) if full or ref)  # type: ignore[misc]

    def images(self, name: str | None = None) -> ImageIndex:
        """Return the images of the entry with this name, tag or digest, or of the only entry, without attestations.

        Raise UsageError if there is no such entry, or several.
        """
        entry = self.entry(name)
        if entry.media_type not in INDEX_TYPES:
            image = self._image(entry)
            return ImageIndex((image,), index_json([image.descriptor]))
        data = self._document(entry)
        images = (manifest for manifest in decode(data, Index, entry.digest).manifests if not manifest.is_attestation)
        return ImageIndex(tuple(map(self._image, images)), data)

    def reachable(self, entry: Descriptor) -> Iterator[Digest]:
        """Yield the digests of an entry of index.json and of everything that it refers to."""
        yield entry.digest
        if entry.media_type in INDEX_TYPES:
            for manifest_entry in decode(self._document(entry), Index, entry.digest).manifests:
                yield from self.reachable(manifest_entry)
        else:
            manifest = decode(self._document(entry), Manifest, entry.digest)
            yield manifest.config.digest
            yield from (layer.digest for layer in manifest.layers)

    def entry(self, name: str | None) -> Descriptor:
        """Return the entry with this name, tag or digest, or the only entry. Raise UsageError if there is no such entry, or several."""
        found = self.entries if name is None else [entry for entry in self.entries if name in (entry.digest, *entry.annotations.values())]
        if name is not None and not found:
            with contextlib.suppress(UsageError):
                full = Reference.parse(name).full
                found = [entry for entry in self.entries if full in _name(entry)]
        if len(found) != 1:
            names = ", ".join(full or ref or entry.digest for entry in self.entries for full, ref in [_name(entry)]) or "nothing"
            what = f"no image {name!r}" if name else f"{len(found)} images, so you have to name one"
            raise UsageError(f"{self.path} contains {what}", hint=f"Choose one by its name or digest with --name. It contains {names}.")
        return found[0]

    def document(self, digest: Digest) -> bytes:
        """Return the bytes of a manifest, index or config. Raise ImageError if they are missing or do not match the digest."""
        data = self._read(digest)
        if digest_of(data) != digest:
            hint = "The layout is damaged; build or copy it again."
            raise ImageError(f"{self.path}: the blob {digest} has the digest {digest_of(data)}", hint=hint)
        return data

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield the bytes of a blob. Raise ImageError at the end if they do not match the descriptor."""
        return verified_chunks(descriptor, *self._location(descriptor.digest))

    def _read(self, digest: Digest) -> bytes:
        return _read_small(self.path / blob_path(digest))

    def _location(self, digest: Digest) -> tuple[Path, int]:
        """Return the file that contains a blob, and the blob's offset in it."""
        return self.path / blob_path(digest), 0

    def _document(self, descriptor: Descriptor) -> bytes:
        return self.document(descriptor.digest)

    def _image(self, descriptor: Descriptor) -> Image:
        raw = self._document(descriptor)
        manifest = decode(raw, Manifest, descriptor.digest)
        text = self._document(manifest.config)
        config = decode(text, ConfigFile, manifest.config.digest)
        diff_ids = config.rootfs.diff_ids
        if len(diff_ids) != len(manifest.layers):
            raise ImageError(
                f"{self.path}: {descriptor.digest} has {len(manifest.layers)} layers and {len(diff_ids)} diff_ids",
                hint="The image is broken; build it again.",
            )
        layers = tuple(
            FileLayer(layer, diff_id, *self._location(layer.digest)) for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
        )
        platform = Platform(config.os, config.architecture, config.variant)
        return Image(platform, raw, text, layers, manifest.config.media_type, descriptor.media_type)


def read_layout(path: Path) -> LayoutReader:
    """Open an OCI image layout. Raise UsageError if the path is not one, ImageError if it is broken."""
    if not (path / LAYOUT).is_file():
        if not path.exists():
            raise UsageError(f"{path} does not exist", hint="Name an OCI image layout, or an archive that ends in .tar.")
        raise UsageError(f"{path} is not an OCI image layout", hint=f"A layout is a directory with {LAYOUT} and {INDEX} in it.")
    version = decode(_read_small(path / LAYOUT), _LayoutFile, f"{path / LAYOUT}").version
    if version != "1.0.0":
        raise ImageError(f"{path} is a layout of version {version!r}, not 1.0.0", hint="Upgrade shipwheel, or use another copy.")
    data = _read_small(path / INDEX)
    return LayoutReader(path, data, decode(data, Index, f"{path / INDEX}").manifests)


class _LayoutFile(msgspec.Struct, frozen=True):
    version: str = msgspec.field(name="imageLayoutVersion")


def _read_small(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_DOCUMENT:
            raise ImageError(f"{path} is larger than {MAX_DOCUMENT >> 20} MiB", hint="The layout is broken or hostile; do not use it.")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}", hint="The layout is incomplete; build or copy it again.") from error


def image_files(index: ImageIndex, store: Store) -> ImageFiles:
    """Return the images as the files of a layout that is not written to disk: the store supplies their bytes.

    Layers that are only in a registry are listed as `elsewhere`.
    """
    entry = index_entry(index, None)
    documents = {LAYOUT: OCI_LAYOUT, INDEX: index_json([entry])}
    files: dict[str, ImageFile] = {name: StreamedFile(len(data), partial(iter, (data,))) for name, data in documents.items()}
    layers = [layer for image in index.images for layer in image.layers]
    # The base's layers in a registry were verified when they were read first, and need not be fetched again.
    elsewhere = {it.descriptor.digest for it in layers if isinstance(it, RemoteLayer) or (isinstance(it, Layer) and not it.parts)}
    for blob in index.blobs(store):
        if blob.descriptor.digest not in elsewhere:
            files[blob_path(blob.descriptor.digest)] = StreamedFile(blob.descriptor.size, blob.chunks)
    return ImageFiles(Path("the image"), files, {}, elsewhere=frozenset(elsewhere))
