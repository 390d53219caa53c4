"""The files of a locked version that may be used: those that the user's hashes and options allow, and those that a platform lacks."""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import LockError
from shipwheel.events import Reporter, Warned
from shipwheel.locking import uv
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.pylock import file_name
from shipwheel.locking.target import python_tags
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform

__all__ = ["add_missing_files", "add_missing_wheels", "apply_format_options", "apply_hashes"]

_MACHINES = frozenset(Platform("linux", architecture).machine for architecture in DEBIAN_ARCHITECTURES)
_FILE_KEYS = frozenset({"wheels", "sdist", "archive", "vcs", "directory"})


def apply_hashes(package: dict[str, Any], hashes: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a package with only the files whose sha256 the user lists; unchanged if none is listed for its name.

    Raises LockError if no file is left.
    """
    known = hashes.get(package["name"])
    if not known:
        return package
    found = _only_known(package, known)
    if found.keys() & _FILE_KEYS:
        return found
    raise LockError(
        f"{package['name']} {package.get('version', '')}: no file in the index has a hash that the requirements list",
        hint="Someone changed the file or the hash: find out who before you continue. Then write the list again.",
    )


def apply_format_options(
    packages: Iterable[dict[str, Any]], no_binary: Mapping[str, str], only_binary: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the packages without the wheels, or without the sources, that a requirements file excludes.

    `no_binary` and `only_binary` map a name, or `:all:`, to the line with the option. A directory, archive or repository stays, as in pip.
    Raises LockError with all packages that no file is left of.
    """
    found, empty = [], []
    for package in packages:
        name, remaining = package["name"], package
        if name in no_binary or (":all:" in no_binary and name not in only_binary):
            remaining = {key: value for key, value in package.items() if key != "wheels"}
            option, place = "--no-binary", no_binary.get(name) or no_binary[":all:"]
        elif name in only_binary or ":all:" in only_binary:
            remaining = {key: value for key, value in package.items() if key != "sdist"}
            option, place = "--only-binary", only_binary.get(name) or only_binary[":all:"]
        if remaining is not package and not remaining.keys() & _FILE_KEYS:
            kind = "source distribution" if option == "--no-binary" else "wheel"
            empty.append(f"{place}: {name} {package.get('version', '')} has no {kind}, which {option} requires")
        found.append(remaining)
    if empty:
        raise LockError("\n".join(empty), hint="Choose another version, or change the option on that line.")
    return found


def _only_known(package: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    found = {key: value for key, value in package.items() if key not in ("wheels", "sdist")}
    wheels = [wheel for wheel in package.get("wheels", []) if wheel["hashes"].get("sha256") in known]
    if wheels:
        found["wheels"] = wheels
    if "sdist" in package and package["sdist"]["hashes"].get("sha256") in known:
        found["sdist"] = package["sdist"]
    return found


def add_missing_wheels(
    package: dict[str, Any], hashes: Mapping[str, tuple[str, ...]], minor: str, reporter: Reporter, origin: str
) -> dict[str, Any]:
    """Apply the hashes in another tool's lock, and add the index's wheels for the machines that the lock has no file for.

    Reports a warning for added wheels. Raises LockError if no file is left.
    """
    found = apply_hashes(package, hashes)
    if found is package or ("sdist" in found and not found.get("wheels")):
        return found
    added = [wheel for wheel in _wheels_for_others(package, _machines_of(found, minor), minor) if wheel not in found.get("wheels", [])]
    if not added:
        return found
    names = ", ".join(sorted(map(file_name, added)))
    reporter(Warned(f"{origin} lacks files of {package['name']} {package.get('version', '')}, which come from the index: {names}"))
    return {**found, "wheels": [*found.get("wheels", []), *added]}


def add_missing_files(pylock: dict[str, Any], request: LockRequest, reporter: Reporter) -> dict[str, Any]:
    """Return another tool's pylock.toml with the index's wheels for the machines that it has none for.

    `pip lock` only writes the files for one machine. A package that the index cannot be asked for stays as it is.
    """
    incomplete = {
        package["name"]: package
        for package in pylock.get("packages", [])
        if package.get("version") and package.get("wheels") and _machines_of(package, request.python) != _MACHINES
    }
    if not incomplete:
        return pylock
    with scratch_directory("shipwheel-files-") as folder:
        listed = folder / "incomplete.txt"
        listed.write_text("".join(f"{name}=={package['version']}\n" for name, package in incomplete.items()), encoding="utf-8")
        try:
            found = tomllib.loads(uv.list_files(folder, listed, request.python, exclude_newer=None))
        except (uv.UvFailed, tomllib.TOMLDecodeError):
            return pylock
    added = {
        package["name"]: _wheels_for_others(package, _machines_of(incomplete[package["name"]], request.python), request.python)
        for package in found.get("packages", [])
        if package.get("version") == incomplete[package["name"]].get("version")
    }
    names = sorted(name for name, wheels in added.items() if wheels)
    if names:
        reporter(Warned(f"pylock.toml lacks files for some platforms, which come from the index: {', '.join(names)}"))
    packages = [
        {**package, "wheels": [*package["wheels"], *added[package["name"]]]} if added.get(package["name"]) else package
        for package in pylock["packages"]
    ]
    return {**pylock, "packages": packages}


def _wheels_for_others(package: Mapping[str, Any], served: frozenset[str], minor: str) -> list[dict[str, Any]]:
    """Return the wheels for machines other than the served ones."""
    return [wheel for wheel in package.get("wheels", []) if _machines(file_name(wheel), minor) - served]


def _machines_of(package: Mapping[str, Any], minor: str) -> frozenset[str]:
    """Return the machines (x86_64, aarch64) that a package has wheels for, with any libc."""
    return frozenset().union(*(_machines(file_name(wheel), minor) for wheel in package.get("wheels", [])))


def _machines(filename: str, minor: str) -> frozenset[str]:
    parts = filename.removesuffix(".whl").split("-")
    if len(parts) < 5 or not {(python, abi) for python in parts[-3].split(".") for abi in parts[-2].split(".")} & python_tags(minor):
        return frozenset()
    tags = parts[-1].split(".")
    if "any" in tags:
        return _MACHINES
    return frozenset(machine for machine in _MACHINES for tag in tags if tag.endswith(machine) and tag.startswith(("manylinux", "linux")))
