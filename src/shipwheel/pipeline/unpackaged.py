"""Files that a project's packages have in its directory and not in its wheel: what follows for the image."""

from collections.abc import Sequence

from msgspec.structs import replace

from shipwheel.errors import IncompleteWheel, ShipwheelError
from shipwheel.events import Reporter, Warned, silent
from shipwheel.pipeline.app_files import app_tree
from shipwheel.project.entrypoint.command_address import is_server
from shipwheel.project.entrypoint.launch import import_roots
from shipwheel.project.project import Project
from shipwheel.project.read import read_project
from shipwheel.wheels.built_wheels import BuiltWheel
from shipwheel.wheels.unpackaged import looks_needed

__all__ = ["report_unpackaged"]

_MAX_NAMED = 3


def report_unpackaged(project: Project, wheel: BuiltWheel, reporter: Reporter) -> None:
    """Raise IncompleteWheel if the wheel lacks files and the same command can start from the directory; else warn of them.

    Nothing is to be said if it does start from there: the directory is in the image beside the wheel.
    """
    needed = looks_needed(wheel.unpackaged)
    if not needed or _starts_there(project, needed[0].partition("/")[0]):
        return
    more = f" and {len(needed) - _MAX_NAMED} more" if len(needed) > _MAX_NAMED else ""
    what = f"the wheel of {project.name} lacks files that its packages have: {', '.join(needed[:_MAX_NAMED])}{more}"
    if _can_start_there(project, wheel.files):
        raise IncompleteWheel(what)
    hint = 'If the program reads them, declare them as package data, or set install = "source", which takes the directory as it is.'
    reporter(Warned(what, hint))


def _starts_there(project: Project, package: str) -> bool:
    """Return whether the command imports a package from the directory in the image: Python and servers look there first."""
    launch = project.launch
    if launch is None or not launch.needs_source or not (launch.command[0] == "python" or is_server(launch.command)):
        return False
    return any((project.root / root / package).is_dir() for root in import_roots(launch))


def _can_start_there(project: Project, files: Sequence[str]) -> bool:
    """Return whether the same command starts from the directory, which has all `files` of the wheel: none of them was generated."""
    if not files or project.launch is None:
        return False
    try:
        other = read_project(project.root, replace(project.settings, install="source"), files=project.files)
        tree = app_tree(other, silent)
    except ShipwheelError:
        return False
    if tree is None or other.launch is None or other.dynamic or other.launch.command != project.launch.command:
        return False
    paths = frozenset(file.path for file in tree.files)
    return any(all(f"{below}{name}" in paths for name in files) for below in ("", "src/"))
