"""The day of a project's last change: what its packages were like when it worked."""

import datetime
from pathlib import Path

from shipwheel.project.git_history import last_commit

__all__ = ["last_change"]

_RECENT = datetime.timedelta(days=60)


def last_change(root: Path, today: datetime.date | None = None) -> datetime.date | None:
    """Return the day of the last commit, or else of the newest Python file; None if it is not long ago, or nothing tells."""
    today = today or datetime.datetime.now(datetime.UTC).date()
    day = last_commit(root) or _newest_file(root)
    return day if day is not None and today - day > _RECENT else None


def _newest_file(root: Path) -> datetime.date | None:
    times = [path.stat().st_mtime for path in (*root.glob("*.py"), *root.glob("*/*.py")) if path.is_file()]
    return datetime.datetime.fromtimestamp(max(times), datetime.UTC).date() if times else None
