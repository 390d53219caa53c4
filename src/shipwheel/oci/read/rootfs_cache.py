"""A cache of unpacked images in the store, for engines that run directories."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from shipwheel.errors import StoreError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.oci.image import Image, ImageLayer
from shipwheel.oci.read.layer_files import LayerFiles, read_layer
from shipwheel.oci.read.layer_stream import Allowance
from shipwheel.oci.read.rootfs import Rootfs
from shipwheel.store.contents import IMAGES
from shipwheel.store.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.store.store import NO_SPACE, Store, store_write_error

__all__ = ["KEPT", "unpack_image", "unpack_layers"]

STAGE = "unpack"
KEPT = 4
"""The number of unused images that stay in the store."""


def unpack_image(image: Image, store: Store, reporter: Reporter) -> CachedDirectory:
    """Return the unpacked files of an image, which are created once for each manifest. Raise what `unpack_layers` does."""
    return unpack_layers(image.digest.partition(":")[2], image.layers, store, reporter)


def unpack_layers(name: str, layers: Sequence[ImageLayer], store: Store, reporter: Reporter) -> CachedDirectory:
    """Return the unpacked files of layers, bottom first, which are created once for each name, 64 hex digits.

    Raise ImageError or ArchiveError for a malformed or hostile layer, DamagedBlob if its bytes do not match its digest, StoreError if the
    files cannot be written.
    """
    cache = DirectoryCache(store.root / IMAGES)

    def unpack(directory: Path) -> None:
        reporter(StageStarted(STAGE, len(layers)))
        allowance = Allowance()
        with ExitStack() as stack:
            files: list[LayerFiles] = []
            for number, layer in enumerate(layers, 1):
                store.check_open()
                files.append(read_layer(layer, store, allowance))
                stack.callback(files[-1].close)
                reporter(Moved(STAGE, "", number, len(layers)))
            rootfs = Rootfs(directory, own_data=any(each.refuses_links for each in files))
            for each in files:
                store.check_open()
                rootfs.apply(each)
        reporter(StageFinished(STAGE, f"{len(layers)} layers"))

    try:
        return cache.find(name) or cache.fill(name, unpack, keep=KEPT)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise store_write_error(store.root, error) from error
        where = f"{error.filename}: {error.strerror or error}"
        raise StoreError(
            f"the image cannot be unpacked: {where}", hint="Correct this, or set SHIPWHEEL_CACHE to another directory."
        ) from error
