"""OCI image layouts: a directory of blobs with an index.json (image-spec 1.1, image-layout.md).

A new layout is written beside its place and renamed into it. An existing one is brought up to date blob by blob, and its
index.json is replaced last, so that a reader at any moment finds a whole image. A blob that is there with the right size is
left alone; whether its bytes are right is for `validate` to say.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from shipwheel.errors import BuildError, ImageError, UsageError
from shipwheel.oci.image import FileLayer, Image, ImageIndex, RemoteLayer, digest_of, verified_chunks
from shipwheel.oci.layer import Layer
from shipwheel.oci.model import (
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
from shipwheel.store import Store

__all__ = [
    "ANNOTATION_IMAGE_NAME",
    "ANNOTATION_REF_NAME",
    "INDEX",
    "LAYOUT",
    "OCI_LAYOUT",
    "LayoutReader",
    "atomic_write",
    "blob_path",
    "checked_digest",
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

# BuildKit and containerd write both, so: skopeo and umoci look for the tag in the first, containerd, docker and podman for
# the full name in the second.
ANNOTATION_REF_NAME = "org.opencontainers.image.ref.name"
ANNOTATION_IMAGE_NAME = "io.containerd.image.name"

MAX_DOCUMENT = 4 << 20
"""Larger manifests, indexes and configs are refused; registries do the same."""

_INDEX_TYPES = (MEDIA_TYPE_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")


def blob_path(digest: str) -> str:
    """Where a blob is inside a layout: blobs/<algorithm>/<hex>."""
    algorithm, _, value = digest.partition(":")
    return f"blobs/{algorithm}/{value}"


def index_entry(index: ImageIndex, name: Reference | None) -> Descriptor:
    """The entry of index.json: what the name stands for, annotated with the name."""
    annotations = {} if name is None else {ANNOTATION_REF_NAME: name.tag_or_latest, ANNOTATION_IMAGE_NAME: name.full}
    return msgspec.structs.replace(index.descriptor, annotations=annotations)


def index_json(entries: Iterable[Descriptor]) -> bytes:
    """The bytes of index.json."""
    return encode(Index(schema_version=2, media_type=MEDIA_TYPE_INDEX, manifests=tuple(entries)))


def write_layout(index: ImageIndex, directory: Path, store: Store, *, name: str | None, recheck: bool = False) -> Descriptor:
    """Writes the images as, or into, an OCI image layout and returns the entry of its index.json.

    An entry of the same name is replaced, and the blobs that only it needed are removed; other entries are kept. With `recheck`, the
    bytes of the blobs that are there are read too, and damaged ones written again.
    Raises UsageError if the directory holds something else, DamagedBlob if a part in the store is damaged, BuildError if the
    disk is full.
    """
    entry = index_entry(index, None if name is None else Reference.parse(name))
    try:
        if (directory / LAYOUT).is_file():
            _update(index, directory, store, entry, recheck)
        else:
            require_layout_or_empty(directory)
            try:
                _create(index, directory, store, entry)
            except OSError:
                # Another process may have made it in the meantime: then it is brought up to date, as it would be a moment later.
                if not (directory / LAYOUT).is_file():
                    raise
                _update(index, directory, store, entry, recheck)
    except OSError as error:
        raise write_error(f"the layout {directory}", error, "directory") from error
    return entry


def write_error(what: str, error: OSError, kind: str) -> BuildError:
    """What is said of a layout or an archive (`kind`: a directory or a file) that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = f"Free some space or name another {kind}." if full else f"Name another {kind}, in a place that you can write to."
    return BuildError(f"{what} cannot be written: {error.strerror or error}", hint=hint)


def require_layout_or_empty(directory: Path) -> None:
    """Raises UsageError if something is there that is neither an OCI image layout nor an empty directory."""
    if (directory / LAYOUT).is_file():
        return
    if directory.is_dir() and not any(directory.iterdir()):
        return
    if directory.exists() or directory.is_symlink():
        kind = "a directory that is not an OCI image layout" if directory.is_dir() else "not a directory"
        raise UsageError(f"{directory} is {kind}", hint="Name a new or an empty directory, or a file that ends in .tar.")


