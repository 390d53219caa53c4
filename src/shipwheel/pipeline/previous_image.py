"""What the image that has a tag now brings to the next one: layers by their keys, proofs, and what is known of segments."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.base_requirements import Needs
from shipwheel.errors import FetchError, ImageError
from shipwheel.events import Reporter, Warned
from shipwheel.oci.layer import ANNOTATION_KEY
from shipwheel.oci.model import Descriptor, Manifest, decode
from shipwheel.pipeline.compose import ANNOTATION_PROOF
from shipwheel.pipeline.rebase_info import read_upon
from shipwheel.pipeline.segment_metadata import ARTIFACT_TYPE, MEDIA_TYPE_BUILDS

if TYPE_CHECKING:
    from shipwheel.registry.pull import RemoteImages
    from shipwheel.registry.repository import Repository

__all__ = ["Beside", "There", "there"]

_MOST_ARTIFACTS = 16
"""Records of one image that are read: each machine that pushes the same image adds one at most."""


_MOVING = ("latest", "main", "master", "edge", "dev")
_MOST_TAGS = 1000
_LISTS = re.compile(r"sha256-[0-9a-f]{64}|sha512-[0-9a-f]{64}|layer-[0-9a-f]{64}")


class Beside(msgspec.Struct, frozen=True):
    """`records` describe what is known of layers' segments, by the layer's key; `builds` what came out of builds."""

    records: dict[str, Descriptor] = {}
    builds: tuple[Descriptor, ...] = ()


class There(msgspec.Struct, frozen=True):
    """`layers` are by key, each with its diff_id.

    `proofs` are the keys of what was proved, each with what the image needs of the one that it lies upon, where that is said.
    """

    digest: str = ""
    layers: dict[str, tuple[Descriptor, str]] = {}
    proofs: dict[str, Needs | None] = {}
    repository: "Repository | None" = None

    def beside(self, reporter: Reporter) -> "Beside":
        """What was put beside the image; asked anew each time. What is damaged is left out, and said. Raises FetchError."""
        records: dict[str, Descriptor] = {}
        builds: list[Descriptor] = []
        for manifest in self._artifacts(reporter):
            records |= {one.annotations[ANNOTATION_KEY]: one for one in manifest.layers if ANNOTATION_KEY in one.annotations}
            builds += [one for one in manifest.layers if one.media_type == MEDIA_TYPE_BUILDS]
        return Beside(records, tuple(builds))

    def _artifacts(self, reporter: Reporter) -> Iterator[Manifest]:
        if self.repository is None:
            return
        try:
            entries = self.repository.referrers(self.digest, ARTIFACT_TYPE)[-_MOST_ARTIFACTS:]
        except ImageError as error:
            reporter(Warned(f"what is beside the image is of no use: {error.message}"))
            return
        for entry in entries:
            try:
                # A list of referrers may still have one that was deleted.
                if (found := self.repository.find_manifest(entry.digest)) is not None:
                    yield decode(found.data, Manifest, entry.digest)
            except ImageError as error:
                reporter(Warned(f"a record beside the image is of no use: {error.message}"))


def there(repository: "Repository", tag: str, reporter: Reporter) -> There:
    """What the tag stands for, or, while it is new, another tag that is likely to be the one before it.

    Nothing when there is none, or something that is no image, which is said. Raises FetchError.
    """
    found = _images(repository, tag, reporter)
    if found is None and (before := _before(repository)) is not None:
        found = _images(repository, before, reporter)
    if found is None:
        return There()
    layers: dict[str, tuple[Descriptor, str]] = {}
    proofs: dict[str, Needs | None] = {}
    for image in found.images:
        annotations = decode(image.manifest, Manifest, image.digest).annotations
        upon = read_upon(annotations)
        if ANNOTATION_PROOF in annotations:
            proofs[annotations[ANNOTATION_PROOF]] = upon.needs if upon is not None else None
        keyed = {layer.descriptor.annotations.get(ANNOTATION_KEY, ""): layer for layer in image.layers}
        layers |= {key: (layer.descriptor, layer.diff_id) for key, layer in keyed.items() if key}
    return There(found.digest, layers, proofs, repository)


def _images(repository: "Repository", tag: str, reporter: Reporter) -> "RemoteImages | None":
    from shipwheel.registry.pull import remote_images

    try:
        return remote_images(repository, tag)
    except FetchError as error:
        if error.status == 404:
            return None
        raise
    except ImageError as error:
        reporter(Warned(f"what {repository.name}:{tag} stands for now is of no use: {error.message}"))
        return None


def _before(repository: "Repository") -> str | None:
    """A tag to begin from: one that moves by its name, else the greatest, numbers counted as such. Lists of referrers are none."""
    try:
        tags = [tag for tag in islice(repository.tags(), _MOST_TAGS) if not _LISTS.match(tag)]
    except FetchError:
        return None  # who may push need not be allowed to list
    moving = [tag for tag in _MOVING if tag in tags]
    return moving[0] if moving else max(tags, key=_numbers, default=None)


def _numbers(tag: str) -> list[tuple[int, int, str]]:
    """A key by which v1.10 is greater than v1.9."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.findall(r"[0-9]+|[^0-9]+", tag)]
