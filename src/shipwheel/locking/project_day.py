"""Packages of the day of an old project, for what it requires without an upper bound.

`flask==1.1.2` alone gets today's Jinja, with which that Flask does not start: what a package requires seldom has bounds. The newest of the
pinned versions shows when a list worked, so the packages that it does not name are taken as of the day of that version; where nothing is
pinned, as of the last commit, if that is long ago.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier

from shipwheel.events import Warned
from shipwheel.known_packages import PACKAGE_OF_MODULE
from shipwheel.locking.preferences import Packages
from shipwheel.locking.prune import has_linux_wheel
from shipwheel.project.old_names import OldName
from shipwheel.versions import normalized

__all__ = ["ProjectDay", "day_of_code", "day_of_commit", "day_of_lock", "day_of_pins", "moved_packages", "old_packages_note"]

_WITHOUT_SETUPTOOLS = datetime.date(2023, 10, 2)
"""Python 3.12, whose environments have no setuptools unless something requires it."""
_WITH_SETUPTOOLS = frozenset({"3.9", "3.10", "3.11"})
_FIRST = datetime.date(2021, 3, 14)
"""Five months after Python 3.9, the oldest that an image has: by then, packages had wheels for it. Older ones do not build with it.

A day later came SQLAlchemy 1.4, with which little works that is older.
"""
_BREAKING = (
    ("werkzeug<1.0", datetime.date(2020, 2, 6)),
    ("wtforms<2.3", datetime.date(2020, 4, 21)),
    ("vine<5.0", datetime.date(2020, 9, 6)),
    ("pyjwt<2.0", datetime.date(2020, 12, 22)),
)
"""(requirement for what was before, day) of releases before `_FIRST` with which packages that are older do not work."""
_OLD = datetime.timedelta(days=365)
_ABANDONED = datetime.timedelta(days=2 * 365)
_PINS = frozenset({"==", "==="})
_BOUNDS = _PINS | {"~=", "<", "<="}
_MAX_NAMED = 5
_NO_FIXES = "no later security fixes: `shipwheel lock --upgrade` takes today's versions"


class ProjectDay(msgspec.Struct, frozen=True):
    """A day as of which an old project's packages are taken, and the sentence that says why."""

    day: datetime.date
    reason: str
    bounds: tuple[str, ...] = ()
    """Requirements for the versions that the code is for, where nothing else bounds them."""
    assumed: tuple[str, ...] = ()
    """Requirements for what was before releases that broke older packages, unless something requires these."""

    def is_before(self, packages: Iterable[Mapping[str, Any]]) -> bool:
        """Return whether a package of a lock was published after the day, or the index does not tell when any was."""
        published = _published(packages)
        return not published or any(day > self.day for day in published.values())

    def missing(self, packages: Iterable[Mapping[str, Any]], minor: str = "") -> tuple[str, ...]:
        """Return the requirement that brings pkg_resources, if the lock lacks it.

        Every environment of that day had it, required or not, and later those of older Pythons still had: `minor` is the project's.
        """
        wanted = Requirement(PACKAGE_OF_MODULE["pkg_resources"])
        has = any(it["name"] == wanted.name and wanted.specifier.contains(it.get("version", "0")) for it in packages)
        had = self.day < _WITHOUT_SETUPTOOLS or minor in _WITH_SETUPTOOLS
        return (str(wanted),) if had and not has else ()

    def preferred(self, then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], added: Iterable[str], minor: str) -> Packages:
        """Return the packages of the lock of that day that are to keep their versions, in place of those of today's lock.

        Two kinds are of today: what the image adds (a server), and packages whose old version has no wheel for the Python `minor` where
        today's has one, since the old source may no longer build.
        """
        with_wheels = {package["name"] for package in now if has_linux_wheel(package, minor)}
        own = {name for name, _ in _bounds(added, ranges=True)}
        return tuple(it for it in then if it["name"] not in own and (has_linux_wheel(it, minor) or it["name"] not in with_wheels))

    def warning(self, moved: Sequence[str]) -> Warned:
        """Return the warning of the packages that have other versions than in today's lock ("jinja2 2.11.3")."""
        more = f" and {len(moved) - _MAX_NAMED} more" if len(moved) > _MAX_NAMED else ""
        what = f"{self.reason} ({', '.join(moved[:_MAX_NAMED])}{more})"
        return Warned(what, f"They have {_NO_FIXES}.")


