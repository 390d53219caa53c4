"""Which source goes into which layer. Pure: the same sources give the same layers, whatever the order they came in.

Order: base, large wheels a layer each, the others in buckets by name, generated files, the project last. A bucket is chosen by
the name's hash, so that adding a distribution moves none of the others.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from shipwheel.files.entry import Source
from shipwheel.oci.layer import LayerSpec

__all__ = ["BUCKETS", "LARGE", "LAYER_BUDGET", "Weighed", "wheel_layers"]

LARGE = 1 << 20
"""A wheel of at least this many bytes has a layer of its own."""

BUCKETS = 8
LAYER_BUDGET = 40
"""Layers of ours in an image, unless the user says otherwise; 127 is what engines take."""


class Weighed(msgspec.Struct, frozen=True):
    """A distribution's source with its canonical name and its size in bytes, as the lock states it."""

    name: str
    size: int
    source: Source


def wheel_layers(wheels: Sequence[Weighed], budget: int) -> tuple[LayerSpec, ...]:
    """The layers of all wheels, at most `budget` of them (and no fewer than one)."""
    buckets = min(BUCKETS, max(1, budget - 1))
    large = sorted((wheel for wheel in wheels if wheel.size >= LARGE), key=lambda wheel: (-wheel.size, wheel.name))
    alone = sorted(large[: max(0, budget - buckets)], key=lambda wheel: wheel.name)
    names = {wheel.name for wheel in alone}
    grouped: dict[int, list[Weighed]] = {}
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        if wheel.name not in names:
            grouped.setdefault(_bucket(wheel.name, buckets), []).append(wheel)
    return (
        *(LayerSpec(wheel.source.label, (wheel.source,)) for wheel in alone),
        *(LayerSpec(_named(group), tuple(wheel.source for wheel in group)) for _, group in sorted(grouped.items())),
    )


def _bucket(name: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % buckets


def _named(group: Sequence[Weighed]) -> str:
    first = group[0].source.label
    return first if len(group) == 1 else f"{first} and {len(group) - 1} more"
