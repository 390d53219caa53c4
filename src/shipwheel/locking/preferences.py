"""Keep locked versions when a lock is made again: a version changes if the user asks for it, or if it no longer satisfies.

uv prefers the versions in a project's existing uv.lock. A small one, made from shipwheel's lock, has all that uv needs for that.
"""

import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.events import Warned
from shipwheel.locking.diagnose.uv_errors import IndexUnavailable, ResolutionError
from shipwheel.locking.pylock import Lock
from shipwheel.project.pins import Pins
from shipwheel.versions import normalized

__all__ = ["Packages", "Upgrade", "pinned_packages", "preferred_packages", "unbuildable", "warn_of_moved", "with_pins", "write_preferences"]

Packages = tuple[Mapping[str, Any], ...]

_UNUSED_INDEX = "https://index.invalid/simple"
"""uv requires an index in the entries, but reads only their names and versions."""


class Upgrade(msgspec.Struct, frozen=True):
    """The packages that may change to newer versions: all, the named ones, or none."""

    everything: bool = False
    names: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.everything or bool(self.names)

    def covers(self, name: str) -> bool:
        """Return whether this package may change."""
        return self.everything or name in map(normalized, self.names)


def preferred_packages(lock: Lock | None, as_of: str, upgrade: Upgrade) -> Packages:
    """Return the packages of a lock that should keep their versions: none if the new lock is for another day.

    `as_of` is the day that the user chose for the new lock, or empty.
    """
    chosen_before = lock.parts.get("as-of", "") if lock is not None else ""
    if lock is None or upgrade.everything or (as_of != lock.as_of if as_of else chosen_before):
        return ()
    return tuple(package for package in lock.data.get("packages", []) if not upgrade.covers(package["name"]))


def pinned_packages(pins: Pins) -> Packages:
    """Return pins as packages that should have these versions."""
    return tuple({"name": name, "version": version, "wheels": ()} for name, version in pins.versions)


def with_pins(packages: Iterable[Mapping[str, Any]], pins: Pins) -> Packages:
    """Return the packages, with pins in place of those of the same name."""
    pinned = pinned_packages(pins)
    names = {package["name"] for package in pinned}
    return (*(package for package in packages if package["name"] not in names), *pinned)


def unbuildable(error: ResolutionError, preferred: Packages) -> str:
    """Return the name of the preferred package whose build failed; empty if the build of none did, or for want of a server."""
    built = "" if isinstance(error, IndexUnavailable) or error.failure.unreachable else error.failure.built
    return built if any(package["name"] == built for package in preferred) else ""


def warn_of_moved(
    preferred: Packages, locked: Iterable[Mapping[str, Any]], unbuildable: Container[str], origin: str, python: str
) -> Iterator[Warned]:
    """Yield warnings of the packages of the file `origin` that are locked at other versions, which nobody asked for."""
    versions = {package["name"]: package.get("version", "") for package in locked}
    moved = [
        (package["name"], f"{package['name']} {package['version']} ({now} is locked)")
        for package in preferred
        if (now := versions.get(package["name"])) and package.get("version") and not _is_same(package["version"], now)
    ]
    hint = "If the app needs one of these versions, state it in the requirements."
    if failed := [text for name, text in moved if name in unbuildable]:
        yield Warned(f"versions of {origin} cannot be built for Python {python}: {', '.join(failed)}", hint)
    if excluded := [text for name, text in moved if name not in unbuildable]:
        what = f"do not satisfy the requirements, or have no file for Python {python}"
        yield Warned(f"versions of {origin} {what}: {', '.join(excluded)}", hint)


def _is_same(version: str, locked: str) -> bool:
    """Return whether a locked version is one, which may have a local part (+cpu) that the other lacks."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version).public == Version(locked).public
    except InvalidVersion:
        return version == locked


def write_preferences(packages: Packages, folder: Path) -> None:
    """Write a uv.lock with the preferred packages beside the pyproject.toml in `folder`; remove it if there are none."""
    import tomli_w

    path = folder / "uv.lock"
    entries = list(_entries(packages))
    if not entries:
        path.unlink(missing_ok=True)
        return
    # Without the environments, uv would resolve for all Python versions at once, and refuse to.
    environments = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["environments"]
    head = {"version": 1, "requires-python": ">=3.7", "resolution-markers": environments}
    path.write_text(tomli_w.dumps({**head, "package": entries}), encoding="utf-8")


def _entries(packages: Packages) -> Iterator[dict[str, Any]]:
    for package in packages:
        vcs = package.get("vcs")
        if vcs is not None and vcs.get("type") == "git" and "url" in vcs:
            revision = f"?rev={vcs['requested-revision']}" if vcs.get("requested-revision") else ""
            source = {"git": f"{vcs['url']}{revision}#{vcs['commit-id']}"}
            yield {"name": package["name"], "version": package.get("version", "0"), "source": source}
        elif "version" in package and ("wheels" in package or "sdist" in package):
            yield {"name": package["name"], "version": package["version"], "source": {"registry": _UNUSED_INDEX}}
