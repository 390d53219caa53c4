"""Small layers, images and image indexes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from shipwheel.files.entry import EntryType, FileEntry, file, read_content
from shipwheel.files.segment import key_of, source_date_epoch
from shipwheel.oci.image import Image, ImageIndex, make_image, make_index
from shipwheel.oci.layer import Compression, Layer, LayerSpec, make_layer
from shipwheel.oci.model import ContainerConfig
from shipwheel.platform import Platform
from shipwheel.store.store import Store

__all__ = ["AMD64", "ARM64", "EntriesSource", "small_image", "small_index", "small_layer"]

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


class EntriesSource(msgspec.Struct, frozen=True):
    """A source of fixed file entries."""

    files: tuple[FileEntry, ...]
    label: str = "small"

    @property
    def key(self) -> str:
        """A hash of every field and every byte."""
        hashed = hashlib.sha256()
        for entry in self.files:
            content = read_content(entry.content) if entry.type is EntryType.FILE else b""
            hashed.update(repr((entry.path, entry.type, entry.mode, content, entry.target, entry.uid, entry.gid)).encode())
        return key_of("entries", self.label, hashed.hexdigest())

    def entries(self) -> Iterator[FileEntry]:
        """Iterate over the file entries."""
        return iter(self.files)


def small_layer(
    store: Store,
    files: Mapping[str, bytes | str] | Sequence[FileEntry],
    name: str = "small",
    compression: Compression = Compression.GZIP,
) -> Layer:
    """Make a layer of one source from path -> content, or from file entries."""
    entries = tuple(file(path, data) for path, data in files.items()) if isinstance(files, Mapping) else tuple(files)
    return make_layer(LayerSpec(name, (EntriesSource(entries, name),), compression=compression), store)


def small_image(
    store: Store, platform: Platform = AMD64, layers: Sequence[Layer] | None = None, config: ContainerConfig | None = None
) -> Image:
    """Make an image. Without layers it gets two: one that all platforms share, and one of its own."""
    if layers is None:
        shared = small_layer(store, {"opt/shared/data.txt": "the same everywhere\n" * 300}, "shared")
        layers = (shared, small_layer(store, {"etc/platform": f"{platform}\n", "opt/app/main.py": "print('hello')\n"}, "app"))
    return make_image(layers, config or ContainerConfig(user="65532:65532", cmd=("/hello",)), platform, created=source_date_epoch())


def small_index(store: Store, platforms: Sequence[Platform] = (AMD64, ARM64)) -> ImageIndex:
    """Make an image index of small images."""
    return make_index([small_image(store, platform) for platform in platforms])
