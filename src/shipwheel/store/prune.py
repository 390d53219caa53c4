"""Remove from a store what was not used lately, what exceeds a size, or everything.

Any number of builds may run beside it: what they may have found is kept, see `sessions`. Whatever is removed is made or downloaded
again when a build needs it, even by one that has found it in the instant before. So an interruption at any place leaves a sound store.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from shipwheel.store.contents import (
    BUILD_LOGS,
    BUILD_PACKAGES,
    BUILDERS,
    BYTECODE,
    IMAGES,
    INTERPRETERS,
    LAYER_FILES,
    Kind,
    StoredItem,
    stored_items,
)
from shipwheel.store.directory_cache import DirectoryCache
from shipwheel.store.sessions import exclusive, used_since

__all__ = ["Pruned", "clean", "prune"]

_BATCH = 256
"""Builds that begin wait while so many items are removed."""

_FOLDERS = ("blobs", "records", "partial", "tmp", "sessions", IMAGES, LAYER_FILES, INTERPRETERS, BUILDERS, BUILD_PACKAGES, BUILD_LOGS)


class Pruned(msgspec.Struct):
    """The items that were removed, those that stay because they may be in use, the system's refusals, and the bytes that are left."""

    left: int
    removed: list[StoredItem] = msgspec.field(default_factory=list)
    in_use: list[StoredItem] = msgspec.field(default_factory=list)
    failures: list[OSError] = msgspec.field(default_factory=list)


def prune(root: Path, *, older_than: float | None = None, max_size: int | None = None, dry_run: bool = False) -> Pruned:
    """Remove what was last used more than `older_than` seconds ago, and the least recently used until `max_size` bytes are left.

    Raise OSError if the store cannot be read.
    """
    oldest = -1.0 if older_than is None else time.time() - older_than
    return _remove(root, lambda item, total: item.used < oldest or (max_size is not None and total > max_size), dry_run=dry_run)


def clean(root: Path, *, dry_run: bool = False) -> Pruned:
    """Remove everything that is in the store. Raise OSError if it cannot be read."""
    pruned = _remove(root, lambda _item, _total: True, dry_run=dry_run)
    if root.is_dir() and not dry_run:
        with exclusive(root):
            # A build that runs writes into them.
            if used_since(root) is None:
                _remove_empty_folders(root)
    return pruned


def _remove(root: Path, is_selected: Callable[[StoredItem, int], bool], *, dry_run: bool) -> Pruned:
    """Remove the selected items. Once one is not selected, none that was used later is."""
    items = sorted(stored_items(root), key=lambda item: (not item.leftover, item.used))
    pruned = Pruned(sum(item.size for item in items))
    for batch in _batches(items):
        with exclusive(root):
            since = used_since(root)
            for item in batch:
                if not item.leftover and not is_selected(item, pruned.left):
                    return pruned
                _remove_unless_used(item, since, pruned, dry_run=dry_run)
    return pruned


def _batches(items: list[StoredItem]) -> Iterator[list[StoredItem]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _remove_unless_used(item: StoredItem, since: float | None, pruned: Pruned, *, dry_run: bool) -> None:
    try:
        if not item.leftover and since is not None and item.path.lstat().st_mtime >= since:
            pruned.in_use.append(item)
        elif dry_run or _is_removed(item):
            pruned.removed.append(item)
            pruned.left -= item.size
        else:
            pruned.in_use.append(item)
    except FileNotFoundError:
        # Another process has removed it.
        pruned.left -= item.size
    except OSError as error:
        pruned.failures.append(error)


def _is_removed(item: StoredItem) -> bool:
    """Remove an item. Return False if a process has locked it."""
    match item.kind:
        case Kind.IMAGES | Kind.LAYER_FILES | Kind.INTERPRETERS | Kind.BUILDERS | Kind.BUILD_PACKAGES:
            return DirectoryCache(item.path.parent).remove(item.path.name)
        case Kind.BYTECODE:
            # The log first: a new database beside an old log would be damaged.
            for suffix in ("-wal", "-shm"):
                item.path.with_name(f"{BYTECODE}{suffix}").unlink(missing_ok=True)
    item.path.unlink()
    return True


def _remove_empty_folders(root: Path) -> None:
    for name in _FOLDERS:
        if not (root / name).is_symlink():
            for folder, _, _ in os.walk(root / name, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()
