"""Lines that `pip freeze` wrote and that only the machine it ran on could install.

conda builds packages in directories that exist nowhere else, Debian's virtualenv shows a package of its own, and backports of what Python 3
has itself cannot be built any more, or would never be imported: the standard library comes first on the import path.
"""

import os
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.standard_library import standard_library
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["elsewhere"]

_PART_OF_SETUPTOOLS = {"distribute": "an old name of setuptools", "pkg-resources": "a part of setuptools"}
_OF_PYTHON_3 = frozenset({"futures"})
"""Backports for Python 2 with other names than the modules of Python 3: futures brings concurrent.futures."""
_BACKPORTED = standard_library("3.14")
_VERSION = lazy_pattern(r"(?:2[67]|3[234])$")
"""The Python that a backport is from or for, in its name: enum34, functools32."""
_OF_CONDA = lazy_pattern(r"_\d{9,}/work(/|$)")
"""The end of a directory in which conda builds, NAME_TIME/work. The index may have a stranger's like of what comes from any other one."""


def elsewhere(requirement: "Requirement") -> tuple[str, str] | None:
    """Return (what to install instead, why) for a requirement that no other machine can install; None for any other.

    Nothing is installed in place of what comes with Python or setuptools. A line with a marker says itself where it counts, and one with a
    URL is no backport of the index.
    """
    name = normalized(requirement.name) if requirement.marker is None and requirement.url is None else ""
    if (reason := _PART_OF_SETUPTOOLS.get(name)) is not None:
        return "", f"{requirement.name} is {reason}"
    module = name.replace("-", "_")
    if module in _BACKPORTED or _VERSION.sub("", module) in _BACKPORTED or name in _OF_PYTHON_3:
        return "", f"{requirement.name} is in Python's standard library"
    path = unquote(urlsplit(requirement.url).path) if (requirement.url or "").startswith("file:") else ""
    if not _OF_CONDA.search(path) or os.path.exists(path):  # noqa: PTH110 - False for a name that the file system cannot have
        return None
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras}{marker}", f"conda built it in {path} of another machine"
