"""The requirements file of a project, by its name."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from shipwheel.errors import LockError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.installs import OF_DEVELOPERS
from shipwheel.project.requirements import Line, decode
from shipwheel.user.files import UserFiles

__all__ = ["find_requirements", "other_lists"]

_FOLDER = "requirements/"
_NAMES = (
    "requirements.txt",
    *(f"requirements/{name}.txt" for name in ("production", "prod", "requirements", "base", "main", "common", "default")),
    *(f"requirements{dash}{name}.txt" for name in ("production", "prod", "base", "main") for dash in ("-", "_", ".")),
    "requirements.in",
)
_REQUIREMENTS = lazy_pattern(r"(^|[^a-z])(requirements?|requires|reqs)([^a-z]|$)", re.IGNORECASE)
_END = lazy_pattern(r"(?:^|\s)[#\\-]")
"""The end of a requirement: a comment, options, or the end of its line."""
_LINE = lazy_pattern(rb"^[ \t]*[^\s#]", re.MULTILINE)


def find_requirements(root: Path, files: UserFiles) -> Path | None:
    """Return the first requirements file with a usual name, one that lists something before an empty one; None without any."""
    found = [root / name for name in (*_NAMES, *_in_folders(root)) if files.is_file(root / name)]
    return next((path for path in found if _LINE.search(_contents(path, files))), next(iter(found), None))


def _in_folders(root: Path) -> Iterator[str]:
    """Yield the usual names in folders with a name of their own, as py-requirements."""
    try:
        names = sorted(entry.name for entry in os.scandir(root) if _is_named(Path(entry.name)) and entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    usual = [name.removeprefix(_FOLDER) for name in _NAMES if name.startswith(_FOLDER)]
    yield from (f"{folder}/{name}" for folder in names for name in usual)


def _contents(path: Path, files: UserFiles) -> bytes:
    """Return the contents of a file; one that cannot be read counts as a list, so that its reader says why."""
    try:
        return files.read_bytes(path)
    except OSError:
        return b"-"


def other_lists(root: Path, files: UserFiles) -> tuple[Path, ...]:
    """Return the text files with unusual names that seem to list requirements, as requirement.txt does, sorted; none for developers."""
    found = (*root.glob("*.txt"), *root.glob("*.TXT"), *root.glob("requirements/*.txt"))
    named = (path for path in {*found} if _is_named(path.relative_to(root)) and files.is_file(path))
    return tuple(sorted(path for path in named if not _is_prose(path, files)))


def _is_named(path: Path) -> bool:
    name = path.with_suffix("").as_posix()
    return bool(_REQUIREMENTS.search(name)) and not OF_DEVELOPERS.search(name)


def _is_prose(path: Path, files: UserFiles) -> bool:
    """Return whether a file describes requirements to a reader: its first line is none."""
    lines = (_END.split(line, 1)[0].strip() for line in decode(_contents(path, files)).splitlines())
    try:
        Line(next(filter(None, lines), "./"), path, 1).requirement  # noqa: B018 - it raises
    except LockError:
        return True
    return False
