"""Git's facts about a directory: the repository it is in, its last commit, and its description. File times only tell when it was copied."""

import os
import re
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from shipwheel.user.directories import config_home, home
from shipwheel.witness.witness import note_look, note_unknown

__all__ = [
    "describe",
    "format_settings",
    "has_changes",
    "last_commit",
    "locked_version",
    "old_last_commit",
    "pretended_version",
    "repository_directories",
    "repository_root",
    "tracked_files",
]

_NO_VERSION = "0.0.0"

_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"})
"""Variables that name a repository, or parts of it, which may be anywhere (git(1))."""

_MAX_AGE_DAYS = 365
"""After this many days without a commit, today's versions of unpinned requirements may differ from all that the project ever ran with."""
_FIRST_GIT = date(2005, 4, 7)
"""A commit of before is one whose day was set to hide when it was made: 1970-01-01."""


def last_commit(root: Path) -> date | None:
    """Return the day of the newest commit that changed a directory.

    None without git, if git does not know the directory, and for a day on which there was no git.
    """
    try:
        day = date.fromisoformat(_git(root, "log", "-1", "--format=%cs", "--", ".").decode().strip())
    except ValueError:
        return None
    return day if day >= _FIRST_GIT else None


def has_changes(root: Path, names: Sequence[str]) -> bool:
    """Return whether files of a directory, by their paths in it, differ from the last commit; False without git."""
    return bool(names) and bool(_git(root, "--no-optional-locks", "status", "--porcelain", "--", *names))


def old_last_commit(root: Path, today: date) -> date | None:
    """Return the day of the last commit if that is more than a year ago."""
    day = last_commit(root)
    return day if day is not None and (today - day).days > _MAX_AGE_DAYS else None


def repository_root(path: Path) -> Path | None:
    """Return the top directory of the git repository that holds `path`; None outside of one."""
    return next((folder for folder in (path, *path.parents) if (folder / ".git").exists()), None)


def tracked_files(root: Path) -> frozenset[str]:
    """Return the paths below a directory that git tracks, relative to it, those of submodules too; empty without git."""
    return frozenset(name.decode(errors="surrogateescape") for name in _git(root, "ls-files", "-z").split(b"\0") if name)


def locked_version(name: str) -> dict[str, str]:
    """Return the variable that gives setuptools-scm a version for one project, whose lock does not depend on it.

    The copy of the project that is read for its lock has no history.
    """
    own = re.sub(r"[-_.]+", "_", name).upper()
    return {f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{own}": _NO_VERSION}


def pretended_version(root: Path, name: str, backend: str) -> dict[str, str]:
    """Return variables that give build backends a version where git's data is missing, as in an unpacked archive of a repository.

    Empty in a repository, and in an sdist, which states its version. setuptools-scm reads the first one, for this project alone; hatch-vcs,
    pdm and versioningit know only variables for every project.
    """
    if repository_root(root) is not None or (root / "PKG-INFO").is_file():
        return {}
    values = locked_version(name)
    if backend.startswith(("hatch", "pdm")):
        values |= {"SETUPTOOLS_SCM_PRETEND_VERSION": _NO_VERSION, "PDM_BUILD_SCM_VERSION": _NO_VERSION}
    return values


def repository_directories(root: Path) -> tuple[Path, ...]:
    """Return git's own directories of a work tree: that of the work tree, and the common one. Empty without git."""
    lines = _git(root, "rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir").splitlines()
    return tuple(Path(os.fsdecode(line)) for line in dict.fromkeys(lines) if line)


def format_settings(text: str) -> str:
    """Return the settings of a repository about its format alone: the others may have passwords, as those of remotes and CI jobs do."""
    sections = re.split(r"(?m)^(?=\s*\[)", text)
    return "".join(section for section in sections if re.match(r"\s*\[(core|extensions)\]", section))


def describe(root: Path) -> bytes:
    """Return git's description of the checked-out commit and whether it was changed; empty without git."""
    return _git(root, "describe", "--always", "--long", "--dirty", "--tags", "--abbrev=40")


def _git(root: Path, *arguments: str) -> bytes:
    """Return what git prints about a directory; empty outside of a repository, without git, if it fails, and after a minute."""
    _note_repository(root)
    # git goes up from where the directory really is.
    if repository_root(Path(os.path.realpath(root))) is None and _ELSEWHERE.isdisjoint(os.environ):
        return b""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        note_unknown()  # what git says the next time
        return b""
    return done.stdout if done.returncode == 0 else b""


def _note_repository(root: Path) -> None:
    """Note the files by which git's answers change: with a commit, a checkout, a file that is added, a tag, and a setting."""
    if not _ELSEWHERE.isdisjoint(os.environ):
        note_unknown()
    top = repository_root(root)
    if top is None:
        return
    git = top / ".git"
    if not git.is_dir():
        note_unknown()  # a work tree of its own, or a submodule, whose data is elsewhere
    for name in ("HEAD", "config", "index", "info/exclude", "packed-refs"):
        note_look(git / name)
    for path in (home(os.environ) / ".gitconfig", config_home(os.environ) / "git" / "config", Path("/etc/gitconfig")):
        note_look(path)
    for name in ("refs/heads", "refs/tags", "reftable"):
        for _ in os.walk(git / name):
            pass  # noted by listing it
