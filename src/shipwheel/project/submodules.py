"""Git submodules that are not checked out: a clone without `--recurse-submodules` has an empty directory for each."""

import re
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.git_history import repository_root

__all__ = ["absent_submodules"]

_PATH = lazy_pattern(r"^[ \t]*path[ \t]*=(.+)$", re.MULTILINE)


def absent_submodules(root: Path) -> dict[str, str]:
    """Return the submodules without files in the repository that holds `root`: the import name of each directory -> its path there."""
    top = repository_root(root) or root
    try:
        text = (top / ".gitmodules").read_text("utf-8", "replace")
    except OSError:
        return {}
    paths = (found.strip() for found in _PATH.findall(text))
    return {Path(path).name.replace("-", "_"): path for path in paths if _is_absent(top / path)}


def _is_absent(path: Path) -> bool:
    try:
        return next(path.iterdir(), None) is None
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
