"""A standing limit for the size of the cache, kept by every command that has written to it."""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from shipwheel.cli.amounts import parse_size
from shipwheel.cli.command import on_interruption

if TYPE_CHECKING:
    from shipwheel.store.store import Store

__all__ = ["LIMIT", "cache_limit", "keep_limit", "limited_store", "use_store"]

LIMIT = "SHIPWHEEL_CACHE_LIMIT"


def cache_limit(text: str | None = None, name: str = LIMIT) -> int | None:
    """Return a limit in bytes, by default that of the environment; None if there is none. Raise UsageError if it is not a size."""
    text = os.environ.get(LIMIT) if text is None else text
    return parse_size(text, name) if text else None


def limited_store() -> "Store":
    """Return the user's store for a command that takes no request. Raise UsageError if its limit is not a size."""
    from shipwheel.store.store import Store, default_root

    limit = cache_limit()
    store = Store(default_root())
    use_store(store, limit)
    return store


def use_store(store: "Store", limit: int | None) -> None:
    """Let Ctrl-C close a store, and keep the limit at the end of the command."""
    on_interruption(store.close)
    click.get_current_context().call_on_close(lambda: keep_limit(store, limit))


def keep_limit(store: "Store", limit: int | None) -> None:
    """Remove what exceeds the limit, except for what this command has used. One that wrote nothing does not look."""
    if limit is not None and store.has_written and not store.closed.is_set():
        from shipwheel.store.prune import prune

        # The work is done: a cache that cannot be read does not make it fail.
        with suppress(OSError):
            prune(store.root, max_size=limit)
