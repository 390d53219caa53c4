"""The extra, the dependency group or the other list of a project that would bring a module."""

from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shipwheel.errors import LockError, ProjectError
from shipwheel.known_packages import requirement_of_module
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.pipfile import read_pipfile
from shipwheel.project.requirements import read_requirements
from shipwheel.project.requirements_files import other_lists
from shipwheel.versions import normalized, requirement_name

if TYPE_CHECKING:
    from shipwheel.project.project import Project

__all__ = ["extra_or_group_with", "listed_elsewhere"]

_FOR_DEVELOPERS = lazy_pattern(r"(?i)dev|test|doc|lint|typ(e|ing)|check|ci$|bench|example|build|release|all$")
"""Extras and groups that do not belong into an image because of one package."""

_MIN_ABBREVIATION = 5


def extra_or_group_with(project: "Project", package: str) -> tuple[str, str] | None:
    """Return ("extras" or "groups", name) of an extra or group that has a package, None if there is none but those for developers."""
    tables = project.files.read_tables(project.root)
    for kind, name, requirements in _optional(tables):
        if _FOR_DEVELOPERS.match(name) is None and normalized(package) in map(requirement_name, requirements):
            chosen = project.settings.extras if kind == "extras" else project.settings.groups
            if name not in chosen:
                return kind, name
    return None


def listed_elsewhere(project: "Project", module: str, locked: Container[str]) -> tuple[str, str] | None:
    """Return the requirement in a Pipfile or another list of the project that was not locked and brings a module, with its place.

    Its name is that of the module or of the package that is known to have it, or, if it is the only one, a name that the module
    abbreviates: django-money for djmoney.
    """
    found: dict[str, tuple[str, str]] = {}
    for text, place in _listed(project):
        name = requirement_name(text)
        if name and "@" not in text and name not in locked:
            found[name] = text, place
    for name in (module, requirement_of_module(module) or ""):
        if (exact := found.get(requirement_name(name))) is not None:
            return exact
    longer = [listed for name, listed in found.items() if len(module) >= _MIN_ABBREVIATION and _abbreviates(module, name)]
    return longer[0] if len(longer) == 1 else None


def _listed(project: "Project") -> Iterator[tuple[str, str]]:
    """Yield the requirements in the project's other lists and its Pipfile, with their places."""
    for path in other_lists(project.root, project.files):
        with suppress(ProjectError, LockError):
            lines = read_requirements((path,), project.files).lines
            yield from ((line.text, line.place) for line in lines if line.requirement is not None)
    if project.files.is_file(project.root / "Pipfile"):
        with suppress(ProjectError):
            pipfile = read_pipfile(project.files, project.root / "Pipfile")
            yield from ((text, "Pipfile") for text in pipfile.metadata().dependencies)


def _abbreviates(module: str, name: str) -> bool:
    """Return whether a module's letters are in a package's name in their order, with the same two at the start and at the end."""
    short, whole = module.lower().replace("_", ""), name.replace("-", "")
    letters = iter(whole)
    return whole[:2] == short[:2] and whole[-2:] == short[-2:] and all(letter in letters for letter in short)


def _optional(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    project, groups = tables.get("project"), tables.get("dependency-groups")
    extras = project.get("optional-dependencies") if isinstance(project, Mapping) else None
    for kind, table in (("extras", extras), ("groups", groups)):
        for name, requirements in table.items() if isinstance(table, Mapping) else ():
            if isinstance(requirements, list):
                yield kind, name, [text for text in requirements if isinstance(text, str)]
