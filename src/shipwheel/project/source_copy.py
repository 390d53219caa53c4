"""Private copies of a user's source tree, so that no build backend leaves anything in the tree itself."""

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shipwheel.errors import ProjectError

__all__ = ["private_copy", "repository_root", "tree_digest"]

_NEVER = frozenset(
    """
    .git .hg .svn .venv __pycache__ node_modules .tox .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .ipynb_checkpoints
    .idea .vscode .eggs .cache .uv-cache __pypackages__ .DS_Store
    """.split()  # noqa: SIM905
)


def _unwanted(folder: str, names: list[str], *, history: bool) -> set[str]:
    unwanted = {name for name in names if (name in _NEVER and not (history and name == ".git")) or name.endswith((".egg-info", ".pyc"))}
    for name in set(names) - unwanted:
        path = Path(folder, name)
        if (path / "pyvenv.cfg").is_file() or (name == "build" and ((path / "lib").is_dir() or any(path.glob("bdist.*")))):
            unwanted.add(name)
        elif not path.is_symlink() and not path.is_dir() and not path.is_file():
            # A socket or a pipe cannot be copied, and reading it would hang.
            unwanted.add(name)
    return unwanted


@contextmanager
def private_copy(root: Path, *, history: bool = False) -> Iterator[Path]:
    """A copy of a tree for the time of the block, without environments and caches; with .git if `history`."""
    with tempfile.TemporaryDirectory(prefix="shipwheel-") as folder:
        copy = Path(folder).resolve() / (root.name or "project")
        try:
            shutil.copytree(root, copy, symlinks=True, ignore=lambda where, names: _unwanted(where, names, history=history))
        except (OSError, shutil.Error) as error:
            reasons = error.args[0] if isinstance(error, shutil.Error) else [(error.filename, "", error.strerror)]
            text = "\n".join(f"{source}: {reason}" for source, _, reason in reasons[:5])
            raise ProjectError(f"the project cannot be copied for its build:\n{text}", hint="Make these files readable.") from error
        yield copy


def repository_root(path: Path) -> Path | None:
    """The top of the git repository that holds `path`, or None."""
    for folder in (path, *path.parents):
        if (folder / ".git").exists():
            return folder
    return None


def tree_digest(root: Path, *, history: bool = False) -> str:
    """Hex sha256 over what a private copy would hold: paths, modes, contents; for the history, the commit it is at."""
    seen = hashlib.sha256()
    for path in _files(root):
        info = path.lstat()
        link = stat.S_ISLNK(info.st_mode)
        content = str(path.readlink()).encode() if link else hashlib.sha256(path.read_bytes()).digest()
        seen.update(f"{path.relative_to(root).as_posix()}\0{link}{bool(info.st_mode & 0o100)}\0".encode(errors="surrogateescape") + content)
    if history:
        seen.update(_described(root))
    return seen.hexdigest()


def _files(root: Path) -> Iterable[Path]:
    for folder, folders, names in os.walk(root):
        unwanted = _unwanted(folder, [*folders, *names], history=False)
        links = [name for name in folders if Path(folder, name).is_symlink()]
        folders[:] = sorted(set(folders) - unwanted - set(links))
        yield from (Path(folder, name) for name in sorted({*names, *links} - unwanted))


def _described(root: Path) -> bytes:
    command = ["git", "-C", str(root), "describe", "--always", "--long", "--dirty", "--tags", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=60).stdout
    except OSError:
        return b""
