"""Git's facts about a directory: the repository it is in, its last commit, and its description. File times only tell when it was copied."""

import subprocess
from datetime import date
from pathlib import Path

__all__ = ["describe", "last_commit", "old_last_commit", "repository_root"]

_MAX_AGE_DAYS = 365
"""After this many days without a commit, today's versions of unpinned requirements may differ from all that the project ever ran with."""


def last_commit(root: Path) -> date | None:
    """Return the day of the newest commit that changed a directory; None without git, or if git does not know the directory."""
    command = ["git", "log", "-1", "--format=%cs", "--", "."]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
        return date.fromisoformat(done.stdout.decode().strip()) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def old_last_commit(root: Path, today: date) -> date | None:
    """Return the day of the last commit if that is more than a year ago."""
    day = last_commit(root)
    return day if day is not None and (today - day).days > _MAX_AGE_DAYS else None


def repository_root(path: Path) -> Path | None:
    """Return the top directory of the git repository that holds `path`; None outside of one."""
    return next((folder for folder in (path, *path.parents) if (folder / ".git").exists()), None)


def describe(root: Path) -> bytes:
    """Return git's description of the checked-out commit and whether it was changed; empty without git."""
    command = ["git", "-C", str(root), "describe", "--always", "--long", "--dirty", "--tags", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=60).stdout
    except OSError:
        return b""
