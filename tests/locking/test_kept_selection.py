"""Selections that are kept in the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shipwheel.errors import LockError
from shipwheel.locking import kept_selection
from shipwheel.locking.kept_selection import kept_selections
from shipwheel.locking.no_compatible_file import NoCompatibleFile
from shipwheel.locking.pylock import Lock
from shipwheel.locking.selection import Selection, select_all
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.store.store import Store

TARGETS = [Target(Platform("linux", name), "3.11.2", (2, 36)) for name in ("amd64", "arm64")]


def lock(*packages: dict[str, Any]) -> Lock:
    tool = {"frozen": False, "origin": "requirements.txt", "roots": {}}
    data = {"lock-version": "1.0", "created-by": "shipwheel", "packages": list(packages), "tool": {"shipwheel": tool}}
    return Lock(Path("/project/pylock.toml"), data)


def package(version: str, tag: str = "py3-none-any") -> dict[str, Any]:
    name = f"six-{version}-{tag}.whl"
    return {"name": "six", "version": version, "wheels": [{"url": f"https://files.invalid/{name}", "hashes": {"sha256": "cd" * 32}}]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def selected(monkeypatch: pytest.MonkeyPatch) -> list[Lock]:
    """The locks from which distributions were selected anew."""
    seen: list[Lock] = []

    def select(lock: Lock, targets: Sequence[Target]) -> tuple[Selection, ...]:
        seen.append(lock)
        return select_all(lock, targets)

    monkeypatch.setattr(kept_selection, "select_all", select)
    return seen


def test_selects_once_from_the_same_lock(store: Store, selected: list[Lock]) -> None:
    first = kept_selections(lock(package("1.0")), TARGETS, store)
    again = kept_selections(lock(package("1.0")), TARGETS, store)
    assert first == again == select_all(lock(package("1.0")), TARGETS)
    assert len(selected) == 1


def test_selects_anew_from_another_lock_and_for_other_targets(store: Store, selected: list[Lock]) -> None:
    kept_selections(lock(package("1.0")), TARGETS, store)
    (found,) = kept_selections(lock(package("1.1")), TARGETS[:1], store)
    assert found.distributions[0].version == "1.1"
    (found,) = kept_selections(lock(package("1.1")), TARGETS[1:], store)
    assert found.target == TARGETS[1]
    assert len(selected) == 3


def test_keeps_no_paths_of_this_machine(store: Store, selected: list[Lock]) -> None:
    wanted = lock({"name": "own", "version": "1.0", "directory": {"path": "own"}})
    first = kept_selections(wanted, TARGETS, store)
    assert kept_selections(wanted, TARGETS, store) == first
    assert len(selected) == 2


def test_refuses_each_time_what_is_missing(store: Store) -> None:
    for _ in range(2):
        with pytest.raises(NoCompatibleFile):
            kept_selections(lock(package("1.0", "cp311-cp311-win_amd64")), TARGETS, store)
        with pytest.raises(LockError):
            kept_selections(lock({"name": "six"}), TARGETS, store)


def test_selects_anew_if_the_record_is_damaged(store: Store, selected: list[Lock]) -> None:
    kept_selections(lock(package("1.0")), TARGETS, store)
    for path in (store.root / "records" / "selections").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-9])
    assert kept_selections(lock(package("1.0")), TARGETS, store) == select_all(lock(package("1.0")), TARGETS)
    assert len(selected) == 2
