"""A standing limit for the size of the cache, kept by every build that has written to it."""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from shipwheel.cli.amounts import parse_size

if TYPE_CHECKING:
    from shipwheel.store import Store

__all__ = ["LIMIT", "cache_limit", "keep_limit"]

LIMIT = "SHIPWHEEL_CACHE_LIMIT"


def cache_limit(text: str | None = None, name: str = LIMIT) -> int | None:
    """Return a limit in bytes, by default that of the environment; None if there is none. Raise UsageError if it is not a size."""
    text = os.environ.get(LIMIT) if text is None else text
    return parse_size(text, name) if text else None


def keep_limit(store: "Store", limit: int | None) -> None:
    """Remove what exceeds the limit, except for what this build has used. A build that wrote nothing does not look."""
    if limit is not None and store.has_written and not store.closed.is_set():
        from shipwheel.store_prune import prune

        # The build is done: a cache that cannot be read does not make it fail.
        with suppress(OSError):
            prune(store.root, max_size=limit)
