"""What the locks of other tools have in common: distributions pinned to a version, of which one target gets some.

What a tool would install is found for each machine by the target's markers, from what the lock says alone; its graph is followed where
it does not say which distributions belong to which group.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipwheel.errors import LockError
from shipwheel.lock.target import Target
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.project.requirements import Line, Requirements
from shipwheel.versions import normalized

__all__ = ["Asked", "Entry", "ToolLock", "active_lines", "asked_of", "machine_targets"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One edge of a lock's graph: a name with extras, under a marker, within specifiers (PEP 440)."""

    name: str
    extras: frozenset[str] = frozenset()
    marker: str = ""
    specifier: str = ""
    by_extra: frozenset[str] = frozenset()
    """Extras of the asker that this belongs to; none: it belongs to the asker itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One distribution of a lock. `version` is empty for one that the tool left open; `hashes` are sha256 in hex.

    `place` is what stands behind `name @`, empty for one of an index; `index` is the name of the index it is bound to, empty for any.
    `markers` has group -> marker when the lock says which groups it belongs to; None when its graph has to be followed.
    """

    name: str
    version: str
    requires_python: str = ""
    markers: Mapping[str, str] | None = None
    asks: tuple[Asked, ...] = ()
    hashes: tuple[str, ...] = ()
    place: str = ""
    line: int = 0
    extras: frozenset[str] = frozenset()
    specifier: str = ""
    """Within which the tool left the version open."""
    index: str = ""


@dataclass(frozen=True, slots=True)
class ToolLock:
    """A lock as it was read. `direct` are what the project itself asks for, `stale` says why it no longer fits the project, or ""."""

    path: Path
    entries: tuple[Entry, ...]
    direct: tuple[Asked, ...] = ()
    groups: frozenset[str] = frozenset()
    stale: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    """Name -> where the project asks for it."""
    indexes: tuple[Mapping[str, Any], ...] = ()
    """Indexes that stand in no pyproject.toml, as uv has them."""


def asked_of(text: str, by_extra: Iterable[str] = ()) -> Asked:
    """An edge from a requirement (PEP 508). Raises LockError."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise LockError(f"{text!r} is not a requirement: {str(error).splitlines()[0]}", hint="Make that lock again.") from None
    extras = frozenset(normalized(extra) for extra in found.extras)
    return Asked(normalized(found.name), extras, str(found.marker or ""), str(found.specifier), frozenset(by_extra))


def machine_targets(python: str) -> dict[str, Target]:
    """Machine -> a target of that Python's minor version on it, by whose markers a lock is read."""
    platforms = [Platform("linux", architecture) for architecture in DEBIAN_ARCHITECTURES]
    return {platform.machine: Target(platform, f"{python}.99", (2, 17)) for platform in platforms}


def active_lines(lock: ToolLock, python: str, extras: Sequence[str]) -> Requirements:
    """What the tool would install on Linux, as pinned lines; one that only some machines get says so. Raises LockError."""
    targets = machine_targets(python)
    machines: dict[int, list[str]] = {}
    for machine, target in targets.items():
        for number in _active(lock, _Holds(target), {normalized(extra) for extra in extras}):
            machines.setdefault(number, []).append(machine)
    lines: dict[tuple[str, str], Line] = {}
    for number, where in sorted(machines.items()):
        entry = lock.entries[number]
        marker = "" if len(where) == len(targets) else " or ".join(f"platform_machine == '{machine}'" for machine in where)
        named = f"[{','.join(sorted(entry.extras))}]" if entry.extras else ""
        pin = f" @ {entry.place}" if entry.place else f"=={entry.version}" if entry.version else entry.specifier
        head = f"{entry.name}{named}{pin}"
        lines.setdefault((head, marker), Line(f"{head} ; {marker}" if marker else head, lock.path, entry.line, entry.hashes))
    bound = {lock.entries[number].name: index for number in machines if (index := lock.entries[number].index)}
    return Requirements(tuple(lines.values()), files={lock.path: ""}, indexes=lock.indexes, index_of=bound)


class _Holds:
    """Markers of one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.known: dict[tuple[str, str], bool] = {}

    def __call__(self, marker: str, extras: Iterable[str] = ()) -> bool:
        from packaging.markers import InvalidMarker, Marker

        if not marker:
            return True
        for extra in ("", *extras):
            key = (marker, extra)
            if key not in self.known:
                try:
                    self.known[key] = Marker(marker).evaluate({**self.target.markers(), "extra": extra})
                except InvalidMarker as error:
                    raise LockError(f"{marker!r} is not a marker: {str(error).splitlines()[0]}", hint="Make that lock again.") from None
            if self.known[key]:
                return True
        return False

    def python(self, specifier: str) -> bool:
        """Whether an entry's `requires_python` takes this Python in any of its micro versions, of which the lock's tool knew nothing."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        for part in specifier.split("||") if specifier else ():
            try:
                wanted = SpecifierSet("" if part.strip() == "*" else part.strip())
            except InvalidSpecifier:
                return True
            if any(wanted.contains(f"{self.target.minor}.{micro}", prereleases=True) for micro in (0, 2, 99)):
                return True
        return not specifier


def _active(lock: ToolLock, holds: _Holds, extras: set[str]) -> Iterator[int]:
    """The numbers of the entries that one target gets."""
    if all(entry.markers is not None for entry in lock.entries):
        for number, entry in enumerate(lock.entries):
            markers = [marker for group, marker in (entry.markers or {}).items() if group in lock.groups]
            if holds.python(entry.requires_python) and any(holds(marker, extras) for marker in markers):
                yield number
        return
    yield from _reached(lock, holds)


def _reached(lock: ToolLock, holds: _Holds) -> set[int]:
    """By following the graph from what the project asks for."""
    known: dict[str, list[int]] = {}
    for number, entry in enumerate(lock.entries):
        if holds.python(entry.requires_python):
            known.setdefault(entry.name, []).append(number)
    found: dict[int, set[str]] = {}
    queue = [asked for asked in lock.direct if holds(asked.marker)]
    for asked in queue:
        for number in _fitting(lock, known.get(asked.name, []), asked):
            new = number not in found
            extras = found.setdefault(number, set())
            fresh = set(asked.extras) - extras
            extras |= fresh
            if new or fresh:
                queue += [edge for edge in lock.entries[number].asks if _follows(edge, extras, holds)]
    return set(found)


def _follows(edge: Asked, extras: set[str], holds: _Holds) -> bool:
    return (not edge.by_extra or bool(edge.by_extra & extras)) and holds(edge.marker, extras)


def _fitting(lock: ToolLock, numbers: list[int], asked: Asked) -> list[int]:
    """Of several versions of one name the newest that the asker takes, as an installer would; entries for other extras do not count."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    mine = [number for number in numbers if lock.entries[number].extras <= asked.extras]
    if len({lock.entries[number].version for number in mine}) < 2:
        return mine
    try:
        wanted = SpecifierSet(asked.specifier)
        fitting = [number for number in mine if wanted.contains(lock.entries[number].version, prereleases=True)] or mine
        newest = max(Version(lock.entries[number].version) for number in fitting)
    except (InvalidSpecifier, InvalidVersion):
        return mine
    return [number for number in fitting if Version(lock.entries[number].version) == newest]
