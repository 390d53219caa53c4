"""Directories that are applications: members of a uv workspace that have a command to start, and a project in a sub-folder."""

from collections.abc import Sequence
from pathlib import Path

from shipwheel.errors import NoCommand, ProjectError, ShipwheelError, UsageError
from shipwheel.project.entrypoint.scan import Scanner
from shipwheel.project.nested_projects import is_project_directory, nested_projects
from shipwheel.project.outside_imports import outside_imports
from shipwheel.project.read import find_settings, read_project
from shipwheel.project.workspace import is_project, read_workspace
from shipwheel.settings import Settings
from shipwheel.user_files import UserFiles

__all__ = ["applications", "project_directory"]

_DOCKERFILES = ("Dockerfile", "Containerfile")


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


def project_directory(path: Path) -> Path:
    """Return the directory that is meant by `path`: that of the one application below it, if `path` itself requires nothing; else `path`.

    A Dockerfile, settings and Python files in `path` that import packages are those of an application there.
    """
    files = UserFiles()
    try:
        if not path.is_dir() or any((path / name).is_file() for name in _DOCKERFILES) or is_project_directory(path, files):
            return path
        found = nested_projects(path, files)
        if find_settings(path, files) != Settings() or _has_code(path, files, found):
            return path
    except (ProjectError, UsageError, OSError):
        # Reported when the project is read.
        return path
    found = tuple(each for each in found if _has_command(each))
    return found[0] if len(found) == 1 else path


def _has_code(root: Path, files: UserFiles, projects: Sequence[Path]) -> bool:
    """Return whether a Python file in a directory itself imports what Python does not have, or one outside of the projects is a web app."""
    modules = Scanner(root, files=files).scan_modules()
    own = tuple(module for module in modules if "/" not in module.file)
    if outside_imports(root, own) or any("# /// script" in files.read_text(root / module.file) for module in own):
        return True
    return any(module.applications and not any((root / module.file).is_relative_to(each) for each in projects) for module in modules)
