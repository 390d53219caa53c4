"""Imports of a project by the names of the directories above it."""

from pathlib import Path

__all__ = ["outer_package"]


def outer_package(root: Path, name: str) -> str:
    """Return the name that a project's directory has in an import from above it; empty for an import of anything else.

    `backend.app.main` in the directory `backend` is such an import, if that has a directory `app`: the program was started one level above.
    """
    parts, folders = name.split("."), root.resolve().parts
    for end in range(1, len(parts)):
        below = root / parts[end]
        if folders[-end:] == (*parts[:end],) and (below.is_dir() or below.with_suffix(".py").is_file()):
            return ".".join(parts[:end])
    return ""
