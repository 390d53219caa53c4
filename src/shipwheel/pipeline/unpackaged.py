"""Data files that a project's packages have in its directory and not in its wheel: what follows for the image."""

from msgspec.structs import replace

from shipwheel.errors import IncompleteWheel, ShipwheelError
from shipwheel.events import Reporter, Warned
from shipwheel.project.entrypoint.command_address import is_server
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
    if not needed or _starts_there(project):
        return
    more = f" and {len(needed) - _MAX_NAMED} more" if len(needed) > _MAX_NAMED else ""
    what = f"the wheel of {project.name} lacks files that its packages have: {', '.join(needed[:_MAX_NAMED])}{more}"
    if wheel.is_copy and _can_start_there(project):
        raise IncompleteWheel(what)
    hint = 'If the program reads them, declare them as package data, or set install = "source", which takes the directory as it is.'
    reporter(Warned(what, hint))


def _starts_there(project: Project) -> bool:
    """Return whether the command imports the packages from the directory in the image: Python and servers look there first."""
    launch = project.launch
    return launch is not None and launch.needs_source and (launch.command[0] == "python" or is_server(launch.command))


def _can_start_there(project: Project) -> bool:
    try:
        other = read_project(project.root, replace(project.settings, install="source"), files=project.files)
    except ShipwheelError:
        return False
    if project.launch is None or other.launch is None or other.dynamic:
        return False
    return other.launch.command == project.launch.command
