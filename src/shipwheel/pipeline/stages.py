"""One platform of a build, from stage to stage: each stage replaces the value of the one before it."""

from collections.abc import Iterator

import msgspec

from shipwheel.base.base_requirements import BaseRequirements
from shipwheel.oci.image import ImageLayer
from shipwheel.oci.layer import LayerSpec
from shipwheel.pipeline.proof import Proof
from shipwheel.pipeline.resolve import Resolved

__all__ = ["BuiltPlatform", "Closed", "Layered", "Proved"]


class Layered(msgspec.Struct, frozen=True):
    """A platform whose layers above the base are planned."""

    resolved: Resolved
    app_layers: tuple[LayerSpec, ...]


class Closed(msgspec.Struct, frozen=True):
    """A platform whose base has every Debian package that the image's ELF files need, so that all layers are planned."""

    resolved: Resolved
    base_layers: tuple[LayerSpec, ...]
    app_layers: tuple[LayerSpec, ...]
    step_layers: tuple[LayerSpec, ...] = ()
    """The files that steps write in the image of the other layers; at most one layer."""

    @property
    def above_base(self) -> tuple[LayerSpec, ...]:
        """The layers above the base, bottom first."""
        return (*self.app_layers, *self.step_layers)

    @property
    def layers(self) -> tuple[LayerSpec, ...]:
        """Every layer of ours, bottom first."""
        return (*self.base_layers, *self.above_base)

    @property
    def parent_manifest(self) -> str:
        """The digest of the base image's manifest for this platform, empty for a composed base."""
        image = self.resolved.base.image
        return image.manifest if image is not None else ""

    @property
    def parent_layers(self) -> tuple[ImageLayer, ...]:
        """The base image's own layers."""
        parent = self.resolved.base.parent
        return parent.layers if parent is not None else ()

    def keys(self) -> Iterator[str]:
        """The keys of the layers of ours, bottom first."""
        return (spec.key for spec in self.layers)


class Proved(msgspec.Struct, frozen=True):
    """A platform whose image would start. `key` stands for everything that was proved; `needs` is what it needs from a base image."""

    closed: Closed
    proof: Proof
    key: str
    needs: BaseRequirements


class BuiltPlatform(msgspec.Struct, frozen=True):
    """A platform whose layers are finished, bottom first, the base image's included. `unpacked_size` is their total, in bytes."""

    resolved: Resolved
    layers: tuple[ImageLayer, ...]
    unpacked_size: int
    proof: Proof
    proved: str
    """The key of everything that was proved."""
    needs: BaseRequirements