def old_packages_note(day: str) -> tuple[str, ...]:
    """Return a sentence for the plan from the day that the lock records; none if it records none."""
    return (f"packages are of {day} and before, since the project is; they have {_NO_FIXES}",) if day else ()


def moved_packages(packages: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the packages that have other versions than in today's lock, with these ("jinja2 2.11.3")."""
    versions = {package["name"]: package.get("version") for package in now}
    return tuple(f"{it['name']} {it['version']}" for it in packages if versions.get(it["name"]) != it.get("version"))


def day_of_pins(
    requirements: Sequence[str], packages: Sequence[Mapping[str, Any]], today: datetime.date, commit: datetime.date | None, origin: str
) -> ProjectDay | None:
    """Return the day of the pins of direct requirements (PEP 508) in the file `origin`, with the packages that they were resolved to.

    `commit` is the day of the project's last one. A range counts as a pin only if that is more than a year ago: `numpy<2` is old in a
    project of today, too. None unless half of the requirements are pinned, and the newest of these versions is more than a year old.
    """
    names = dict(_bounds(requirements, ranges=commit is not None and today - commit >= _OLD))
    bounded = frozenset(name for name, is_bounded in names.items() if is_bounded)
    if not bounded or len(bounded) * 2 < len(names):
        return None
    published = _published(packages)
    day = max((published[name] for name in bounded if name in published), default=None)
    if day is None or today - day < _OLD:
        return None
    transitive = {package["name"] for package in packages} - names.keys()
    assumed = tuple(bound for bound, first in _BREAKING if day < first and bound.partition("<")[0] in transitive)
    reason = f"{origin} pins versions of {day} and before: what they require is of that time, too"
    return ProjectDay(max(day, _FIRST), reason, assumed=assumed)


def day_of_commit(commit: datetime.date | None, today: datetime.date) -> ProjectDay | None:
    """Return the day of a project's last commit; None if that is not years ago."""
    if commit is None or today - commit < _ABANDONED:
        return None
    return ProjectDay(max(commit, _FIRST), f"the last commit is of {commit}: what is not pinned is of that time, too")


def day_of_code(names: Iterable[OldName], packages: Iterable[Mapping[str, Any]], other: ProjectDay | None) -> ProjectDay | None:
    """Return the day of the oldest name that the code uses and the locked versions lack; `other` if they lack none, or it is older."""
    versions = {package["name"]: package.get("version", "0") for package in packages}
    missed = [each for each in names if each.package in versions and not Requirement(each.bound).specifier.contains(versions[each.package])]
    if not missed:
        return other
    oldest, bounds = min(missed, key=lambda each: each.day), tuple(each.bound for each in missed)
    if other is not None and other.day < oldest.day:
        return msgspec.structs.replace(other, bounds=bounds)
    return ProjectDay(max(oldest.day, _FIRST), f"{oldest.reason}: packages are of its time, too", bounds)


def day_of_lock(packages: Iterable[Mapping[str, Any]]) -> ProjectDay | None:
    """Return the day of the newest package that another tool locked; None if the index does not tell when any was published."""
    day = max(_published(packages).values(), default=None)
    return None if day is None else ProjectDay(day, f"the newest of the locked packages is of {day}")


def _bounds(requirements: Iterable[str], *, ranges: bool) -> Iterator[tuple[str, bool]]:
    """Yield the names of requirements, and whether each is pinned, or with `ranges` has an upper bound."""
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        yield normalized(requirement.name), any(_is_bound(each, ranges=ranges) for each in requirement.specifier)


def _is_bound(specifier: Specifier, *, ranges: bool) -> bool:
    return specifier.operator in _BOUNDS if ranges else specifier.operator in _PINS and not specifier.version.endswith(".*")


def _published(packages: Iterable[Mapping[str, Any]]) -> dict[str, datetime.date]:
    """Return the day on which the first file of each locked version was uploaded, as far as the index says."""
    found = {}
    for package in packages:
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        times = [time for file in files if isinstance(time := file.get("upload-time"), datetime.datetime)]
        if times:
            found[package["name"]] = min(times).date()
    return found
