"""The outcome of a push."""

from typing import TYPE_CHECKING

import msgspec

from shipwheel.digest import Digest

if TYPE_CHECKING:
    from shipwheel.registry.push import Traffic

__all__ = ["Published"]


class Published(msgspec.Struct, frozen=True):
    """A finished push. `name` is registry/repository, `traffic` counts the bytes sent, `read` the bytes read from registries."""

    name: str
    tags: tuple[str, ...]
    digest: Digest
    traffic: "Traffic"
    read: int
