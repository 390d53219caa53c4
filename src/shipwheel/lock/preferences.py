"""What was locked is preferred when a lock is made again: versions move when they are told to, or when they no longer satisfy.

uv prefers what an existing uv.lock of the project has; a small one is written from our lock, which holds all that it needs.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipwheel.lock.pylock import Lock
from shipwheel.versions import normalized

__all__ = ["Upgrade", "prefer", "preferred"]

_NOWHERE = "https://index.invalid/simple"
"""uv wants an index for what it prefers, and does not ask it: only name and version count."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Which distributions may move to newer versions: all, those named, or none without need."""

    everything: bool = False
    names: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self.everything or bool(self.names)

    def covers(self, name: str) -> bool:
        """Whether this distribution may move."""
        return self.everything or name in {normalized(given) for given in self.names}


def preferred(lock: Lock | None, as_of: str, upgrade: Upgrade) -> tuple[Mapping[str, Any], ...]:
    """The lock's packages that should stay as they are: none when another day is asked for than for the lock, or none any more."""
    asked = lock.parts.get("as-of", "") if lock is not None else ""
    if lock is None or upgrade.everything or (as_of != lock.as_of if as_of else asked):
        return ()
    return tuple(package for package in lock.data.get("packages", []) if not upgrade.covers(package["name"]))


def prefer(packages: tuple[Mapping[str, Any], ...], folder: Path) -> None:
    """Writes the uv.lock that uv takes its preferences from, beside the pyproject.toml; removes it when nothing is preferred."""
    import tomli_w

    path = folder / "uv.lock"
    known = list(_packages(packages))
    if not known:
        path.unlink(missing_ok=True)
        return
    # Without the environments uv would resolve for every Python version at once, and refuse what the project does.
    environments = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["environments"]
    head = {"version": 1, "requires-python": ">=3.7", "resolution-markers": environments}
    path.write_text(tomli_w.dumps({**head, "package": known}), encoding="utf-8")


def _packages(packages: tuple[Mapping[str, Any], ...]) -> Iterator[dict[str, Any]]:
    for package in packages:
        vcs = package.get("vcs")
        if vcs is not None and vcs.get("type") == "git" and "url" in vcs:
            asked = f"?rev={vcs['requested-revision']}" if vcs.get("requested-revision") else ""
            source = {"git": f"{vcs['url']}{asked}#{vcs['commit-id']}"}
            yield {"name": package["name"], "version": package.get("version", "0"), "source": source}
        elif "version" in package and ("wheels" in package or "sdist" in package):
            yield {"name": package["name"], "version": package["version"], "source": {"registry": _NOWHERE}}
