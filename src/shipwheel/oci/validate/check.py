"""Validation of image layouts and archives (image-spec 1.1): every digest, size, diff_id, media type and platform is recomputed.

The validator shares no code with the writers of images: it uses the standard library for JSON, tar and gzip. It reads each layer once, in
parallel, and collects all problems before it raises an error.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from shipwheel.errors import ImageError
from shipwheel.oci.read.image_files import ImageFile, ImageFiles, open_image
from shipwheel.oci.read.layer_stream import MAX_UNPACKED, Allowance
from shipwheel.oci.validate.documents import Documents, StatedImage, StatedLayer, compression_of, digest_of_file
from shipwheel.oci.validate.layers import CHECK_VERSION, LayerFacts, check_layer
from shipwheel.store.store import Store
from shipwheel.timeline import span

__all__ = ["ImageReport", "Report", "check_early", "validate", "validate_files"]

_MAX_REPORTED = 50


class ImageReport(msgspec.Struct, frozen=True):
    """A validated image. Sizes in bytes; `size` is that of manifest, config and compressed layers."""

    name: str
    platform: str
    digest: str
    size: int
    unpacked_size: int
    layers: int
    entries: int


class Report(msgspec.Struct, frozen=True):
    """The valid images of a layout or an archive. `notes` are unusual findings that are not errors."""

    path: Path
    images: tuple[ImageReport, ...]
    notes: tuple[str, ...] = ()


def validate(path: Path, *, store: Store | None = None, workers: int | None = None, limit: int = MAX_UNPACKED) -> Report:
    """Validate a layout or an archive. Raise ImageError that lists every problem with the stated and the actual value.

    A store remembers the layers that were checked before: these are only hashed. `limit` is the maximum uncompressed size of an image in
    bytes.
    """
    try:
        return validate_files(open_image(path), store=store, workers=workers, limit=limit)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}", hint="Build or copy the image again.") from error


def validate_files(
    files: ImageFiles, *, store: Store | None = None, workers: int | None = None, limit: int = MAX_UNPACKED, rehash: bool = True
) -> Report:
    """Validate the files of an image, see `validate`.

    Without `rehash`, layers that were checked before are not hashed again, because they will be hashed at their destination.
    """
    path = files.path
    documents = Documents(files)
    documents.read()
    facts = _check_layers(documents.images, store, workers or min(8, os.cpu_count() or 1), limit, rehash)
    reports = tuple(_check_image(documents, image, facts, limit) for image in documents.images)
    if documents.problems:
        raise _error(path, documents.problems)
    return Report(path, reports, tuple(documents.notes))


def check_early(file: ImageFile, digest: str, media_type: str, store: Store) -> None:
    """Check a layer before its image is there to validate: `validate_files` then finds in the store what it needs to know of it.

    Whatever is wrong with the layer, validation will find again.
    """
    _facts(StatedLayer("", file, digest, file.size, compression_of(media_type), ""), Allowance(), store, rehash=False)


def _error(path: Path, problems: Sequence[str]) -> ImageError:
    lines = [*problems[:_MAX_REPORTED], *([f"and {len(problems) - _MAX_REPORTED} more"] if len(problems) > _MAX_REPORTED else [])]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ImageError("\n  - ".join([f"{path} has {count}:", *lines]), hint="Build the image again, or copy it again from a valid source.")


_Facts = Mapping[tuple[str, str | None], LayerFacts]
"""(digest, compression) -> facts."""


def _check_layers(images: Sequence[StatedImage], store: Store | None, workers: int, limit: int, rehash: bool) -> _Facts:
    layers: dict[tuple[str, str | None], tuple[StatedLayer, Allowance]] = {}
    for image in images:
        allowance = Allowance(limit)
        for layer in image.layers:
            layers.setdefault((layer.digest, layer.compression), (layer, allowance))
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(layers, pool.map(lambda each: _facts(each[0], each[1], store, rehash), layers.values()), strict=True))


def _facts(layer: StatedLayer, allowance: Allowance, store: Store | None, rehash: bool) -> LayerFacts:
    if store is None or not layer.has_digest:
        return _check_layer(layer, allowance)
    key = hashlib.sha256("\0".join((CHECK_VERSION, layer.digest, str(layer.compression))).encode()).hexdigest()
    known = store.get_as("layer-facts", key, LayerFacts)
    if known is not None and (not rehash or digest_of_file(layer.file, layer.digest.partition(":")[0]) == layer.digest):
        return known
    facts = _check_layer(layer, allowance)
    if not facts.problems and facts.digest == layer.digest:
        store.put("layer-facts", key, msgspec.json.encode(facts))
    return facts


def _check_layer(layer: StatedLayer, allowance: Allowance) -> LayerFacts:
    algorithm = layer.digest.partition(":")[0] if layer.has_digest else "sha256"
    with span("validate layer", layer.digest[:19]), layer.file.open() as stream:
        return check_layer(stream, layer.file.size, algorithm, layer.compression, allowance)


def _check_image(documents: Documents, image: StatedImage, facts: _Facts, limit: int) -> ImageReport:
    """Compare the layers of an image with its manifest and config, and with the layers below them."""
    directories: set[str] = set()
    links: set[str] = set()
    size = image.size
    for layer in image.layers:
        found = facts[layer.digest, layer.compression]
        if layer.has_digest:
            documents.expect(layer.location, "size", layer.size, found.size)
            documents.expect(layer.location, "digest", layer.digest, found.digest)
        if found.diff_id:
            documents.expect(layer.location, "diff_id", layer.diff_id, found.diff_id)
        size += found.size
        documents.problems += [f"{layer.location}: {text}" for text in found.problems]
        documents.notes += [f"{layer.location}: {text}" for text in found.notes]
        if layer.is_ours and found.removed:
            documents.add_problem(layer.location, f"a whiteout deletes {min(found.removed)}; layers that shipwheel makes have none")
        if image.is_complete:
            _stack(documents, layer.location, found, directories, links)
    unpacked = sum(facts[layer.digest, layer.compression].unpacked_size for layer in image.layers)
    if unpacked > limit:
        documents.add_problem(image.location, f"unpacks to more than {limit} bytes")
    entries = sum(facts[layer.digest, layer.compression].entries for layer in image.layers)
    return ImageReport(image.name, image.platform, image.digest, size, unpacked, len(image.layers), entries)


def _stack(documents: Documents, location: str, facts: LayerFacts, directories: set[str], links: set[str]) -> None:
    """Check a layer against the directories and symbolic links of the layers below, and update both sets."""
    for parent, path in sorted(facts.orphans.items()):
        if parent in links:
            documents.add_problem(location, f"{path} is below {parent}, which is a symbolic link in a layer below")
        elif parent not in directories:
            documents.add_problem(location, f"{path}: its parent {parent} is in no layer")
    for path in sorted(facts.directories & links):
        documents.notes.append(f"{location}: the directory {path} replaces a symbolic link of a layer below")
    if facts.removed:
        # Only then, because most layers remove nothing, and this goes through all layers below.
        removed_trees = tuple(f"{path.rstrip('/')}/" for path in facts.removed)
        for paths in (directories, links):
            paths.difference_update([path for path in paths if path in facts.removed or path.startswith(removed_trees)])
    links.difference_update(facts.directories)
    links.update(facts.symlinks)
    directories.difference_update(facts.symlinks)
    directories.update(facts.directories)