def _create(index: ImageIndex, directory: Path, store: Store, entry: Descriptor) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        _write_blobs(index, temporary, store)
        _write(temporary / LAYOUT, (OCI_LAYOUT,))
        _write(temporary / INDEX, (index_json([entry]),))
        temporary.chmod(0o755)
        if directory.is_dir():
            # Windows does not rename over a directory, not even an empty one.
            directory.rmdir()
        temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _update(index: ImageIndex, directory: Path, store: Store, entry: Descriptor, recheck: bool) -> None:
    before = read_layout(directory)
    _write_blobs(index, directory, store, recheck)
    replaced = [old for old in before.entries if _name(old) == _name(entry)]
    kept = [old for old in before.entries if _name(old) != _name(entry)]
    data = index_json([*kept, entry])
    if before.data != data:
        _write(directory / INDEX, (data,))
        _sweep(before, replaced, [*kept, entry])


def _name(entry: Descriptor) -> tuple[str | None, str | None]:
    full, ref = entry.annotations.get(ANNOTATION_IMAGE_NAME), entry.annotations.get(ANNOTATION_REF_NAME)
    return (full, None) if full else (None, ref)


def _sweep(before: "LayoutReader", replaced: list[Descriptor], kept: list[Descriptor]) -> None:
    """Removes what only the replaced entries referred to; nothing at all if any entry cannot be followed."""
    try:
        wanted = {digest for entry in kept for digest in before.reachable(entry)}
        stale = {digest for entry in replaced for digest in before.reachable(entry)} - wanted
    except ImageError:
        return
    for digest in stale:
        (before.path / blob_path(digest)).unlink(missing_ok=True)


def _write_blobs(index: ImageIndex, directory: Path, store: Store, recheck: bool = False) -> None:
    for blob in index.blobs(store):
        path = directory / blob_path(blob.descriptor.digest)
        if not _has(path, blob.descriptor.size) or (recheck and _digest(path) != blob.descriptor.digest):
            _write(path, blob.chunks())


def _has(path: Path, size: int) -> bool:
    with contextlib.suppress(OSError):
        return path.is_file() and path.stat().st_size == size
    return False


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as write:
        for chunk in chunks:
            write(chunk)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Callable[[bytes], object]]:
    """A file that takes its place when the block ends well, and leaves no trace otherwise."""
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
    """A layout that is read. Documents are checked against their digests; layers are checked when they are streamed."""

    path: Path
    data: bytes
    entries: tuple[Descriptor, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the entries that have one."""
        return tuple(full or ref for full, ref in map(_name, self.entries) if full or ref)  # type: ignore[misc]

    def images(self, name: str | None = None) -> ImageIndex:
        """The images of an entry, without attestations: the one of that name, tag or digest, or the only one.

        Raises UsageError for none or several entries.
        """
        entry = self.entry(name)
        if entry.media_type not in _INDEX_TYPES:
            image = self._image(entry)
            return ImageIndex((image,), index_json([image.descriptor]))
        data = self._document(entry)
        listed = (one for one in decode(data, Index, entry.digest).manifests if not one.is_attestation)
        return ImageIndex(tuple(map(self._image, listed)), data)

    def reachable(self, entry: Descriptor) -> Iterator[str]:
        """The digests of everything that an entry of index.json refers to, itself included."""
        yield entry.digest
        if entry.media_type in _INDEX_TYPES:
            for one in decode(self._document(entry), Index, entry.digest).manifests:
                yield from self.reachable(one)
        else:
            manifest = decode(self._document(entry), Manifest, entry.digest)
            yield manifest.config.digest
            yield from (layer.digest for layer in manifest.layers)

    def entry(self, name: str | None) -> Descriptor:
        """The entry of that name, tag or digest, or the only one. Raises UsageError for none or several."""
        wanted = self.entries if name is None else [one for one in self.entries if name in (one.digest, *one.annotations.values())]
        if name is not None and not wanted:
            with contextlib.suppress(UsageError):
                full = Reference.parse(name).full
                wanted = [one for one in self.entries if full in _name(one)]
        if len(wanted) != 1:
            known = ", ".join(full or ref or one.digest for one in self.entries for full, ref in [_name(one)]) or "nothing"
            what = f"no image {name!r}" if name else f"{len(wanted)} images and none was named"
            raise UsageError(f"{self.path} holds {what}", hint=f"Choose one by its name or digest (push --name). It holds {known}.")
        return wanted[0]

    def document(self, digest: str) -> bytes:
        """The bytes of a manifest, index or config; raises ImageError if they are not there or not the digest's."""
        data = self._read(checked_digest(digest))
        if digest_of(data) != digest:
            raise ImageError(f"{self.path}: the blob {digest} is {digest_of(data)}", hint="The layout is damaged; make or copy it again.")
        return data

    def blob(self, descriptor: Descriptor) -> Iterator[bytes]:
        """A blob's bytes as they are read; raises DamagedBlob at their end if they are not the descriptor's."""
        return verified_chunks(FileLayer(descriptor, "", *self._place(checked_digest(descriptor.digest))))

    def _read(self, digest: str) -> bytes:
        return _read_small(self.path / blob_path(digest))

    def _place(self, digest: str) -> tuple[Path, int]:
        """The file that a blob is in, and where in it."""
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
                hint="The image was made wrongly; make it again.",
            )
        layers = tuple(
            FileLayer(layer, diff_id, *self._place(checked_digest(layer.digest)))
            for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
        )
        platform = Platform(config.os, config.architecture, config.variant)
        return Image(platform, raw, text, layers, manifest.config.media_type, descriptor.media_type)


