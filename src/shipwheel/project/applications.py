"""The applications of a uv workspace: its members that have a command to start."""

from pathlib import Path

from shipwheel.errors import NoCommand, ShipwheelError, UsageError
from shipwheel.project.read import read_project
from shipwheel.project.workspace import is_project, read_workspace
from shipwheel.user_files import UserFiles

__all__ = ["applications"]


def applications(root: Path) -> tuple[Path, ...]:
    """Return the directories of a workspace's applications, sorted; the root is one if it is a project with a command.

    A member that cannot be read is among them: building it says why. Raise UsageError for a directory that is no workspace's root, and
    for a workspace without applications.
    """
    root = root.resolve()
    files = UserFiles()
    workspace = read_workspace(files, root)
    if workspace.root != root:
        hint = "Name the directory whose pyproject.toml has [tool.uv.workspace], or leave out --all."
        raise UsageError(f"{root} is not the root of a uv workspace", hint=hint)
    own = (root,) if is_project(files, root) else ()
    found = tuple(path for path in sorted((*own, *workspace.members)) if _has_command(path))
    if not found:
        raise UsageError(f"{root}: no member of the workspace has a command to start", hint="Set `command` in the settings of one.")
    return found


def _has_command(path: Path) -> bool:
    try:
        read_project(path)
    except NoCommand:
        return False
    except ShipwheelError:
        return True
    return True
