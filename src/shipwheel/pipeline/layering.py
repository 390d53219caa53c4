"""How wheels are spread over layers. Pure: the same wheels give the same layers, in whatever order they come.

A large wheel has a layer of its own. The rest share buckets chosen by a hash of the name, so that adding a package moves no other.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from shipwheel.files.entry import Source
from shipwheel.oci.layer import LayerSpec

__all__ = ["BUCKETS", "LARGE", "LAYER_BUDGET", "SizedSource", "wheel_layers"]

LARGE = 1 << 20
"""Bytes from which a wheel has a layer of its own."""

BUCKETS = 8
LAYER_BUDGET = 41
"""Layers of ours in an image. Engines accept 127, the base image's included."""


class SizedSource(msgspec.Struct, frozen=True):
    """A wheel's source with its normalized name and its size in bytes, as the lock states it."""

    name: str
    size: int
    source: Source


def wheel_layers(wheels: Sequence[SizedSource], budget: int) -> tuple[LayerSpec, ...]:
    """Return the layers of all wheels: at least one, at most `budget`."""
    buckets = min(BUCKETS, max(1, budget - 1))
    large = sorted((wheel for wheel in wheels if wheel.size >= LARGE), key=lambda wheel: (-wheel.size, wheel.name))
    alone = sorted(large[: max(0, budget - buckets)], key=lambda wheel: wheel.name)
    names = {wheel.name for wheel in alone}
    grouped: dict[int, list[SizedSource]] = {}
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        if wheel.name not in names:
            grouped.setdefault(_bucket(wheel.name, buckets), []).append(wheel)
    return (
        *(LayerSpec(wheel.source.label, (wheel.source,)) for wheel in alone),
        *(LayerSpec(_named(group), tuple(wheel.source for wheel in group)) for _, group in sorted(grouped.items())),
    )


def _bucket(name: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % buckets


def _named(group: Sequence[SizedSource]) -> str:
    first = group[0].source.label
    return first if len(group) == 1 else f"{first} and {len(group) - 1} more"
