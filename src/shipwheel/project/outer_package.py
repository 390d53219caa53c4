"""Imports of a project by the names of the directories above it: the program was started there."""

from collections.abc import Iterable
from pathlib import Path

from shipwheel.known_packages import shown_requirement

__all__ = ["is_directory_itself", "outer_package"]


def outer_package(root: Path, name: str) -> str:
    """Return the name that a project's directory has in an import from above it; empty for an import of anything else.

    `backend.app.main` in the directory `backend` is such an import, if that has a directory `app`: the program was started one level above.
    """
    parts, folders = name.split("."), root.resolve().parts
    for end in range(1, len(parts)):
        if folders[-end:] == (*parts[:end],) and _has(root, parts[end]):
            return ".".join(parts[:end])
    return ""


def is_directory_itself(root: Path, imports: Iterable[str]) -> bool:
    """Return whether a project's directory has all that is imported of a top-level module, by dotted names: it had that name elsewhere.

    `shop.models.order` may be of it if it has models/order.py, and no package is known of that name. To have `models` alone says little.
    """
    paths = [name.split(".")[1:] for name in imports if not shown_requirement(name)]
    return all(_has(root, *path[:1]) for path in paths) and any(len(path) > 1 and _has(root, *path[:2]) for path in paths)


def _has(root: Path, *parts: str) -> bool:
    path = root.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").is_file()
