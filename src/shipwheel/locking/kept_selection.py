"""Locks as parsed, and selections, of earlier builds, kept in the store: a build of an unchanged lock parses none of it again."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import StoreError
from shipwheel.locking.pylock import Lock, parsed, read_lock
from shipwheel.locking.selection import Selection, select_all
from shipwheel.locking.target import Target
from shipwheel.store.store import Store

__all__ = ["kept_selections", "read_kept_lock"]

RULES_VERSION = "1"
_RECORD = "selections"
_LOCK_RECORD = "locks"
_WITHOUT_EFFECT = ("base", "builder", "compilers", "imports")
"""Tables of a lock that are written after its first selection, or change without it."""


def read_kept_lock(path: Path, store: Store) -> Lock | None:
    """Return the lock in a file, as `read_lock` does. Raise LockError for a damaged one."""
    return read_lock(path, partial(_parsed, store))


def _parsed(store: Store, text: str) -> Mapping[str, Any]:
    key = hashlib.sha256(text.encode()).hexdigest()
    with suppress(msgspec.MsgspecError):
        if (record := store.get(_LOCK_RECORD, key)) is not None:
            return msgspec.msgpack.decode(record, type=dict[str, Any])
    data = parsed(text)
    # Some values of TOML have no form of their own there, as times without a day, or of another zone.
    with suppress(OverflowError, TypeError, msgspec.MsgspecError):
        if repr(msgspec.msgpack.decode(record := msgspec.msgpack.encode(data))) == repr(data):
            _keep(store, _LOCK_RECORD, key, record)
    return data


def _keep(store: Store, kind: str, key: str, record: bytes) -> None:
    # Nothing depends on it: a store that cannot be written, or is full, serves to plan and to check a lock.
    with suppress(StoreError):
        store.put(kind, key, record)


def kept_selections(lock: Lock, targets: Sequence[Target], store: Store) -> tuple[Selection, ...]:
    """Return the distributions for each target, as `select_all` does, which is called if they are not kept. Raise what it raises."""
    key = _key(lock, targets)
    kept = store.get_as(_RECORD, key, tuple[Selection, ...])
    if kept is not None:
        return kept
    selections = select_all(lock, targets)
    # A path is of one directory on this machine; the key names none.
    if all(item.path is None for selection in selections for item in selection.distributions):
        _keep(store, _RECORD, key, msgspec.json.encode(selections))
    return selections


def _key(lock: Lock, targets: Sequence[Target]) -> str:
    from packaging import __version__ as parser_version

    tools = lock.data.get("tool", {})
    own = {name: value for name, value in tools.get("shipwheel", {}).items() if name not in _WITHOUT_EFFECT}
    facts = (RULES_VERSION, parser_version, targets, {**lock.data, "tool": {**tools, "shipwheel": own}})
    return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()
