"""The selections of earlier builds, kept in the store: a build of an unchanged lock imports nothing that parses packages and markers."""

import hashlib
from collections.abc import Sequence

import msgspec

from shipwheel.locking.pylock import Lock
from shipwheel.locking.selection import Selection, select_all
from shipwheel.locking.target import Target
from shipwheel.store.store import Store

__all__ = ["kept_selections"]

RULES_VERSION = "1"
_RECORD = "selections"


def kept_selections(lock: Lock, targets: Sequence[Target], store: Store) -> tuple[Selection, ...]:
    """Return the distributions for each target, as `select_all` does, which is called if they are not kept. Raise what it raises."""
    key = _key(lock, targets)
    kept = store.get_as(_RECORD, key, tuple[Selection, ...])
    if kept is not None:
        return kept
    selections = select_all(lock, targets)
    # A path is of one directory on this machine; the key names none.
    if all(item.path is None for selection in selections for item in selection.distributions):
        store.put(_RECORD, key, msgspec.json.encode(selections))
    return selections


def _key(lock: Lock, targets: Sequence[Target]) -> str:
    from packaging import __version__ as parser_version

    facts = (RULES_VERSION, parser_version, targets, lock.data)
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()