def read_layout(path: Path) -> LayoutReader:
    """Opens an OCI image layout; raises UsageError if the directory is none, ImageError if it is broken."""
    if not (path / LAYOUT).is_file():
        if not path.exists():
            raise UsageError(f"{path} does not exist", hint="Name an OCI image layout, or an archive that ends in .tar.")
        raise UsageError(f"{path} is not an OCI image layout", hint=f"A layout is a directory with {LAYOUT} and {INDEX} in it.")
    version = decode(_read_small(path / LAYOUT), _LayoutFile, f"{path / LAYOUT}").version
    if version != "1.0.0":
        raise ImageError(f"{path} is a layout of version {version!r}, not 1.0.0", hint="Use a newer shipwheel, or another copy.")
    data = _read_small(path / INDEX)
    return LayoutReader(path, data, decode(data, Index, f"{path / INDEX}").manifests)


class _LayoutFile(msgspec.Struct, frozen=True):
    version: str = msgspec.field(name="imageLayoutVersion")


def checked_digest(digest: str) -> str:
    """The digest; raises ImageError for one that would be a path to elsewhere."""
    algorithm, _, value = digest.partition(":")
    if (algorithm, len(value)) not in (("sha256", 64), ("sha512", 128)) or value.strip("0123456789abcdef"):
        raise ImageError(f"{digest[:200]!r} is not a digest", hint="The layout is broken or hostile; do not use it.")
    return digest


def _read_small(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_DOCUMENT:
            raise ImageError(f"{path} is larger than {MAX_DOCUMENT >> 20} MiB", hint="The layout is broken or hostile; do not use it.")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}", hint="The layout is incomplete; make or copy it again.") from error


def image_files(index: ImageIndex, store: Store) -> ImageFiles:
    """The images as a layout that is nowhere: its files are read from the store when they are asked for.

    Layers of a registry, and those without parts, are elsewhere.
    """
    entry = index_entry(index, None)
    documents = {LAYOUT: OCI_LAYOUT, INDEX: index_json([entry])}
    files: dict[str, ImageFile] = {name: StreamedFile(len(data), partial(iter, (data,))) for name, data in documents.items()}
    layers = [layer for image in index.images for layer in image.layers]
    # A base's layers in a registry were read through when they were met first; they are not fetched for this.
    elsewhere = {it.descriptor.digest for it in layers if isinstance(it, RemoteLayer) or (isinstance(it, Layer) and not it.parts)}
    for blob in index.blobs(store):
        if blob.descriptor.digest not in elsewhere:
            files[blob_path(blob.descriptor.digest)] = StreamedFile(blob.descriptor.size, blob.chunks)
    return ImageFiles(Path("the image"), files, {}, elsewhere=frozenset(elsewhere))
