"""When a project was last worked on: by git, since the times of files say when they were copied."""

import subprocess
from datetime import date
from pathlib import Path

__all__ = ["last_commit", "rotted"]

ROTTED = 365
"""Days without a commit after which today's versions of what is not pinned may well be others than the project ever ran with."""


def last_commit(root: Path) -> date | None:
    """The day of the newest commit to a directory; None where git is missing, or does not know the directory, or cannot tell."""
    command = ["git", "log", "-1", "--format=%cs", "--", "."]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
        return date.fromisoformat(done.stdout.decode().strip()) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def rotted(root: Path, today: date) -> date | None:
    """The day of the last commit, if that is long ago."""
    day = last_commit(root)
    return day if day is not None and (today - day).days > ROTTED else None
