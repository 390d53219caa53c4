"""Locks and selections that are kept in the store."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shipwheel.errors import LockError, StoreError
from shipwheel.locking import kept_selection
from shipwheel.locking.kept_selection import kept_selections, read_kept_lock
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
    kept_selections(lock(package("1.0")).with_base("amd64", {"suite": "trixie"}).with_imports({"six": ["six"]}), TARGETS, store)
    assert len(selected) == 1
    kept_selections(lock(package("1.0")).with_compiled({"six": ("libsix-dev",)}), TARGETS, store)
    assert len(selected) == 2


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


LOCK = """\
lock-version = "1.0"
created-by = "shipwheel"

[[packages]]
name = "six"
version = "1.0"
wheels = [
    {{ url = "https://files.invalid/six-1.0-py3-none-any.whl", upload-time = 2024-01-01T00:00:00.5Z, hashes = {{ sha256 = "{hash}" }} }},
]

[tool.shipwheel]
format = 2

[tool.other]
value = {value}
"""


VALUES = (
    *("1", "[true, 1.5, 'x']", "nan", "99999999999999999999999"),
    *("2024-01-01", "12:00:00", "1979-05-27T07:32:00", "2024-01-01T02:00:00+02:00"),
)


@pytest.mark.parametrize("value", VALUES)
def test_reads_a_lock_as_it_is_written(tmp_path: Path, store: Store, value: str) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(LOCK.format(hash="cd" * 32, value=value))
    for _ in range(2):
        lock = read_kept_lock(path, store)
        assert lock is not None
        assert repr(lock.data) == repr(tomllib.loads(path.read_text()))


def test_parses_a_lock_once(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text(LOCK.format(hash="cd" * 32, value=1))
    first = read_kept_lock(path, store)
    monkeypatch.setattr(kept_selection, "parsed", lambda _: pytest.fail("it was parsed again"))
    assert read_kept_lock(path, store) == first


def test_reads_no_lock_that_is_damaged(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "pylock.toml"
    assert read_kept_lock(path, store) is None
    for text in ("[[packages", LOCK.format(hash="", value=1)):
        path.write_text(text)
        for _ in range(2):
            with pytest.raises(LockError):
                read_kept_lock(path, store)


def test_needs_no_store_that_can_be_written(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("no space left on the disk of the store", hint="")

    monkeypatch.setattr(store, "put", refuse)
    path = tmp_path / "pylock.toml"
    path.write_text(LOCK.format(hash="cd" * 32, value=1))
    found = read_kept_lock(path, store)
    assert found is not None
    assert kept_selections(found, TARGETS, store) == select_all(found, TARGETS)
