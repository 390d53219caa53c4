"""Canary trees: files of a user around a store, which no command may touch, whatever it reads."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["STORE_FILES", "plant", "strays", "untouched"]

_SONGS = (".profile", ".ssh/id_ed25519", "documents/thesis.tex", "blobs/sha256/aa/file", "etc/passwd")

STORE_FILES = re.compile(
    r"blobs/sha256/([0-9a-f]{2})/\1[0-9a-f]{62}|partial/[0-9a-f]{64,128}|records/[a-z-]+/[^/]{2}/[0-9A-Za-z][0-9A-Za-z._-]*"
    r"|bytecode\.sqlite3(-wal|-shm)?|sessions/session-[0-9a-z_]+|layer-files/[0-9a-f]{64}/(index|[0-9]+)"
)
"""The paths of files in a store."""


def plant(root: Path) -> None:
    """Write the files of a user below a directory."""
    for name in _SONGS:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the only copy of {name}\n")


@contextmanager
def untouched(root: Path, *written: Path) -> Iterator[None]:
    """Raise AssertionError if the block changes, adds or removes a file below `root` that is not below one of `written`."""
    before = _look(root, written)
    yield
    after = _look(root, written)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert not changed, sorted(changed)


def strays(store: Path) -> list[str]:
    """Return the files of a store that have names which the store does not give."""
    files = (path.relative_to(store).as_posix() for path in store.rglob("*") if not path.is_dir() or path.is_symlink())
    return [name for name in files if not STORE_FILES.fullmatch(name)]


def _look(root: Path, written: tuple[Path, ...]) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if Path(folder, name) not in written]
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            found[str(path)] = (status.st_mode, path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
    return found
