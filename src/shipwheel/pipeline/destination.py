"""The destination of a build's layers, as the pipeline sees it."""

from collections.abc import Sequence
from typing import Protocol

from shipwheel.base.base_requirements import BaseRequirements
from shipwheel.oci.layer import Layer, LayerSpec

__all__ = ["Destination"]


class Destination(Protocol):
    """A place that may have layers already, and that takes each new layer as soon as it is finished. Any thread may call it."""

    def check_permission(self) -> None:
        """Raise FetchError if the destination would refuse the layers. Called before anything is fetched, made or run."""

    def find_layers(self, specs: Sequence[LayerSpec]) -> dict[str, Layer]:
        """Return the layers that the destination has, by key. Nothing later in the build needs their bytes."""

    def read_metadata(self, specs: Sequence[LayerSpec]) -> None:
        """Bring the metadata of these layers' segments into the store, as far as the destination has them."""

    def read_builds(self) -> bool:
        """Bring the records of wheels built from sources into the store. Return whether the destination has any."""

    def is_proved(self, key: str) -> bool:
        """Return whether an image at the destination was proved under that key."""

    def base_requirements(self, key: str) -> BaseRequirements | None:
        """Return what the image that was proved under that key needs from its base image; None if the destination does not know."""

    def layer_ready(self, layer: Layer) -> None:
        """Take a layer that is finished, or that was found in the store while others were made."""
