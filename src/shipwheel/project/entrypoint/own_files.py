"""Files of a project by the end of their names, without those that package managers put below it."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

__all__ = ["own_files"]

_SKIPPED = frozenset({"node_modules", "site-packages", "venv", "env"})
_MAX_FOLDERS = 10_000


def own_files(root: Path, ending: str) -> Iterator[str]:
    """Yield the paths, relative to `root` and sorted in each directory, of the files whose names end so."""
    for folder, below, names in islice(os.walk(root), _MAX_FOLDERS):
        if "pyvenv.cfg" in names and Path(folder) != root:
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _SKIPPED)
        found = (Path(folder, name) for name in sorted(names) if name.endswith(ending))
        yield from (path.relative_to(root).as_posix() for path in found if path.is_file())
