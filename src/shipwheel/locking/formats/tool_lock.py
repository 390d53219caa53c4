"""The common shape of other tools' locks: packages pinned to versions, of which each target needs some.

The packages that a tool would install on a machine follow from the target's markers and the lock alone. Locks that do not say which groups
a package belongs to are followed along their graph of dependencies.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.errors import LockError
from shipwheel.locking.target import Target
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.project.requirements import Line, Requirements
from shipwheel.versions import normalized

__all__ = ["Dependency", "Entry", "ToolLock", "lacking", "parse_dependency", "requirements_for_linux"]


class Dependency(msgspec.Struct, frozen=True):
    """An edge of a lock's graph: a package with extras, under a marker, within a specifier (PEP 440)."""

    name: str
    extras: frozenset[str] = frozenset()
    marker: str = ""
    specifier: str = ""
    for_extras: frozenset[str] = frozenset()
    """The extras of the dependent package that need it; empty if the package itself does."""


class Entry(msgspec.Struct, frozen=True):
    """One package of a lock. `hashes` are sha256 in hex.

    `version` is empty if the tool left it open within `specifier`. `url` is the direct reference behind `name @` (PEP 508), empty for a
    package of an index; `index` is the name of the index that it is bound to, empty for any. `markers` has the marker of each group that
    the package belongs to; None if the lock does not say, and its graph has to be followed. `line` is the entry's line in the lock.
    """

    name: str
    version: str
    requires_python: str = ""
    markers: Mapping[str, str] | None = None
    dependencies: tuple[Dependency, ...] = ()
    hashes: tuple[str, ...] = ()
    url: str = ""
    line: int = 0
    extras: frozenset[str] = frozenset()
    specifier: str = ""
    index: str = ""


class ToolLock(msgspec.Struct, frozen=True):
    """A parsed lock, with the `direct` dependencies of the project and the chosen `groups`, under the tool's names for them.

    `changed` is the name of the project's file that was changed after the lock was written, empty if none was. `lacking` are then the
    packages that the project requires itself and the lock has not.
    """

    path: Path
    entries: tuple[Entry, ...]
    direct: tuple[Dependency, ...] = ()
    groups: frozenset[str] = frozenset()
    changed: str = ""
    lacking: tuple[str, ...] = ()
    locations: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The project's own requirements: the file, and the line if known, by name."""
    indexes: tuple[Mapping[str, Any], ...] = ()
    """Indexes that are not configured in pyproject.toml, in uv's form."""


def lacking(entries: Iterable[Entry], names: Iterable[str]) -> tuple[str, ...]:
    """Return the sorted names of packages that no entry has."""
    return tuple(sorted({*names} - {entry.name for entry in entries}))


def parse_dependency(text: str) -> Dependency:
    """Parse a requirement (PEP 508). Raises LockError."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise LockError(f"{text!r} is not a requirement: {str(error).splitlines()[0]}", hint="Make that lock again.") from None
    extras = frozenset(normalized(extra) for extra in found.extras)
    return Dependency(normalized(found.name), extras, str(found.marker or ""), str(found.specifier))


def _machine_targets(python: str) -> dict[str, Target]:
    """Return a target with a minor version of Python for each machine: a lock is read by the target's markers."""
    platforms = [Platform("linux", architecture) for architecture in DEBIAN_ARCHITECTURES]
    return {platform.machine: Target(platform, f"{python}.99", (2, 17)) for platform in platforms}


def requirements_for_linux(lock: ToolLock, python: str, extras: Sequence[str]) -> Requirements:
    """Return the packages that the tool would install on Linux as pinned requirements. Raises LockError.

    A package that only some machines need has a marker that says so.
    """
    targets = _machine_targets(python)
    machines: dict[int, list[str]] = {}
    for machine, target in targets.items():
        for number in _active(lock, _Markers(target), {normalized(extra) for extra in extras}):
            machines.setdefault(number, []).append(machine)
    lines: dict[tuple[str, str], Line] = {}
    for number, where in sorted(machines.items()):
        entry = lock.entries[number]
        marker = "" if len(where) == len(targets) else " or ".join(f"platform_machine == '{machine}'" for machine in where)
        named = f"[{','.join(sorted(entry.extras))}]" if entry.extras else ""
        pin = f" @ {entry.url}" if entry.url else f"=={entry.version}" if entry.version else entry.specifier
        head = f"{entry.name}{named}{pin}"
        lines.setdefault((head, marker), Line(f"{head} ; {marker}" if marker else head, lock.path, entry.line, entry.hashes))
    bound = {lock.entries[number].name: index for number in machines if (index := lock.entries[number].index)}
    return Requirements(tuple(lines.values()), files={lock.path: ""}, indexes=lock.indexes, index_of=bound)


