"""Keep locked versions when a lock is made again: a version changes if the user asks for it, or if it no longer satisfies.

uv prefers the versions in a project's existing uv.lock. A small one, made from shipwheel's lock, has all that uv needs for that.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipwheel.locking.pylock import Lock
from shipwheel.versions import normalized

__all__ = ["Upgrade", "pinned_packages", "preferred_packages", "with_pins", "write_preferences"]

_UNUSED_INDEX = "https://index.invalid/simple"
"""uv requires an index in the entries, but reads only their names and versions."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The packages that may change to newer versions: all, the named ones, or none."""

    everything: bool = False
    names: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.everything or bool(self.names)

    def covers(self, name: str) -> bool:
        """Return whether this package may change."""
        return self.everything or name in map(normalized, self.names)


def preferred_packages(lock: Lock | None, as_of: str, upgrade: Upgrade) -> tuple[Mapping[str, Any], ...]:
    """Return the packages of a lock that should keep their versions: none if the new lock is for another day.

    `as_of` is the day that the user chose for the new lock, or empty.
    """
    chosen_before = lock.parts.get("as-of", "") if lock is not None else ""
    if lock is None or upgrade.everything or (as_of != lock.as_of if as_of else chosen_before):
        return ()
    return tuple(package for package in lock.data.get("packages", []) if not upgrade.covers(package["name"]))


def pinned_packages(pins: Iterable[tuple[str, str]]) -> tuple[Mapping[str, Any], ...]:
    """Return (name, version) pairs as packages that should have these versions."""
    return tuple({"name": name, "version": version, "wheels": ()} for name, version in pins)


def with_pins(packages: Iterable[Mapping[str, Any]], pins: Iterable[tuple[str, str]]) -> tuple[Mapping[str, Any], ...]:
    """Return the packages, with (name, version) pairs in place of those of the same name."""
    pinned = pinned_packages(pins)
    names = {package["name"] for package in pinned}
    return (*(package for package in packages if package["name"] not in names), *pinned)


def write_preferences(packages: tuple[Mapping[str, Any], ...], folder: Path) -> None:
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


def _entries(packages: tuple[Mapping[str, Any], ...]) -> Iterator[dict[str, Any]]:
    for package in packages:
        vcs = package.get("vcs")
        if vcs is not None and vcs.get("type") == "git" and "url" in vcs:
            revision = f"?rev={vcs['requested-revision']}" if vcs.get("requested-revision") else ""
            source = {"git": f"{vcs['url']}{revision}#{vcs['commit-id']}"}
            yield {"name": package["name"], "version": package.get("version", "0"), "source": source}
        elif "version" in package and ("wheels" in package or "sdist" in package):
            yield {"name": package["name"], "version": package["version"], "source": {"registry": _UNUSED_INDEX}}
