"""Directories that are applications: members of a uv workspace that have a command to start, and a project in a sub-folder."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from shipwheel.errors import NoCommand, ProjectError, ShipwheelError, UsageError
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.scan import Scanner
from shipwheel.project.entrypoint.scripts import USUAL_FILES
from shipwheel.project.nested_projects import has_code, is_project_directory, nested_projects
from shipwheel.project.outside_imports import outside_imports
from shipwheel.project.project import Project
from shipwheel.project.read import find_settings, read_project
from shipwheel.project.workspace import is_project, name_in, read_workspace
from shipwheel.settings.settings import Settings
from shipwheel.user.files import UserFiles, table_at

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
    read = _reader(root)
    found = tuple(path for path in sorted((*own, *workspace.members)) if _has_command(read(path)))
    if not found:
        raise UsageError(f"{root}: no member of the workspace has a command to start", hint="Set `command` in the settings of one.")
    return found


_Found = Project | ShipwheelError
"""A project, or why a directory is none."""
_Read = Callable[[Path], _Found]


def _reader(top: Path) -> _Read:
    """Return what reads each project in a directory that the user gave once."""

    @cache
    def read(path: Path) -> _Found:
        try:
            return read_project(path, files=UserFiles(top))
        except ShipwheelError as error:
            return error

    return read


def _has_command(found: _Found) -> bool:
    """Return whether a directory has a command to start; also if it cannot be read, which building it says."""
    return not isinstance(found, NoCommand)


def _declares_command(found: _Found) -> bool:
    """Return whether a file or the metadata names a command that starts here, and not in a folder, as a compose file's may.

    A main.py may be what uv wrote for a new project.
    """
    if isinstance(found, ShipwheelError) or found.launch is None:
        return False
    return not found.launch.directory and (bool(found.launch.declared_at) or found.launch.command[0] in found.scripts)


def _serves(found: _Found) -> bool:
    return isinstance(found, Project) and found.launch is not None and bool(found.launch.ports)


def _is_readable(path: Path) -> bool:
    """Return whether a directory is a project, as its Dockerfile may say: by the files that it installs from."""
    try:
        read_project(path, launch=False)
    except ShipwheelError:
        return False
    return True


def project_directory(path: Path) -> Path:
    """Return the directory that is meant by `path`: that of the one application below it, if `path` itself is none; else `path`.

    Settings and Python files in `path` that import packages are those of an application there, and so is a Dockerfile whose requirements
    are found from there, if there is a command, too. Of a workspace's members, the one application is also the only one that is a server.
    """
    files, read = UserFiles(), _reader(path)
    try:
        if not path.is_dir():
            return path
        has_dockerfile = any((path / name).is_file() for name in _DOCKERFILES)
        if is_project_directory(path, files):
            return _meant_of_workspace(path, files, read, has_dockerfile=has_dockerfile)
        found = nested_projects(path, files)
        if not found or (has_dockerfile and _is_readable(path) and _has_command(read(path))):
            return path
        if find_settings(path, files) != Settings():
            return path
        modules = Scanner(path, files=files).scan_modules()
        if _has_own_program(path, files, modules, found, USUAL_FILES):
            return path
        # Beside a server, other scripts are its tools.
        suits = _serves if _has_own_program(path, files, modules, found) else _has_command
    except (ProjectError, UsageError, OSError):
        # Reported when the project is read.
        return path
    # A folder with a Dockerfile and requirements may be about the code beside it.
    found = tuple(each for each in found if has_code(each) and suits(read(each)))
    return found[0] if len(found) == 1 else path


def _meant_of_workspace(root: Path, files: UserFiles, read: _Read, *, has_dockerfile: bool) -> Path:
    """Return the member of a uv workspace that is meant by its root; the root of any other project, or where that is not clear."""
    workspace = read_workspace(files, root)
    if workspace.root != root.resolve() or not workspace.members or find_settings(root, files) != Settings():
        return root
    member = _started_member(read(root), workspace.members, files)
    if member is None and not has_dockerfile:
        member = _member(root, workspace.members, files, read)
    return root / os.path.relpath(member, root.resolve()) if member is not None else root


def _started_member(found: _Found, members: Sequence[Path], files: UserFiles) -> Path | None:
    """Return the member whose directory the command of the root starts in, if the root does not require that member."""
    if isinstance(found, ShipwheelError) or found.launch is None or not found.launch.directory:
        return None
    place = (found.root / found.launch.directory).resolve()
    inside = (member for member in members if member == place or member in place.parents)
    return next((member for member in inside if name_in(files.read_tables(member)) not in found.dependencies), None)


def _member(root: Path, members: Sequence[Path], files: UserFiles, read: _Read) -> Path | None:
    """Return the member that is meant by a root without a command: the only one that has one, or that is a server."""
    if table_at(files.read_tables(root), "project").get("dependencies"):
        is_meant = _has_command(read(root))
    else:
        is_meant = _declares_command(read(root)) or _has_own_program(root, files, Scanner(root, files=files).scan_modules(), members)
    found = [path for path in members if not is_meant and _has_command(read(path))]
    servers = found if len(found) == 1 else [path for path in found if _serves(read(path))]
    return servers[0] if len(servers) == 1 else None


def _has_own_program(root: Path, files: UserFiles, modules: Sequence[Module], projects: Sequence[Path], names: Sequence[str] = ()) -> bool:
    """Return whether a Python file in a directory itself imports what Python does not have, or one outside of the projects is a web app.

    With `names`, only files of these names can import something.
    """
    own = tuple(module for module in modules if "/" not in module.file and (not names or module.file in names))
    if outside_imports(root, own) or any("# /// script" in files.read_text(root / module.file) for module in own):
        return True
    return any(module.applications and not any((root / module.file).is_relative_to(each) for each in projects) for module in modules)
