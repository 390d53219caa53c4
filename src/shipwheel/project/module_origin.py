"""The extra or dependency group of a project that would bring a module."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from shipwheel.project.project import Project

__all__ = ["extra_or_group_with"]

_FOR_DEVELOPERS = lazy_pattern(r"(?i)dev|test|doc|lint|typ(e|ing)|check|ci$|bench|example|build|release|all$")
"""Extras and groups that do not belong into an image because of one package."""

_NAME = lazy_pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def extra_or_group_with(project: "Project", package: str) -> tuple[str, str] | None:
    """Return ("extras" or "groups", name) of an extra or group that has a package, None if there is none but those for developers."""
    tables = project.files.read_tables(project.root)
    for kind, name, requirements in _optional(tables):
        if _FOR_DEVELOPERS.match(name) is None and normalized(package) in {
            normalized(match[0]) for text in requirements if (match := _NAME.match(text)) is not None
        }:
            chosen = project.settings.extras if kind == "extras" else project.settings.groups
            if name not in chosen:
                return kind, name
    return None


def _optional(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    project, groups = tables.get("project"), tables.get("dependency-groups")
    extras = project.get("optional-dependencies") if isinstance(project, Mapping) else None
    for kind, table in (("extras", extras), ("groups", groups)):
        for name, requirements in table.items() if isinstance(table, Mapping) else ():
            if isinstance(requirements, list):
                yield kind, name, [text for text in requirements if isinstance(text, str)]
