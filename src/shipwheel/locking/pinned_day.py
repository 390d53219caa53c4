"""Packages of the day of an old project's pins, for what it requires without naming it.

`flask==1.1.2` alone gets today's Jinja, with which that Flask does not start: what a package requires seldom has upper bounds. The newest
of the pinned versions shows when the list worked, so the packages that it does not name are taken as of the day of that version.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shipwheel.events import Warned
from shipwheel.locking.preferences import Packages
from shipwheel.versions import normalized

__all__ = ["PinnedDay", "day_of_pins"]

_OLD = datetime.timedelta(days=365)
_BOUNDS = frozenset({"==", "===", "~=", "<", "<="})
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class PinnedDay:
    """The day on which the newest of the bounded versions was published."""

    day: datetime.date

    def preferred(self, then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], added: Iterable[str]) -> Packages:
        """Return the packages of the lock of that day that are to keep their versions, in place of those of today's lock.

        What the image adds, a server, is of today. So is a package that has wheels today, and had none for this Python: its source may no
        longer be built.
        """
        with_wheels = {package["name"] for package in now if package.get("wheels")}
        own = {name for name, _ in _bounds(added)}
        return tuple(it for it in then if it["name"] not in own and (it.get("wheels") or it["name"] not in with_wheels))

    def warning(self, packages: Iterable[Mapping[str, Any]], today: Iterable[Mapping[str, Any]], origin: str) -> Warned:
        """Return the warning of the packages that have other versions than today's."""
        versions = {package["name"]: package.get("version") for package in today}
        moved = [
            f"{package['name']} {package['version']}" for package in packages if versions.get(package["name"]) != package.get("version")
        ]
        more = f" and {len(moved) - _MAX_NAMED} more" if len(moved) > _MAX_NAMED else ""
        named = f"{', '.join(moved[:_MAX_NAMED])}{more}"
        what = f"{origin} pins versions of {self.day} and before: what they require is of that day, too ({named})"
        return Warned(what, f"It has no later security fixes. --as-of {datetime.datetime.now(datetime.UTC).date()} takes today's versions.")


def day_of_pins(requirements: Sequence[str], packages: Sequence[Mapping[str, Any]], today: datetime.date) -> PinnedDay | None:
    """Return the day of the pins of direct requirements (PEP 508), with the packages that they were resolved to.

    None unless most of them have an upper bound, the newest bounded version is more than a year old, and something else is newer than that.
    """
    names = dict(_bounds(requirements))
    bounded = frozenset(name for name, is_bounded in names.items() if is_bounded)
    if not bounded or len(bounded) * 2 < len(names):
        return None
    published = {package["name"]: day for package in packages if (day := _published(package)) is not None}
    day = max((published[name] for name in bounded if name in published), default=None)
    if day is None or today - day < _OLD:
        return None
    newer = any(published[name] > day for name in published.keys() - bounded)
    return PinnedDay(day) if newer else None


def _bounds(requirements: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield the names of requirements, and whether each has an upper bound."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        yield normalized(requirement.name), any(each.operator in _BOUNDS for each in requirement.specifier)


def _published(package: Mapping[str, Any]) -> datetime.date | None:
    """Return the day on which the first file of a locked version was uploaded; None if the index does not say."""
    files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
    times = [time for file in files if isinstance(time := file.get("upload-time"), datetime.datetime)]
    return min(times).date() if times else None
