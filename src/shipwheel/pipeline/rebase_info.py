"""The record that an image keeps of its base image, so that a rebase can put it on another one: an annotation of its manifest.

The old base may have left its registry by then. And a config alone does not tell which of its values are the project's.
"""

from collections.abc import Mapping

import msgspec

from shipwheel.base.base_requirements import BaseRequirements
from shipwheel.base.model import ImageFacts
from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.digest import Digest
from shipwheel.oci.model import encode

__all__ = ["ANNOTATION_BASE_DIGEST", "ANNOTATION_BASE_NAME", "ANNOTATION_REBASE_INFO", "RebaseInfo", "read_rebase_info"]

ANNOTATION_REBASE_INFO = "io.shipwheel.upon"

# image-spec, annotations.md: pre-defined annotation keys.
ANNOTATION_BASE_NAME = "org.opencontainers.image.base.name"
ANNOTATION_BASE_DIGEST = "org.opencontainers.image.base.digest"


class RebaseInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parts of an image that come from its base image, and what the rest needs from it."""

    layers: int
    """How many of the image's layers are the base's."""
    manifest: Digest
    """The digest of the base's manifest for this platform."""
    facts: ImageFacts
    needs: BaseRequirements = BaseRequirements()
    user: str = ""
    """The user from the settings; empty for the base's or the default."""
    stop_signal: str = ""
    env: tuple[str, ...] = ()
    """Names of the project's own variables; `ports`, `volumes` and `labels` likewise."""
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Names of the Debian packages that complete the base."""
    absent: tuple[str, ...] = ()
    """The sonames that nothing provides."""
    programs: tuple[str, ...] = ()
    """The first word of everything that the image starts."""
    imports: tuple[str, ...] = ()
    """Everything but the layers that decided which imports were proved."""
    init: str = ""
    """Absolute path of the init in the layers above the base, empty without one."""

    @property
    def annotation(self) -> str:
        """The value of the annotation: canonical JSON."""
        return encode(self).decode()


def read_rebase_info(annotations: Mapping[str, str]) -> RebaseInfo | None:
    """Return what a manifest records; None when there is nothing that this version understands."""
    try:
        return decode_json(annotations.get(ANNOTATION_REBASE_INFO, ""), RebaseInfo)
    except InvalidDocument:
        return None
