"""The image that a tag stands for now, and its use to the next build: layers by their keys, proofs, and metadata of segments."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.base_requirements import BaseRequirements
from shipwheel.digest import Digest
from shipwheel.errors import FetchError, ImageError, IntegrityError
from shipwheel.events import Reporter, Warned
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.layer import ANNOTATION_KEY
from shipwheel.oci.model import Descriptor, Manifest, decode
from shipwheel.pipeline.compose import ANNOTATION_PROOF
from shipwheel.pipeline.rebase_info import read_rebase_info
from shipwheel.pipeline.segment_metadata import ARTIFACT_TYPE, MEDIA_TYPE_BUILDS

if TYPE_CHECKING:
    from shipwheel.registry.pull import RemoteImages
    from shipwheel.registry.repository import Repository

__all__ = ["ImageMetadata", "PreviousImage", "read_previous_image"]

_MAX_ARTIFACTS = 16
"""Metadata artifacts that are read for one image: each machine that pushes the same image adds one."""

_MOVING_TAGS = ("latest", "main", "master", "edge", "dev")
_MAX_TAGS = 1000
_NOT_IMAGES = lazy_pattern(r"sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64}|layer-[0-9a-f]{64}")
"""Tags of referrers lists and of cached layers."""


class ImageMetadata(msgspec.Struct, frozen=True):
    """Descriptors of the metadata attached to an image.

    `segments` maps a layer's key to what is in the layer; `builds` are records of wheels built from sources.
    """

    segments: dict[str, Descriptor] = {}
    builds: tuple[Descriptor, ...] = ()


class PreviousImage(msgspec.Struct, frozen=True):
    """An image index in a repository; empty when there is none.

    `layers` maps keys to descriptors and diff_ids. `proofs` maps the key of each proof to what the image needs from its base image, or
    None if the image does not record that.
    """

    digest: Digest | None = None
    layers: dict[str, tuple[Descriptor, Digest]] = {}
    proofs: dict[str, BaseRequirements | None] = {}
    repository: "Repository | None" = None

    def read_metadata(self, reporter: Reporter) -> ImageMetadata:
        """Read the manifests of the metadata attached to the image; those that cannot be read are left out with a warning.

        Raises IntegrityError.
        """
        segments: dict[str, Descriptor] = {}
        builds: list[Descriptor] = []
        for manifest in self._artifacts(reporter):
            segments |= {layer.annotations[ANNOTATION_KEY]: layer for layer in manifest.layers if ANNOTATION_KEY in layer.annotations}
            builds += [layer for layer in manifest.layers if layer.media_type == MEDIA_TYPE_BUILDS]
        return ImageMetadata(segments, tuple(builds))

    def _artifacts(self, reporter: Reporter) -> Iterator[Manifest]:
        from shipwheel.registry.referrers import list_referrers

        if self.repository is None or self.digest is None:
            return
        try:
            entries = list_referrers(self.repository, self.digest, ARTIFACT_TYPE)[-_MAX_ARTIFACTS:]
        except (FetchError, ImageError) as error:
            if isinstance(error, IntegrityError):
                raise
            reporter(Warned(f"the metadata attached to the image cannot be used: {error.message}"))
            return
        for entry in entries:
            try:
                # The list may still name an artifact that was deleted.
                if (document := self.repository.find_manifest(entry.digest)) is not None:
                    yield decode(document.data, Manifest, entry.digest)
            except (FetchError, ImageError) as error:
                if isinstance(error, IntegrityError):
                    raise
                reporter(Warned(f"metadata attached to the image cannot be used: {error.message}"))


def read_previous_image(repository: "Repository", tag: str, reporter: Reporter) -> PreviousImage:
    """Read the image that the tag stands for; for a new tag, the image of another tag that probably came before it.

    Empty when there is no image, or, with a warning, when the tag stands for something else. Raises FetchError.
    """
    found = _images(repository, tag, reporter)
    if found is None and (earlier := _earlier_tag(repository)) is not None:
        found = _images(repository, earlier, reporter)
    if found is None:
        return PreviousImage()
    layers: dict[str, tuple[Descriptor, Digest]] = {}
    proofs: dict[str, BaseRequirements | None] = {}
    for image in found.images:
        annotations = decode(image.manifest, Manifest, image.digest).annotations
        info = read_rebase_info(annotations)
        if ANNOTATION_PROOF in annotations:
            proofs[annotations[ANNOTATION_PROOF]] = info.needs if info is not None else None
        keyed = {layer.descriptor.annotations.get(ANNOTATION_KEY, ""): layer for layer in image.layers}
        layers |= {key: (layer.descriptor, layer.diff_id) for key, layer in keyed.items() if key}
    return PreviousImage(found.digest, layers, proofs, repository)


def _images(repository: "Repository", tag: str, reporter: Reporter) -> "RemoteImages | None":
    from shipwheel.registry.pull import remote_images

    try:
        return remote_images(repository, tag)
    except FetchError as error:
        if error.status in (403, 404):
            return None
        raise
    except ImageError as error:
        reporter(Warned(f"what {repository.name}:{tag} stands for now cannot be used: {error.message}"))
        return None


def _earlier_tag(repository: "Repository") -> str | None:
    """Return a tag that moves by its name, else the greatest one, with numbers compared as numbers."""
    try:
        tags = [tag for tag in islice(repository.tags(), _MAX_TAGS) if not _NOT_IMAGES.match(tag)]
    except FetchError:
        return None  # permission to push does not imply permission to list
    moving = [tag for tag in _MOVING_TAGS if tag in tags]
    return moving[0] if moving else max(tags, key=_version_order, default=None)


def _version_order(tag: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which v1.10 is greater than v1.9."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.findall(r"[0-9]+|[^0-9]+", tag)]
