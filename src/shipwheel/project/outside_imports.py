"""The imports of a project's files that lead out of it: what a project without any list of requirements needs."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from shipwheel.known_packages import COMMON_PACKAGES, PACKAGE_OF_MODULE, extends_django, requirement_of_module
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.outer_package import is_directory_itself, outer_package
from shipwheel.project.standard_library import EVERY_STANDARD_MODULE

__all__ = ["common_requirements", "outside_imports"]


def outside_imports(root: Path, modules: tuple[Module, ...]) -> tuple[tuple[str, str], ...]:
    """Return (absolute dotted name, "file, line N") of what a project's modules import unconditionally and neither it nor Python has."""
    known = EVERY_STANDARD_MODULE | set(_own_names(root, modules))
    found: dict[str, dict[str, str]] = {}
    for module in modules:
        for name, line in module.required:
            top = name.partition(".")[0]
            if top not in known and not outer_package(root, name):
                found.setdefault(top, {}).setdefault(name, f"{module.file}, line {line}")
    return tuple(place for names in found.values() if not is_directory_itself(root, names) for place in names.items())


def common_requirements(imports: Iterable[str]) -> tuple[str, ...] | None:
    """Return the requirements of the packages that have these modules, sorted; None unless all are packages that many projects require.

    Of any other, the package of a module's name may be a stranger's; so may the module of a Django application's name, without Django.
    """
    found = {requirement_of_module(name) or name.partition(".")[0].lower().replace("_", "-") for name in imports}
    known = {*COMMON_PACKAGES, *PACKAGE_OF_MODULE.values()}
    is_other = "django" not in found and any(map(extends_django, found))
    return tuple(sorted(found)) if found and found <= known and not is_other else None


def _own_names(root: Path, modules: tuple[Module, ...]) -> Iterator[str]:
    """Yield every name by which the project's own code could be imported."""
    for module in modules:
        yield from module.file.removesuffix(".py").split("/")
    # What the scan skips can be imported too: tests, scripts.
    yield from (entry.name.removesuffix(".py") for entry in os.scandir(root))
