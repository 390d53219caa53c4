"""Source trees for build backends: which directories a build needs, their checksum, and private copies to build in.

A build backend runs in a copy only, so that it leaves nothing in the user's directory.
"""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.git_history import describe, format_settings, repository_directories, repository_root
from shipwheel.project.own_lock import is_own_lock
from shipwheel.project.workspace import read_workspace
from shipwheel.user.files import UserFiles, read_toml, table_at

__all__ = ["SourceTree", "git_directories", "private_copy", "read_source_tree", "tree_digest"]

_LOCK = lazy_pattern(r"pylock(?:\.[^.]+)?\.toml")
_BUILT = frozenset({"pyproject.toml", "setup.py", "setup.cfg"})
"""Files of a directory that is a project with a wheel."""
_NEVER = frozenset(
    """
    .git .hg .svn .venv __pycache__ node_modules .tox .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .ipynb_checkpoints
    .idea .vscode .eggs .cache .uv-cache __pypackages__ .DS_Store
    """.split()  # noqa: SIM905
)

_POETRY_BACKEND = """
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
"""
_BUILD_SYSTEM = lazy_pattern(r"^[ \t]*\[[ \t]*build-system[ \t]*\].*(?:\n(?![ \t]*\[).*)*", re.MULTILINE)
"""The table with the backend, up to the next one."""


class SourceTree(msgspec.Struct, frozen=True):
    """A directory to build a wheel from.

    `top` is what the build backend needs around `root`: the workspace, or the repository if the version may come from its history.
    `settings` are uv's settings there.
    """

    root: Path
    top: Path
    name: str
    has_history: bool
    settings: Mapping[str, Any]


def read_source_tree(root: Path, files: UserFiles) -> SourceTree:
    """Read what a build of the directory needs to know. Raises ProjectError."""
    root = root.resolve()
    tables = files.read_tables(root)
    project = tables.get("project", {})
    workspace = read_workspace(files, root)
    repository = repository_root(root) if "version" in project.get("dynamic", ()) or "project" not in tables else None
    name = project.get("name") or tables.get("tool", {}).get("poetry", {}).get("name") or root.name
    return SourceTree(root, repository or workspace.root or root, str(name), repository is not None, workspace.settings)


@contextmanager
def private_copy(root: Path, *, history: bool = False) -> Iterator[Path]:
    """Copy a tree for the time of the block, without environments and caches; with .git if `history`. Raises ProjectError."""
    with scratch_directory() as folder:
        copy = folder / (root.name or "project")
        try:
            ignored = partial(_ignored, history=history)
            shutil.copytree(root, copy, symlinks=True, ignore=ignored, copy_function=_copy_file)
        except (OSError, shutil.Error) as error:
            reasons = error.args[0] if isinstance(error, shutil.Error) else [(error.filename, "", error.strerror)]
            text = "\n".join(f"{source}: {reason}" for source, _, reason in reasons[:5])
            raise ProjectError(f"the project cannot be copied for its build:\n{text}", hint="Make these files readable.") from error
        _drop_git_settings(copy)
        yield copy


def _copy_file(source: str, target: str) -> None:
    """Copy a file; name Poetry's build backend in a pyproject.toml of Poetry that names none, or setuptools, for which it says nothing."""
    shutil.copy2(source, target)
    path = Path(target)
    if path.name != "pyproject.toml" or Path(source).with_name("setup.py").exists():
        return
    try:
        tables = read_toml(path)
    except ProjectError:
        # Its reader names the mistake.
        return
    if "name" not in table_at(tables, "tool", "poetry") or "project" in tables:
        return
    backend = str(table_at(tables, "build-system").get("build-backend", ""))
    is_of_setuptools = backend.startswith("setuptools.") and not _states_name(Path(source).with_name("setup.cfg"))
    if "build-system" not in tables or is_of_setuptools:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
        text = _BUILD_SYSTEM.sub("", path.read_text(encoding="utf-8"))
        path.write_text(f"{text}{_POETRY_BACKEND}", encoding="utf-8")


def _states_name(setup_cfg: Path) -> bool:
    """Return whether a setup.cfg has metadata of a package."""
    try:
        return re.search(r"^\[metadata\]", setup_cfg.read_text(encoding="utf-8", errors="replace"), re.MULTILINE) is not None
    except OSError:
        return False


def git_directories(copy: Path) -> tuple[Path, ...]:
    """Return the directories of a repository that a copy of a work tree points to; none if it has its own."""
    if not (copy / ".git").is_file():
        return ()
    return repository_directories(copy)


def _drop_git_settings(copy: Path) -> None:
    path = copy / ".git" / "config"
    if path.is_file():
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        path.write_text(format_settings(text), encoding="utf-8", errors="surrogateescape")


def tree_digest(root: Path, *, history: bool = False) -> str:
    """Return the hex sha256 of what a private copy would hold: paths, modes and contents; with `history`, also the commit."""
    digest = hashlib.sha256()
    for path in _copied_files(root):
        info = path.lstat()
        link = stat.S_ISLNK(info.st_mode)
        content = str(path.readlink()).encode() if link else hashlib.sha256(path.read_bytes()).digest()
        head = f"{path.relative_to(root).as_posix()}\0{link}{bool(info.st_mode & 0o100)}\0"
        digest.update(head.encode(errors="surrogateescape") + content)
    if history:
        digest.update(describe(root))
    return digest.hexdigest()


def _ignored(folder: str, names: list[str], *, history: bool) -> set[str]:
    ignored = {name for name in names if (name in _NEVER and not (history and name == ".git")) or name.endswith((".egg-info", ".pyc"))}
    for name in set(names) - ignored:
        path = Path(folder, name)
        if (path / "pyvenv.cfg").is_file() or (name == "build" and ((path / "lib").is_dir() or any(path.glob("bdist.*")))):
            ignored.add(name)
        elif not (history or _BUILT.isdisjoint(names)) and _is_own(path):
            # A lock that changes makes no other wheel; elsewhere, it is data of a package. Beside the history, git would miss it.
            ignored.add(name)
        elif not path.is_symlink() and not path.is_dir() and not path.is_file():
            # A socket or a pipe cannot be copied, and reading it would hang.
            ignored.add(name)
    return ignored


def _is_own(path: Path) -> bool:
    """Return whether shipwheel alone reads a file: its settings, or a lock that it made."""
    if path.name == "shipwheel.toml":
        return True
    is_lock = _LOCK.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()
    return is_lock and is_own_lock(path.read_bytes())


def _copied_files(root: Path) -> Iterable[Path]:
    for folder, folders, names in os.walk(root):
        ignored = _ignored(folder, [*folders, *names], history=False)
        links = [name for name in folders if Path(folder, name).is_symlink()]
        folders[:] = sorted(set(folders) - ignored - set(links))
        yield from (Path(folder, name) for name in sorted({*names, *links} - ignored))
