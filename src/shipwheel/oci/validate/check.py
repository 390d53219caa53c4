"""Checks an image layout or archive: every digest, size, diff_id, media type and platform is computed again.

image-spec 1.1. Shares no code with what writes images (JSON, tar and gzip are the standard library's), reads in one stream a
layer, several layers side by side, and collects every problem before it raises.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shipwheel.errors import ImageError
from shipwheel.oci.read.image_files import ImageFiles, open_image
from shipwheel.oci.read.layer_stream import MAX_UNPACKED
from shipwheel.oci.validate.documents import Documents, ImageUse, LayerUse, digest_of_file
from shipwheel.oci.validate.layers import CHECK_VERSION, LayerFacts, check_layer
from shipwheel.store import Store

__all__ = ["ImageReport", "Report", "validate", "validate_files"]

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class ImageReport:
    """One image that was checked. Sizes in bytes; `size` counts manifest, config and layers as they are transferred."""

    name: str
    platform: str
    digest: str
    size: int
    unpacked_size: int
    layers: int
    entries: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was found sound. `notes` are what is odd and not wrong."""

    path: Path
    images: tuple[ImageReport, ...]
    notes: tuple[str, ...] = ()


def validate(path: Path, *, store: Store | None = None, workers: int | None = None, limit: int = MAX_UNPACKED) -> Report:
    """Checks a layout's directory or an archive; raises ImageError that lists every problem, each with both values.

    With a store, what is known of a layer's bytes is kept under their digest, which is computed anew every time: a layer that
    was checked once is only hashed. `limit` is the most bytes that a layer may unpack to.
    """
    try:
        return validate_files(open_image(path), store=store, workers=workers, limit=limit)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}", hint="Make or copy the image again.") from error


def validate_files(
    opened: ImageFiles, *, store: Store | None = None, workers: int | None = None, limit: int = MAX_UNPACKED, anew: bool = True
) -> Report:
    """As `validate`, for files that are somewhere. With `anew` false, what is known of a layer is believed without hashing its bytes:
    for layers that are hashed anyway where they go."""
    path = opened.path
    documents = Documents(opened)
    documents.read()
    facts = _read_layers(documents.images, store, workers or min(8, os.cpu_count() or 1), limit, anew)
    reports = tuple(_together(documents, image, facts) for image in documents.images)
    if documents.problems:
        raise _listing(path, documents.problems)
    return Report(path, reports, tuple(documents.notes))


validate = validate
validate = validate


def _listing(path: Path, problems: Sequence[str]) -> ImageError:
    lines = [*problems[:_SHOWN], *([f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else [])]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ImageError(
        "\n  - ".join([f"{path} has {count}:", *lines]), hint="Make the image again, or copy it again from where it is sound."
    )


_Facts = Mapping[tuple[str, str | None], LayerFacts]


def _read_layers(images: Sequence[ImageUse], store: Store | None, workers: int, limit: int, anew: bool) -> _Facts:
    uses = {(use.digest, use.compression): use for image in images for use in image.layers}
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(uses, pool.map(lambda use: _facts(use, store, limit, anew), uses.values()), strict=True))


def _facts(use: LayerUse, store: Store | None, limit: int, anew: bool) -> LayerFacts:
    if store is None or not use.stated:
        return _check(use, limit)
    key = hashlib.sha256("\0".join((CHECK_VERSION, use.digest, str(use.compression))).encode()).hexdigest()
    record = store.get("layer-facts", key)
    if record is not None and (not anew or digest_of_file(use.file, use.digest.partition(":")[0]) == use.digest):
        try:
            return msgspec.json.decode(record, type=LayerFacts)
        except msgspec.MsgspecError:
            pass  # written by another version: checked anew
    facts = _check(use, limit)
    if not facts.problems and facts.digest == use.digest:
        store.put("layer-facts", key, msgspec.json.encode(facts))
    return facts


def _check(use: LayerUse, limit: int) -> LayerFacts:
    algorithm = use.digest.partition(":")[0] if use.stated else "sha256"
    with use.file.open() as stream:
        return check_layer(stream, use.file.size, algorithm, use.compression, limit)


def _together(documents: Documents, image: ImageUse, facts: _Facts) -> ImageReport:
    """Compares layers with what manifest and config state, and with the layers below them."""
    below: set[str] = set()
    links: set[str] = set()
    size = image.size
    for use in image.layers:
        found = facts[use.digest, use.compression]
        if use.stated:
            documents.expect(use.place, "size", use.size, found.size)
            documents.expect(use.place, "digest", use.digest, found.digest)
        if found.diff_id:
            documents.expect(use.place, "diff_id", use.diff_id, found.diff_id)
        size += found.size
        documents.problems += [f"{use.place}: {text}" for text in found.problems]
        documents.notes += [f"{use.place}: {text}" for text in found.notes]
        if image.whole:
            _stack(documents, use.place, found, below, links)
    unpacked = sum(facts[use.digest, use.compression].unpacked_size for use in image.layers)
    entries = sum(facts[use.digest, use.compression].entries for use in image.layers)
    return ImageReport(image.name, image.platform, image.digest, size, unpacked, len(image.layers), entries)


def _stack(documents: Documents, place: str, facts: LayerFacts, below: set[str], links: set[str]) -> None:
    """Puts a layer upon the directories and symbolic links `below`, which are brought up to date."""
    for parent, path in sorted(facts.orphans.items()):
        if parent in links:
            documents.bad(place, f"{path} is below {parent}, which is a symbolic link in a layer below")
        elif parent not in below:
            documents.bad(place, f"{path}: its parent {parent} is in no layer")
    for path in sorted(facts.directories & links):
        documents.notes.append(f"{place}: the directory {path} replaces a symbolic link of a layer below")
    trees = tuple(f"{path.rstrip('/')}/" for path in facts.removed)
    for known in (below, links):
        known.difference_update([path for path in known if path in facts.removed or (trees and path.startswith(trees))])
    links.difference_update(facts.directories)
    links.update(facts.symlinks)
    below.difference_update(facts.symlinks)
    below.update(facts.directories)
