"""What an image keeps of how it came to lie upon another one, so that a rebase can lay it upon a third: an annotation of its manifest.

The old base may be gone from its registry by then, and what in a config was the project's own cannot be told from what the base said too.
"""

from collections.abc import Mapping

import msgspec

from shipwheel.base.base import ImageFacts
from shipwheel.base.base_requirements import Needs
from shipwheel.oci.model import encode

__all__ = ["ANNOTATION_BASE_DIGEST", "ANNOTATION_BASE_NAME", "ANNOTATION_UPON", "Upon", "read_upon"]

ANNOTATION_UPON = "io.shipwheel.upon"

# image-spec, annotations.md: pre-defined annotation keys.
ANNOTATION_BASE_NAME = "org.opencontainers.image.base.name"
ANNOTATION_BASE_DIGEST = "org.opencontainers.image.base.digest"


class Upon(msgspec.Struct, frozen=True, omit_defaults=True):
    """`layers` is how many of the image's layers are the base's, `manifest` the digest of its manifest for this platform; `facts` are the
    base's, `needs` what ours want of it.

    `env`, `ports`, `volumes` and `labels` are the names of what the project itself has in the config; `user` and `stop_signal` its values,
    empty where they are the base's or the defaults. `packages` are Debian's that complete the base, `absent` the sonames that nothing
    provides, `programs` the first words of all that the image starts.
    """

    layers: int
    manifest: str
    facts: ImageFacts
    needs: Needs = Needs()
    user: str = ""
    stop_signal: str = ""
    env: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    @property
    def annotation(self) -> str:
        """As the manifest holds it: canonical JSON."""
        return encode(self).decode()


def read_upon(annotations: Mapping[str, str]) -> Upon | None:
    """What a manifest says; None when it says nothing that is understood."""
    try:
        return msgspec.json.decode(annotations.get(ANNOTATION_UPON, ""), type=Upon)
    except msgspec.MsgspecError:
        return None
