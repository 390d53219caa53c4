"""Distributions that no file serves on a target: why, what there is, and what could be done about it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from shipwheel.errors import LockError
from shipwheel.lock.target import Target, python_tags

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["Another", "Instead", "Missing", "Unserved", "Why", "is_for_others", "is_foreign", "systems", "why_unserved"]

Why = Literal["system", "python", "machine", "libc", "other"]
"""What a distribution's files do not fit."""

_HOME = re.compile(r"linux|manylinux|musllinux|any$")
"""Platform tags that some Linux may use."""

_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_(.+)")
_SYSTEMS = {"win": "Windows", "macosx": "macOS", "ios": "iOS", "android": "Android"}
_SHOWN = 6
"""Files that an error names: what differs between them is their tags."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A distribution without a usable file, for which `reason` says why in words.

    `wheels` and `source` are the names of the files that it has, `way` is how the project comes to it.
    """

    name: str
    version: str
    why: Why
    reason: str
    wheels: tuple[str, ...]
    source: str
    way: str

    @property
    def label(self) -> str:
        """What reports call it: `numpy 1.26.4`."""
        return f"{self.name} {self.version}".strip()

    def text(self, targets: Sequence[Target], instead: "Instead") -> str:
        """Some lines of an error: what is missing where, what there is, who wants it, what would do."""
        lines = [f"{self.label} has no file for {'; '.join(map(str, targets))}: {self.reason}"]
        lines += [f"it has: {_short(self.wheels)}"] if self.wheels else []
        if self.wheels and self.source:
            lines.append(f"its source {self.source} is not used: it gives a platform wheel, and building those comes later")
        return "\n  ".join((*lines, f"wanted by: {self.way}", *instead.lines))


@dataclass(frozen=True, slots=True)
class Another:
    """Another Python: what the user knows it by, the flags that choose it, and the target that it makes."""

    name: str
    flags: str
    target: Target