class _Markers:
    """Evaluates markers for one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.results: dict[tuple[str, str], bool] = {}

    def hold(self, marker: str, extras: Iterable[str] = ()) -> bool:
        """Return whether a marker holds, without an extra or with one of `extras`. Raises LockError."""
        return not marker or any(self._holds(marker, extra) for extra in ("", *extras))

    def _holds(self, marker: str, extra: str) -> bool:
        from packaging.markers import InvalidMarker, Marker

        key = (marker, extra)
        if key not in self.results:
            try:
                self.results[key] = Marker(marker).evaluate({**self.target.markers(), "extra": extra})
            except InvalidMarker as error:
                raise LockError(f"{marker!r} is not a marker: {str(error).splitlines()[0]}", hint="Make that lock again.") from None
        return self.results[key]

    def accept_python(self, requires_python: str) -> bool:
        """Return whether an entry's `requires_python` accepts the target's minor version in any micro version."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        for part in requires_python.split("||") if requires_python else ():
            try:
                specifier = SpecifierSet("" if part.strip() == "*" else part.strip())
            except InvalidSpecifier:
                return True
            if any(specifier.contains(f"{self.target.minor}.{micro}", prereleases=True) for micro in (0, 2, 99)):
                return True
        return not requires_python


def _active(lock: ToolLock, markers: _Markers, extras: set[str]) -> Iterator[int]:
    """Yield the numbers of the entries that one target needs."""
    if not all(entry.markers is not None for entry in lock.entries):
        yield from _reachable(lock, markers)
        return
    for number, entry in enumerate(lock.entries):
        chosen = [marker for group, marker in (entry.markers or {}).items() if group in lock.groups]
        if markers.accept_python(entry.requires_python) and any(markers.hold(marker, extras) for marker in chosen):
            yield number


def _reachable(lock: ToolLock, markers: _Markers) -> set[int]:
    """Return the numbers of the entries that can be reached from the project's direct dependencies."""
    by_name: dict[str, list[int]] = {}
    for number, entry in enumerate(lock.entries):
        if markers.accept_python(entry.requires_python):
            by_name.setdefault(entry.name, []).append(number)
    reached: dict[int, set[str]] = {}
    queue = [dependency for dependency in lock.direct if markers.hold(dependency.marker)]
    for dependency in queue:
        for number in _matching(lock, by_name.get(dependency.name, []), dependency):
            is_new = number not in reached
            extras = reached.setdefault(number, set())
            new_extras = set(dependency.extras) - extras
            extras |= new_extras
            if is_new or new_extras:
                queue += [edge for edge in lock.entries[number].dependencies if _applies(edge, extras, markers)]
    return set(reached)


def _applies(edge: Dependency, extras: set[str], markers: _Markers) -> bool:
    return (not edge.for_extras or bool(edge.for_extras & extras)) and markers.hold(edge.marker, extras)


def _matching(lock: ToolLock, numbers: list[int], dependency: Dependency) -> list[int]:
    """Return the entries of the newest version that a dependency accepts, as an installer would choose it.

    Entries for extras that the dependency does not name are ignored.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    candidates = [number for number in numbers if lock.entries[number].extras <= dependency.extras]
    if len({lock.entries[number].version for number in candidates}) < 2:
        return candidates
    try:
        specifier = SpecifierSet(dependency.specifier)
        accepted = [number for number in candidates if specifier.contains(lock.entries[number].version, prereleases=True)] or candidates
        newest = max(Version(lock.entries[number].version) for number in accepted)
    except (InvalidSpecifier, InvalidVersion):
        return candidates
    return [number for number in accepted if Version(lock.entries[number].version) == newest]
