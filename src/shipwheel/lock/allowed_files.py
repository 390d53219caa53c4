"""Which files of a locked version may be used: those that a list or another tool's lock allows, and what it lacks for a platform."""

import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from shipwheel.errors import LockError
from shipwheel.events import Reporter, Warned
from shipwheel.lock import uv
from shipwheel.lock.inputs import LockRequest
from shipwheel.lock.target import python_tags
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform

__all__ = ["allowed", "completed", "formats", "lenient", "machines_served"]

_MACHINES = frozenset(Platform("linux", architecture).machine for architecture in DEBIAN_ARCHITECTURES)


def allowed(package: dict[str, Any], hashes: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Only the files whose hash the user's list gives, when it gives any. Raises LockError when none is left."""
    known = hashes.get(package["name"])
    if not known:
        return package
    kept = _kept(package, known)
    if kept.keys() & {"wheels", "sdist", "archive", "vcs", "directory"}:
        return kept
    raise LockError(
        f"{package['name']} {package.get('version', '')}: no file that the index has is one whose hash the requirements give",
        hint="Somebody changed the file or the hash: find out who before you go on. Then write the list again.",
    )


def formats(packages: Iterable[dict[str, Any]], no_binary: Mapping[str, str], only_binary: Mapping[str, str]) -> list[dict[str, Any]]:
    """The packages without the wheels, or without the sources, that a requirements file rules out; name or `:all:` -> where it says so.

    What has one place, such as a directory, is not touched, as pip does it. Raises LockError naming all of which nothing is left.
    """
    found, empty = [], []
    for package in packages:
        name, kept = package["name"], package
        if name in no_binary or (":all:" in no_binary and name not in only_binary):
            kept = {key: value for key, value in package.items() if key != "wheels"}
            option, place = "--no-binary", no_binary.get(name) or no_binary[":all:"]
        elif name in only_binary or ":all:" in only_binary:
            kept = {key: value for key, value in package.items() if key != "sdist"}
            option, place = "--only-binary", only_binary.get(name) or only_binary[":all:"]
        if kept is not package and not kept.keys() & {"wheels", "sdist", "archive", "vcs", "directory"}:
            kind = "source distribution" if option == "--no-binary" else "wheel"
            empty.append(f"{place}: {name} {package.get('version', '')} has no {kind}, which {option} wants")
        found.append(kept)
    if empty:
        raise LockError("\n".join(empty), hint="Choose another version, or change the option on that line.")
    return found


def _kept(package: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    kept = {key: value for key, value in package.items() if key not in ("wheels", "sdist")}
    wheels = [wheel for wheel in package.get("wheels", []) if wheel["hashes"].get("sha256") in known]
    if wheels:
        kept["wheels"] = wheels
    if "sdist" in package and package["sdist"]["hashes"].get("sha256") in known:
        kept["sdist"] = package["sdist"]
    return kept


def lenient(package: dict[str, Any], hashes: Mapping[str, tuple[str, ...]], minor: str, reporter: Reporter, origin: str) -> dict[str, Any]:
    """As `allowed`, but the wheels of a platform that the lock has no file for are added, and said. Raises LockError."""
    kept = allowed(package, hashes)
    if kept is package:
        return package
    served = machines_served(kept, minor)
    if "sdist" in kept and not kept.get("wheels"):
        return kept
    more = [
        wheel
        for wheel in package.get("wheels", [])
        if wheel not in kept.get("wheels", []) and _machines(_wheel_name(wheel), minor) - served
    ]
    if not more:
        return kept
    names = ", ".join(sorted(map(_wheel_name, more)))
    reporter(Warned(f"{origin} lacks files of {package['name']} {package.get('version', '')}, which come from the index: {names}"))
    return {**kept, "wheels": [*kept.get("wheels", []), *more]}


def completed(pylock: dict[str, Any], request: LockRequest, reporter: Reporter) -> dict[str, Any]:
    """Another tool's pylock.toml with the files of the machines that it has none for: `pip lock` writes those of one machine alone.

    They are taken from the index, for the locked versions. What the index cannot be asked for stays as it is.
    """
    lacking = {
        package["name"]: package
        for package in pylock.get("packages", [])
        if package.get("version") and package.get("wheels") and machines_served(package, request.python) != _MACHINES
    }
    if not lacking:
        return pylock
    with tempfile.TemporaryDirectory(prefix="shipwheel-files-") as place:
        listed = Path(place, "lacking.txt")
        listed.write_text("".join(f"{name}=={package['version']}\n" for name, package in lacking.items()), encoding="utf-8")
        try:
            found = tomllib.loads(uv.list_files(Path(place), listed, request.python, exclude_newer=None))
        except (uv.UvFailed, tomllib.TOMLDecodeError):
            return pylock
    added = {package["name"]: _added(lacking[package["name"]], package, request.python) for package in found.get("packages", [])}
    names = sorted(name for name, wheels in added.items() if wheels)
    if names:
        reporter(Warned(f"pylock.toml lacks files for some platforms, which come from the index: {', '.join(names)}"))
    packages = [
        {**package, "wheels": [*package["wheels"], *added[package["name"]]]} if added.get(package["name"]) else package
        for package in pylock["packages"]
    ]
    return {**pylock, "packages": packages}


def _added(mine: Mapping[str, Any], theirs: Mapping[str, Any], minor: str) -> list[dict[str, Any]]:
    if mine.get("version") != theirs.get("version"):
        return []
    served = machines_served(mine, minor)
    return [wheel for wheel in theirs.get("wheels", []) if _machines(_wheel_name(wheel), minor) - served]


def machines_served(package: Mapping[str, Any], minor: str) -> frozenset[str]:
    """The machines that a package's wheels serve, whatever their libc: x86_64, aarch64."""
    return frozenset().union(*(_machines(_wheel_name(wheel), minor) for wheel in package.get("wheels", [])))


def _machines(filename: str, minor: str) -> frozenset[str]:
    parts = filename.removesuffix(".whl").split("-")
    if len(parts) < 5 or not {(python, abi) for python in parts[-3].split(".") for abi in parts[-2].split(".")} & python_tags(minor):
        return frozenset()
    tags = parts[-1].split(".")
    if "any" in tags:
        return _MACHINES
    return frozenset(machine for machine in _MACHINES for tag in tags if tag.endswith(machine) and tag.startswith(("manylinux", "linux")))


def _wheel_name(wheel: Mapping[str, Any]) -> str:
    return unquote(str(wheel.get("name") or wheel.get("url") or wheel.get("path")).rpartition("/")[2])
