"""Interpreters in the store: what was changed there is never run, and what a killed command left there goes away."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.disk import small_disk
from support.programs import needs_root

from shipwheel import platform
from shipwheel.base import interpreter_tree
from shipwheel.base.interpreter_tree import tree_checksum, unpack_interpreter
from shipwheel.errors import StoreError
from shipwheel.files.entry import FileEntry, file, symlink
from shipwheel.store.contents import INTERPRETERS
from shipwheel.store.store import Store


@dataclass(frozen=True)
class _Base:
    """The files of a base."""

    key: str = "base"
    size: int = 1000
    label: str = "base"

    def entries(self) -> Iterator[FileEntry]:
        yield file("usr/bin/python3", b"#!" + bytes(self.size), 0o755)
        yield symlink("usr/bin/python", "python3")
        yield file("usr/lib/python3/module.py", "def module(): pass\n")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4] ^= 1
    path.write_bytes(data)


def relink(root: Path) -> None:
    (root / "usr/bin/python").unlink()
    (root / "usr/bin/python").symlink_to("/bin/sh")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit": lambda root: flip(root / "usr/lib/python3/module.py"),
    "a file cut off": lambda root: os.truncate(root / "usr/bin/python3", 100),
    "an empty file": lambda root: os.truncate(root / "usr/bin/python3", 0),
    "a file gone": lambda root: (root / "usr/lib/python3/module.py").unlink(),
    "a file more": lambda root: (root / "usr/lib/python3/struct.py").write_text("raise SystemExit\n"),
    "another target": relink,
    "not executable": lambda root: (root / "usr/bin/python3").chmod(0o644),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_changed_tree_is_unpacked_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    store = Store(tmp_path)
    tree = unpack_interpreter([_Base()], store)
    right = tree_checksum(tree.path)
    tree.close()
    time.sleep(0.02)  # a tick of the kernel's clock
    damage(tree.path)
    assert tree_checksum(tree.path) != right
    again = unpack_interpreter([_Base()], store)
    assert tree_checksum(again.path) == right
    assert list(again.path.parent.iterdir()) == [again.path]


def test_an_intact_tree_is_not_unpacked_again(tmp_path: Path) -> None:
    first = unpack_interpreter([_Base()], Store(tmp_path))
    inode = first.path.stat().st_ino
    assert unpack_interpreter([_Base()], Store(tmp_path)).path.stat().st_ino == inode
    assert unpack_interpreter([_Base("other")], Store(tmp_path)).path != first.path


def test_a_tree_that_nobody_touched_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack_interpreter([_Base()], Store(tmp_path))
    reads: list[Path] = []

    def read(root: Path) -> bytes:
        reads.append(root)
        return tree_checksum(root)

    monkeypatch.setattr(interpreter_tree, "tree_checksum", read)
    unpack_interpreter([_Base()], Store(tmp_path))
    assert not reads, "nobody has changed it since it was written"
    boot_id = tmp_path / "boot_id"
    monkeypatch.setattr(platform, "_BOOT_ID", boot_id)
    boot_id.write_text("after a power cut\n")
    for _ in range(3):
        unpack_interpreter([_Base()], Store(tmp_path))
    assert len(reads) == 1
    boot_id.unlink()
    for _ in range(3):
        unpack_interpreter([_Base()], Store(tmp_path))
    assert len(reads) == 4, "this system does not tell"


def test_a_tree_that_another_process_uses_stays_while_it_is_replaced(tmp_path: Path) -> None:
    used = unpack_interpreter([_Base()], Store(tmp_path))
    running = (used.path / "usr/bin/python3").open("rb")
    flip(used.path / "usr/lib/python3/module.py")
    with running:
        again = unpack_interpreter([_Base()], Store(tmp_path))
        assert len(running.read()) == 1002
    assert (again.path / "usr/lib/python3/module.py").read_text() == "def module(): pass\n"


def test_removes_what_killed_commands_left(tmp_path: Path) -> None:
    folder = tmp_path / INTERPRETERS
    for name in ("tmpq1w2e3", ".left"):
        (folder / name / "usr").mkdir(parents=True)
    tree = unpack_interpreter([_Base()], Store(tmp_path))
    assert list(folder.iterdir()) == [tree.path]


@needs_root
def test_a_full_disk_is_an_error_that_names_the_store(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "256k") as disk:
        store = Store(disk)
        with pytest.raises(StoreError, match=f"no space left on the disk of the store {disk}") as caught:
            unpack_interpreter([_Base(size=1 << 20)], store)
        store.close()
        assert "SHIPWHEEL_CACHE" in caught.value.hint
        assert list((disk / INTERPRETERS).iterdir()) == []
