"""Imports of a project by the names of the directories above it."""

from pathlib import Path

from shipwheel.known_packages import shown_requirement

__all__ = ["outer_package"]


def outer_package(root: Path, name: str) -> str:
    """Return the name that a project's directory has in an import from above it; empty for an import of anything else.

    `backend.app.main` in the directory `backend` is such an import, if that has a directory `app`: the program was started one level above.
    The directory may have had another name there: `shop.models.order` is one of it, if it has models/order.py and no package is known of
    that name.
    """
    parts, folders = name.split("."), root.resolve().parts
    for end in range(1, len(parts)):
        below = root / parts[end]
        if folders[-end:] == (*parts[:end],) and (below.is_dir() or below.with_suffix(".py").is_file()):
            return ".".join(parts[:end])
    inside = root.joinpath(*parts[1:3])
    is_of_other_name = len(parts) > 2 and (inside.is_dir() or inside.with_suffix(".py").is_file())
    return parts[0] if is_of_other_name and not shown_requirement(name) else ""
