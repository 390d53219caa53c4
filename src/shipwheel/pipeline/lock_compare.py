"""Two locks side by side: files, or what git has of one."""

import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from shipwheel.base.targets import targets_of
from shipwheel.errors import LockError, UsageError
from shipwheel.lock.diagnose.diff import LockDiff, lock_diff
from shipwheel.lock.pylock import Lock, checked_lock, lock_path, read_lock
from shipwheel.lock.selection import Selection, select
from shipwheel.pipeline.locking import project_of
from shipwheel.platform import Platform
from shipwheel.project.detect import Project

if TYPE_CHECKING:
    from shipwheel.request import Request

__all__ = ["compared"]


def compared(request: "Request", old: str, new: Path | None) -> LockDiff:
    """What changed from `old`, a file or a revision of git, to `new`, or to the project's lock. Raises LockError, UsageError."""
    project = project_of(request)
    usual = lock_path(project.root)
    before = _old(old, usual)
    after = _file(new or usual)
    served = {str(it): (_served(project, before, it), _served(project, after, it)) for it in request.platforms}
    return lock_diff(before, after, served)


def _file(path: Path) -> Lock:
    lock = read_lock(path) if path.is_file() else None
    if lock is None:
        raise LockError(f"there is no lock of shipwheel's at {path}", hint="Make it with `shipwheel lock`.")
    return lock


def _old(text: str, usual: Path) -> Lock:
    if Path(text).is_file():
        return _file(Path(text))
    revision, colon, name = text.partition(":")
    # `--` and a revision that begins with a dash would be options to git.
    if not revision or revision.startswith("-"):
        raise UsageError(f"{text!r} is neither a file nor a revision of git", hint="Give a lock's file, or a revision such as HEAD~1.")
    where = f"{revision}:{name}" if colon else f"{revision}:./{usual.name}"
    try:
        done = subprocess.run(["git", "show", where], cwd=usual.parent, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{text!r} is not a file, and git cannot be asked: {error}", hint="Give a lock's file.") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["git said nothing"]
        raise UsageError(f"{text!r} is not a file, and git has no lock there: {said[0]}", hint="Give a lock's file, or another revision.")
    try:
        data = tomllib.loads(done.stdout.decode())
    except (ValueError, RecursionError) as error:
        raise LockError(f"{where} cannot be read: {error}", hint="Give another revision.") from None
    return checked_lock(usual, data, where)


def _served(project: Project, lock: Lock, platform: Platform) -> Selection | None:
    """The platform's selection, for the Python version that the lock is for; None when the lock does not serve it."""
    from dataclasses import replace

    try:
        mine = replace(project, python=lock.python or project.python)
        return select(lock, targets_of(mine, lock, [platform])[0])
    except (LockError, UsageError):
        return None
