"""Frameworks whose applications became ASGI: older versions of them are served through WSGI."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from shipwheel.project.old_names import specifiers_of
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

__all__ = ["still_wsgi"]

_BECAME_ASGI = {"connexion": (3, date(2023, 11, 1))}
"""Python package -> its first major version whose applications are ASGI, and the day of that."""


def still_wsgi(requirements: Sequence[str], day: date | None) -> frozenset[str]:
    """Return the frameworks that a project gets in a version whose applications are WSGI, other than today's.

    Its `requirements` (PEP 508) bound them so, or they leave it open and `day`, the last of an old project, is before.
    """
    # Most projects require none, and what parses requirements takes long to import.
    named = [text for text in requirements if any(name in normalized(text) for name in _BECAME_ASGI)]
    bounds = specifiers_of(named) if named else {}
    found = set()
    for name in _BECAME_ASGI.keys() & bounds:
        major, first_day = _BECAME_ASGI[name]
        is_older = [_is_older(bound, major) for bound in bounds[name]]
        if True in is_older or (False not in is_older and day is not None and day < first_day):
            found.add(name)
    return frozenset(found)


def _is_older(bound: "SpecifierSet", major: int) -> bool | None:
    """Return whether a specifier allows only versions before this major one; None if it allows both."""
    from packaging.version import Version

    for each in bound:
        if each.operator == "===":
            # Any text may follow.
            continue
        version = Version(each.version.removesuffix(".*"))
        if each.operator in ("==", "~="):
            return version.major < major
        if each.operator in ("<", "<="):
            return version.major < major or version == Version(str(major)) or None
        if each.operator in (">=", ">") and version.major >= major:
            return False
    return None
