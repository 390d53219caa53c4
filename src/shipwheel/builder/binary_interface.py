"""Needs of a compiled wheel at run time that it does not state: a package by whose C headers it was compiled, in a version that fits."""

import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from importlib.metadata import Distribution
from pathlib import Path

from shipwheel.files.elf import is_elf
from shipwheel.versions import normalized

__all__ = ["run_time_bounds"]


def run_time_bounds(wheel: Path, site_packages: Path) -> tuple[str, ...]:
    """Return constraints for the image of a wheel that was built with the packages in a directory: "numpy<2" if it had numpy 1.23.5.

    They name packages that the wheel requires, that have headers for others to compile with, and by whose names its programs and libraries
    look for them. Their binary interface is taken for that of their major version: what is compiled for one does not load with the next.
    """
    from packaging.version import Version

    with zipfile.ZipFile(wheel) as archive:
        required = {*_required(archive)}
        compiled = [data for name in archive.namelist() if is_elf(data := archive.read(name))]
    built_with = [(normalized(each.name), each) for each in map(Distribution.at, sorted(site_packages.glob("*.dist-info")))]
    return tuple(
        f"{name}<{Version(each.version).major + 1}"
        for name, each in built_with
        if name in required and any(word.encode() in data for word in _interfaces(each) for data in compiled)
    )


def _required(archive: zipfile.ZipFile) -> Iterator[str]:
    from packaging.requirements import InvalidRequirement, Requirement

    name = next(name for name in archive.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA"))
    metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace"))
    for text in metadata.get_all("Requires-Dist", ()):
        try:
            yield normalized(Requirement(text).name)
        except InvalidRequirement:
            continue


def _interfaces(distribution: Distribution) -> frozenset[str]:
    """Return the names of the packages that have the headers of a distribution, and its own; none if it has no headers."""
    headers = [path for path in distribution.files or () if path.suffix in (".h", ".hpp") and "include" in path.parts]
    return frozenset({distribution.name, *(path.parts[0] for path in headers)} - {"..", "include"} if headers else ())