@dataclass(frozen=True, slots=True)
class Instead:
    """What would do in place of a missing distribution, as far as the index could be asked: nothing known where it was not.

    `older` and `newer` are the nearest versions that serve all the targets in question, `partly` is said of those that serve one;
    `pythons` are those that the version itself has files for.
    """

    asked: bool = False
    older: str = ""
    newer: str = ""
    partly: tuple[str, ...] = ()
    pythons: tuple[Another, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """For an error's text."""
        if not self.asked:
            return ()
        near = [f"{version} ({which})" for version, which in ((self.older, "older"), (self.newer, "newer")) if version]
        versions = f"nearest versions that would do: {', '.join(near)}" if near else "no other version would do"
        pythons = (f"this version is there for {'; '.join(python.name for python in self.pythons)}",) if self.pythons else ()
        return (versions, *self.partly, *pythons)


class Unserved(LockError):
    """Locked distributions that no file serves: `missing` says which on which targets; `targets` are all that were asked for.

    `instead` is what the index has in their place, `tried` the other Python versions that would not do either.
    """

    def __init__(
        self,
        missing: Mapping[Missing, Sequence[Target]],
        targets: Sequence[Target],
        instead: Mapping[Missing, Instead] = MappingProxyType({}),
        tried: Sequence[str] = (),
    ) -> None:
        self.missing = missing
        self.targets = targets
        self.tried = tried
        texts = [problem.text(where, instead.get(problem, Instead())) for problem, where in missing.items()]
        super().__init__("\n".join(texts), hint=_hint(missing, targets, instead, tried))


def _hint(
    missing: Mapping[Missing, Sequence[Target]], targets: Sequence[Target], instead: Mapping[Missing, Instead], tried: Sequence[str]
) -> str:
    """The choices that there are."""
    if all(problem.why == "system" for problem in missing):
        names = ", ".join(problem.name for problem in missing)
        return f"What runs on other systems alone needs a marker that says so ({names} ; sys_platform == 'win32'), or must go."
    choices = [_pythons(missing, instead, tried), _versions(missing, instead), _platforms(missing, targets), _markers(missing)]
    if any(problem.source for problem in missing):
        choices.append("a wheel that you build of its source on such a machine, named in the requirements")
    vain = f"They cannot be had for Python {', '.join(tried)} either. " if tried else ""
    return f"{vain}Choose {', or '.join(filter(None, choices)) or 'to do without them'}."


def _versions(missing: Mapping[Missing, Sequence[Target]], instead: Mapping[Missing, Instead]) -> str:
    known = [f"{problem.name} {found.newer or found.older}" for problem, found in instead.items() if found.newer or found.older]
    if known:
        return ", ".join(known)
    vain = all(problem in instead and not instead[problem].partly for problem in missing)
    return "" if vain else "another version of these"


def _pythons(missing: Mapping[Missing, Sequence[Target]], instead: Mapping[Missing, Instead], tried: Sequence[str]) -> str:
    known = [{python.flags: python.name for python in instead[problem].pythons} for problem in missing if problem in instead]
    if len(known) == len(missing) and (flags := next((it for it in known[0] if all(it in other for other in known)), None)):
        return f"{known[0][flags]} ({flags})"
    if tried or not any(problem.why in ("python", "libc") for problem in missing):
        return ""
    return "another Python version (--python; a newer one brings a newer glibc)"


def _markers(missing: Mapping[Missing, Sequence[Target]]) -> str:
    """For what a machine has no file of: who does not need it there can say so."""
    lacking = [(problem, where) for problem, where in missing.items() if problem.why == "machine"]
    if not lacking:
        return ""
    problem, where = lacking[0]
    return f"a marker where it is not needed ({problem.name} ; platform_machine != '{where[0].platform.machine}')"


def _platforms(missing: Mapping[Missing, Sequence[Target]], targets: Sequence[Target]) -> str:
    lacking = {target.platform for where in missing.values() for target in where}
    served = [str(target.platform) for target in targets if target.platform not in lacking]
    return f"only the platforms that have all files (--platform {','.join(served)})" if served else ""


def why_unserved(tags: Sequence["Tag"], target: Target) -> tuple[Why, str]:
    """Which of the ways of not fitting comes nearest, for the tags of all of a distribution's wheels; in words too."""
    if is_foreign(tags):
        return "system", f"its wheels are for {systems(tags)} only"
    usable = python_tags(target.minor)
    python = [tag for tag in tags if (tag.interpreter, tag.abi) in usable]
    if not python:
        return "python", f"no wheel is for Python {target.minor}"
    machine = [tag.platform for tag in python if tag.platform.endswith(target.platform.machine)]
    if not machine:
        return "machine", f"no wheel is for {target.platform.machine}"
    needed = [(int(found[1]), int(found[2])) for platform in machine if (found := _GLIBC.match(platform))]
    if target.musl:
        return "other", "its wheels are for glibc only, and the base has musl" if needed else "no wheel fits"
    if needed:
        return "libc", f"its wheels need glibc {'.'.join(map(str, min(needed)))} or newer"
    if any(platform.startswith("musllinux") for platform in machine):
        return "other", "its wheels are for musl only, and the base has glibc"
    return "other", "no wheel fits"


def is_foreign(tags: Sequence["Tag"]) -> bool:
    """Whether all of a distribution's wheels, which has some, are for other systems."""
    return bool(tags) and not any(_HOME.match(tag.platform) for tag in tags)


def is_for_others(tags: Sequence["Tag"], target: Target) -> bool:
    """Whether all of a distribution's wheels, which has some, are for other machines than the target's."""
    return bool(tags) and not any(tag.platform == "any" or tag.platform.endswith(target.platform.machine) for tag in tags)


def systems(tags: Sequence["Tag"]) -> str:
    """The systems that wheels are for: "Windows, macOS"."""
    return ", ".join(sorted({_system(tag) for tag in tags}))


def _system(tag: "Tag") -> str:
    return next((name for start, name in _SYSTEMS.items() if tag.platform.startswith(start)), tag.platform)


def _short(names: Sequence[str]) -> str:
    tails = sorted({"-".join(name.removesuffix(".whl").split("-")[-3:]) for name in names})
    more = f" and {len(tails) - _SHOWN} more" if len(tails) > _SHOWN else ""
    return ", ".join(tails[:_SHOWN]) + more
