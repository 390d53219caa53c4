"""The image that a tag stands for now, and its use to the next build: layers by their keys, proofs, and metadata of segments."""

import re
from collections.abc import Iterable, Iterator
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
    from shipwheel.registry.pull import RemoteDocuments
    from shipwheel.registry.repository import Repository

__all__ = ["ImageMetadata", "PreviousImage", "read_previous_image"]

_MAX_ARTIFACTS = 16
"""Metadata artifacts that are read for one image: each machine that pushes the same image adds one."""

_ABSENT = (403, 404)
"""Statuses for what does not exist, or may not be read."""

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

    @classmethod
    def of(cls, artifacts: Iterable[Manifest]) -> "ImageMetadata":
        """Return what artifacts name."""
        layers = [layer for manifest in artifacts for layer in manifest.layers]
        segments = {layer.annotations[ANNOTATION_KEY]: layer for layer in layers if ANNOTATION_KEY in layer.annotations}
        return cls(segments, tuple(layer for layer in layers if layer.media_type == MEDIA_TYPE_BUILDS))


class PreviousImage(msgspec.Struct, frozen=True):
    """An image index in a repository; empty when there is none.

    Attributes:
        tagged: the digest that the requested tag stands for; None for a new tag, whose image is that of another one.
        blobs: the digests of its layers and configs, which the repository therefore has.
        proofs: maps the key of each proof to what the image needs from its base image, or None if the image does not record that.
        warnings: what could not be used.
    """

    digest: Digest | None = None
    tagged: Digest | None = None
    blobs: frozenset[str] = frozenset()
    proofs: dict[str, BaseRequirements | None] = {}
    warnings: tuple[Warned, ...] = ()
    repository: "Repository | None" = None
    documents: "RemoteDocuments | None" = None

    def read_layers(self, reporter: Reporter) -> dict[str, tuple[Descriptor, Digest]]:
        """Read the configs, and return the layers' descriptors and diff_ids by their keys; none, with a warning, if that fails.

        Raises FetchError.
        """
        from shipwheel.registry.pull import images_of

        if self.repository is None or self.documents is None:
            return {}
        try:
            images = images_of(self.repository, self.documents)
        except FetchError as error:
            if error.status in _ABSENT:
                return {}
            raise
        except ImageError as error:
            reporter(_unusable(self.repository, self.documents.root.descriptor.digest, error))
            return {}
        keyed = ((layer.descriptor.annotations.get(ANNOTATION_KEY, ""), layer) for image in images for layer in image.layers)
        return {key: (layer.descriptor, layer.diff_id) for key, layer in keyed if key}

    def read_metadata(self, reporter: Reporter) -> ImageMetadata:
        """Read the manifests of the metadata attached to the image; those that cannot be read are left out with a warning.

        Raises IntegrityError.
        """
        return ImageMetadata.of(self._artifacts(reporter))

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


def read_previous_image(repository: "Repository", tag: str) -> PreviousImage:
    """Read the manifests of the image that the tag stands for; for a new tag, those of another tag that probably came before it.

    Empty when there is no image, or, with a warning, when the tag stands for something else. Raises FetchError.
    """
    warnings: list[Warned] = []
    found = _documents(repository, tag, warnings)
    tagged = None if found is None else found.root.descriptor.digest
    if found is None and (earlier := _earlier_tag(repository)) is not None:
        found = _documents(repository, earlier, warnings)
    if found is None:
        return PreviousImage(warnings=tuple(warnings))
    proofs: dict[str, BaseRequirements | None] = {}
    blobs: set[str] = set()
    for document, _ in found.manifests:
        try:
            manifest = decode(document.data, Manifest, repository.label(document.descriptor.digest))
        except ImageError as error:
            warnings.append(_unusable(repository, tag, error))
            continue
        info = read_rebase_info(manifest.annotations)
        if ANNOTATION_PROOF in manifest.annotations:
            proofs[manifest.annotations[ANNOTATION_PROOF]] = info.needs if info is not None else None
        blobs.update((manifest.config.digest, *(layer.digest for layer in manifest.layers)))
    return PreviousImage(found.root.descriptor.digest, tagged, frozenset(blobs), proofs, tuple(warnings), repository, found)


def _documents(repository: "Repository", tag: str, warnings: list[Warned]) -> "RemoteDocuments | None":
    from shipwheel.registry.pull import remote_documents

    try:
        return remote_documents(repository, tag)
    except FetchError as error:
        if error.status in _ABSENT:
            return None
        raise
    except ImageError as error:
        warnings.append(_unusable(repository, tag, error))
        return None


def _unusable(repository: "Repository", reference: str, error: ImageError) -> Warned:
    return Warned(f"what {repository.label(reference)} stands for now cannot be used: {error.message}")


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
