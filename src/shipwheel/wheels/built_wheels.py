"""The store's records of wheels that were built from source."""

from typing import Annotated

import msgspec

from shipwheel.digest import Digest
from shipwheel.store.store import Store

__all__ = ["BUILT_RECORD", "BuiltWheel", "find_built_wheel", "record_built_wheel", "record_remote_wheel"]

BUILT_RECORD = "built"
"""The kind of the store's records of wheels that were built here."""
_BUILT_ELSEWHERE = "built-elsewhere"
_Bound = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,99}<\d{1,9}\Z")]
"""A constraint: records come from registries and bundles, and this goes to uv."""


class BuiltWheel(msgspec.Struct, frozen=True):
    """A wheel that was built from source. Its filename has name, version and tags; `size` in bytes."""

    filename: str
    digest: Digest
    size: int
    key: str = ""
    """A hash over everything that determines the wheel."""
    left_out: tuple[str, ...] = ()
    """Secrets among the files that the build backend put into it: the wheel is without them."""
    unpackaged: tuple[str, ...] = ()
    """Data files of the user's own packages that the build backend left out, by their paths in a wheel."""
    files: tuple[str, ...] = ()
    """All files of a wheel that lacks data files, by their paths in it; none if something in it wants an installed package."""
    bounds: tuple[_Bound, ...] = ()
    """Constraints for packages of the image by whose headers it was compiled: "numpy<2"."""


def find_built_wheel(key: str, store: Store, *, need_bytes: bool) -> BuiltWheel | None:
    """Return the wheel that was built under a key.

    With `need_bytes`, only a wheel that was built here and whose bytes the store has; else also one that another machine built.
    """
    wheel = store.get_as(BUILT_RECORD, key, BuiltWheel) or (None if need_bytes else store.get_as(_BUILT_ELSEWHERE, key, BuiltWheel))
    if wheel is None or (need_bytes and not store.has(wheel.digest)):
        return None
    return msgspec.structs.replace(wheel, key=key)


def record_built_wheel(wheel: BuiltWheel, store: Store) -> None:
    """Record a wheel that was built here and is in the store."""
    store.put(BUILT_RECORD, wheel.key, msgspec.json.encode(wheel))


def record_remote_wheel(wheel: BuiltWheel, store: Store) -> None:
    """Record what another machine built; its digest never stands for bytes in this store."""
    store.put(_BUILT_ELSEWHERE, wheel.key, msgspec.json.encode(wheel))
