"""Compare two locks: files, or a revision in git."""

import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from shipwheel.base.targets import targets_of
from shipwheel.errors import LockError, UsageError
from shipwheel.locking.diagnose.diff import LockDiff, lock_diff
from shipwheel.locking.pylock import Lock, checked_lock, read_lock
from shipwheel.locking.selection import Selection, select
from shipwheel.pipeline.lock_project import project_to_lock
from shipwheel.platform import Platform
from shipwheel.project.project import Project

if TYPE_CHECKING:
    from shipwheel.request import Request

__all__ = ["compare_locks"]


def compare_locks(request: "Request", old: str, new: Path | None) -> LockDiff:
    """Return what changed from `old`, a file or a git revision, to `new`, by default the project's lock.

    Raises LockError or UsageError.
    """
    project = project_to_lock(request)
    default = project.inputs.lock_path
    before = _old(old, default)
    after = _file(new or default)
    selections = {str(it): (_selection(project, before, it), _selection(project, after, it)) for it in request.platforms}
    return lock_diff(before, after, selections)


def _file(path: Path) -> Lock:
    lock = read_lock(path) if path.is_file() else None
    if lock is None:
        raise LockError(f"{path} is not a lock written by shipwheel", hint="Make it with `shipwheel lock`.")
    return lock


def _old(text: str, default: Path) -> Lock:
    if Path(text).is_file():
        return _file(Path(text))
    revision, colon, name = text.partition(":")
    # git would take a revision that begins with a dash for an option.
    if not revision or revision.startswith("-"):
        raise UsageError(f"{text!r} is neither a file nor a git revision", hint="Give a lock's file, or a revision such as HEAD~1.")
    where = f"{revision}:{name}" if colon else f"{revision}:./{default.name}"
    try:
        done = subprocess.run(["git", "show", where], cwd=default.parent, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{text!r} is not a file, and git cannot be run: {error}", hint="Give a lock's file.") from None
    if done.returncode != 0:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["git gave no reason"])[0]
        raise UsageError(f"{text!r} is not a file, and git has no lock there: {reason}", hint="Give a lock's file, or another revision.")
    try:
        data = tomllib.loads(done.stdout.decode())
    except (ValueError, RecursionError) as error:
        raise LockError(f"{where} cannot be read: {error}", hint="Give another revision.") from None
    return checked_lock(default, data, where)


def _selection(project: Project, lock: Lock, platform: Platform) -> Selection | None:
    """Return a platform's selection for the Python version of the lock; None if the lock does not cover the platform."""

    try:
        mine = replace(project, python=lock.python or project.python)
        return select(lock, targets_of(mine, lock, [platform])[0])
    except (LockError, UsageError):
        return None
