"""Names that packages and Python itself no longer have: code that imports them is older than the version that removed them."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from shipwheel.project.entrypoint.module import Module
from shipwheel.project.removed_names import REMOVAL_OF, Removal
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

__all__ = ["OldName", "old_names", "specifiers_of"]


class OldName(msgspec.Struct, frozen=True):
    """An import of a name that is gone: `place` says where, `day` is the last one on which the newest version had it.

    `ended_by` is the version without it ("flask 3.0"). `package` is the normalized name of a Python package, and `bound` the requirement
    for its versions with the name; both are empty for the standard library.
    """

    name: str
    place: str
    day: date
    ended_by: str
    package: str = ""
    bound: str = ""

    @property
    def reason(self) -> str:
        """A clause about what makes the code old."""
        return f"{self.place} uses {self.name}, which {self.ended_by} and later do not support"


_BROUGHT_BACK = ("standard-{}", "py{}", "zombie-{}")
"""Names of packages that have a removed module of Python."""
_NOW_IN = {"python-fasthtml": "fastlite"}
"""Package -> the one that has the names which it no longer brings: who requires that knows it."""


def old_names(modules: Iterable[Module], requirements: Sequence[str]) -> tuple[OldName, ...]:
    """Return the names that modules of a project import or call though they are gone, one for each release that removed some.

    A name does not count if the project's `requirements` (PEP 508) exclude all versions that had it, or bring it back, nor if a module of
    the project has it.
    """
    modules = tuple(modules)
    gone = [(module, line, *its) for module in modules for dotted, line in _uses(module) if (its := _removed(dotted)) is not None]
    # Most projects use none, and what parses requirements takes long to import.
    bounds = specifiers_of(requirements) if gone else {}
    own = {module.top_level for module in modules} | {(posixpath.dirname(module.file), _stem(module)) for module in modules}
    found: dict[Removal, OldName] = {}
    for module, line, name, removal in gone:
        if removal in found or _NOW_IN.get(removal.package) in bounds:
            continue
        if not all(bound.contains(removal.last) for bound in bounds.get(removal.package, ())):
            continue
        top = name.partition(".")[0]
        if top in own or (posixpath.dirname(module.file), top) in own or any(each.format(top) in bounds for each in _BROUGHT_BACK):
            continue
        bound = f"{removal.package}<{removal.version}" if removal.package else ""
        ended_by = f"{removal.package or 'Python'} {removal.version}"
        place = f"{module.file}, line {line},"
        found[removal] = OldName(name, place, removal.day - timedelta(days=1), ended_by, removal.package, bound)
    return tuple(sorted(found.values(), key=lambda each: each.day))


def _stem(module: Module) -> str:
    return posixpath.basename(module.file).removesuffix(".py")


def _uses(module: Module) -> Iterator[tuple[str, int]]:
    yield from module.required
    yield from module.required_calls


def _removed(dotted: str) -> tuple[str, Removal] | None:
    parts = dotted.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next(((name, removal) for name in names if (removal := REMOVAL_OF.get(name)) is not None), None)


def specifiers_of(requirements: Sequence[str]) -> "dict[str, list[SpecifierSet]]":
    """Return normalized name -> version specifiers of requirements (PEP 508); what is none is left out."""
    from packaging.requirements import InvalidRequirement, Requirement

    found: dict[str, list[SpecifierSet]] = {}
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        found.setdefault(normalized(requirement.name), []).append(requirement.specifier)
    return found
