"""Packages that uv refuses because they have no wheel for the Python version in question, on any system, and no source.

They are locked nevertheless, with the files that they have: the selection of files knows the targets, and reports what is missing for
each of them and why.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from shipwheel.locking.diagnose.lookup import Lookup
from shipwheel.locking.synthetic import SYNTHETIC, Synthetic
from shipwheel.locking.uv_output import Failure
from shipwheel.versions import requirement_name

__all__ = ["PackageWithoutWheels", "package_without_wheels"]

_NEVER = "python_version < '0'"


class PackageWithoutWheels(msgspec.Struct, frozen=True):
    """A package as a pylock.toml has it, with all its files, and the names of the packages that depend on it."""

    package: Mapping[str, Any]
    dependents: tuple[str, ...]

    def removed_from(self, synthetic: Synthetic) -> Synthetic:
        """Return the project without the package, whatever depends on it."""
        settings, name = synthetic.settings, str(self.package["name"])
        # An override with a version, as the lock of another tool gives one for each package, would ask for it again.
        others = [text for text in settings.get("override-dependencies", []) if requirement_name(text) != name]
        overrides = [*others, f"{name} ; {_NEVER}"]
        return replace(synthetic, settings={**settings, "override-dependencies": overrides})

    def added_to(self, graph: Mapping[str, Any], pylock: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return uv's lock and the pylock.toml of that project with the package in both."""
        name = str(self.package["name"])
        locked = list(graph.get("package", []))
        dependents = set(self.dependents) & {package["name"] for package in locked} or {SYNTHETIC}
        packages = [
            {**package, "dependencies": [*package.get("dependencies", []), {"name": name}]} if package["name"] in dependents else package
            for package in locked
        ]
        return {**graph, "package": [*packages, {"name": name}]}, {**pylock, "packages": [*pylock.get("packages", []), dict(self.package)]}


def package_without_wheels(failure: Failure, lookup: Lookup) -> PackageWithoutWheels | None:
    """Return the first package that uv refused for want of a wheel, with all its files; None if uv failed for another reason."""
    if not failure.unusable:
        return None
    unusable = failure.unusable[0]
    package = lookup.every_file(unusable.name, unusable.specifier)
    return PackageWithoutWheels(package, unusable.dependents) if package is not None and package.get("wheels") else None
