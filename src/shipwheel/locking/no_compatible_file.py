"""The error for locked packages that have no file for a target: why, which files there are, and what can be done about it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from shipwheel.errors import LockError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking.target import Target, python_tags
from shipwheel.platform import Platform
from shipwheel.suites import python_released

if TYPE_CHECKING:
    from packaging.tags import Tag

    from shipwheel.locking.pylock import Lock

__all__ = [
    "Alternatives",
    "Mismatch",
    "MissingFile",
    "NoCompatibleFile",
    "OtherPython",
    "SlowSources",
    "find_mismatch",
    "only_for_other_machines",
    "only_for_other_systems",
    "replacement_setting",
    "system_names",
]

_LINUX = lazy_pattern(r"linux|manylinux|musllinux|any$")
"""Platform tags of wheels that some Linux can use."""

_MANYLINUX = lazy_pattern(r"manylinux_(\d+)_(\d+)_(.+)")
_SYSTEMS = {"win": "Windows", "macosx": "macOS", "ios": "iOS", "android": "Android"}
_WINDOWS, _NOT_LINUX = "sys_platform == 'win32'", "sys_platform != 'linux'"
_MAX_REPORTED_FILES = 6
_SLOW_WHEEL_BYTES = 2_000_000
"""The size of a wheel whose source takes minutes to compile, if it has much more than one extension module."""


class Mismatch(Enum):
    """The part of a target that the files of a package do not match."""

    SYSTEM = auto()
    """Linux."""
    PYTHON = auto()
    MACHINE = auto()
    LIBC = auto()
    OTHER = auto()


class MissingFile(msgspec.Struct, frozen=True):
    """A locked package without a usable file; `reason` says why in words.

    `wheels` and `sdist` are the names of the files that it has; `chain` is the path of dependencies from the project to it.
    `can_compile` is true if a source of it may serve the target. `published` is the day of its newest file, None where the index does not
    say. `size` is that of its largest wheel, in bytes.
    """

    name: str
    version: str
    mismatch: Mismatch
    reason: str
    wheels: tuple[str, ...]
    sdist: str
    chain: str
    can_compile: bool = False
    published: date | None = None
    size: int = 0

    def is_slow(self, minor: str) -> bool:
        """Return whether its source is large, and older than a Python: to compile it takes minutes, and fails more often than not."""
        is_older = self.mismatch is Mismatch.PYTHON and self.published is not None and self.published < python_released(minor)
        return self.can_compile and is_older and self.size >= _SLOW_WHEEL_BYTES

    @property
    def label(self) -> str:
        """The name and the version: `numpy 1.26.4`."""
        return f"{self.name} {self.version}".strip()

    @property
    def system_marker(self) -> str:
        """The requirement with a marker for the systems that its wheels are for: `pywinpty ; sys_platform == 'win32'`."""
        windows = all(name.removesuffix(".whl").rpartition("-")[2].startswith("win") for name in self.wheels)
        return f"{self.name} ; {_WINDOWS if windows else _NOT_LINUX}"

    def describe(self, targets: Sequence[Target], alternatives: "Alternatives") -> str:
        """Return a paragraph for an error: what is missing for which targets, the existing files, what requires it, the alternatives."""
        lines = [f"{self.label} has no file for {'; '.join(map(str, targets))}: {self.reason}"]
        lines += [f"it has: {_shortened(self.wheels)}"] if self.wheels else []
        if self.wheels and self.sdist:
            lines.append(f"its source {self.sdist} is not used: {_why_unused(self)}")
        return "\n  ".join((*lines, f"required by: {self.chain}", *alternatives.lines))


def _why_unused(file: MissingFile) -> str:
    if file.can_compile:
        return "the lock does not say that it is compiled, or other files are missing as well"
    return "nothing says that it works with Linux and this Python"


class OtherPython(msgspec.Struct, frozen=True):
    """Another Python version: its name for the user, the flags that choose it, and the target that it makes.

    `only` are the platforms that it has files for, where it has none for others.
    """

    name: str
    flags: str
    target: Target
    only: tuple[Platform, ...] = ()

    @property
    def everywhere(self) -> bool:
        """True if it has files for all platforms."""
        return not self.only


class Alternatives(msgspec.Struct, frozen=True):
    """Replacements for a missing file. `known` is false if the index could not be asked.

    `older` and `newer` are the nearest versions that have files for all the targets in question. `by_platform` describes the nearest
    versions for single platforms, where no version serves all of them. `pythons` are those for which the locked version has files.
    `sibling` is a package with another name, and its version, that has files for all of the targets: "psycopg2-binary 2.9.10".
    """

    known: bool = False
    older: str = ""
    newer: str = ""
    by_platform: tuple[str, ...] = ()
    pythons: tuple[OtherPython, ...] = ()
    sibling: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of an error's text."""
        if not self.known:
            return ()
        nearest = [f"{version} ({which})" for version, which in ((self.older, "older"), (self.newer, "newer")) if version]
        versions = f"nearest versions with files: {', '.join(nearest)}" if nearest else "no other version has files"
        pythons = (f"this version has files for {'; '.join(python.name for python in self.pythons)}",) if self.pythons else ()
        sibling = (f"{self.sibling} has files; it is a package of its own: see who publishes it",) if self.sibling else ()
        return (versions, *self.by_platform, *pythons, *sibling)

    def choices(self, name: str) -> tuple[str, ...]:
        """Return what the user can choose in place of the version of a package: a Python, another version, a sibling."""
        python = next(iter(self.pythons), None)
        version = self.newer or self.older
        return (
            *([f"{python.name} ({python.flags})"] if python is not None else []),
            *([f"{name} {version}"] if version else []),
            *([replacement_setting(name, self.sibling)] if self.sibling else []),
        )

    def replacements(self, name: str) -> dict[str, str]:
        """Return the setting `replace` that takes the nearest version, or else a sibling, in place of that of a package; empty for none."""
        version = self.newer or self.older
        instead = f"{name}=={version}" if version else self.sibling.replace(" ", "==")
        return {name: instead} if instead else {}


def replacement_setting(name: str, sibling: str) -> str:
    """Return the setting that takes a sibling ("psycopg2-binary 2.9.10") in place of a package."""
    return f'{sibling} ([tool.shipwheel.replace] {name} = "{sibling.replace(" ", "==")}")'


class NoCompatibleFile(LockError):
    """Locked packages have no file for a target.

    `missing` says which, and for which targets; `targets` are all that were asked for. `alternatives` are what the index has instead;
    `tried` are the other Python versions that do not help either. `lock` has the packages.
    """

    def __init__(
        self,
        missing: Mapping[MissingFile, Sequence[Target]],
        targets: Sequence[Target],
        alternatives: Mapping[MissingFile, Alternatives] = MappingProxyType({}),
        tried: Sequence[str] = (),
        lock: "Lock | None" = None,
        replacements: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.lock = lock
        self.missing = missing
        self.targets = targets
        self.tried = tried
        self.alternatives = alternatives
        hint = _Hint(missing, targets, alternatives, tried)
        super().__init__(
            "\n".join(file.describe(where, alternatives.get(file, Alternatives())) for file, where in missing.items()),
            hint=hint.text(),
            hint_without_python="" if hint.another_python_may_help else None,
            summary="; ".join(f"{file.label}: {file.reason}" for file in missing),
            replacements=replacements,
        )

    @property
    def to_compile(self) -> frozenset[str]:
        """The names of the packages that would be compiled; empty if that does not help with all of them."""
        return frozenset(file.name for file in self.missing) if all(file.can_compile for file in self.missing) else frozenset()

    @property
    def slow_to_compile(self) -> "SlowSources | None":
        """The error for those packages alone whose sources are large and older than the Python to compile for; None without any."""
        return self.slow_with(self.python_to_compile)

    def slow_with(self, minor: str) -> "SlowSources | None":
        """Return `slow_to_compile` for one Python."""
        slow = {
            msgspec.structs.replace(file, can_compile=False, reason=f"{file.reason}, which is newer than its source"): where
            for file, where in self.missing.items()
            if file.is_slow(minor) and self._lacking(file, minor)
        }
        return SlowSources(slow, self.targets, tried=self.tried, lock=self.lock) if slow else None

    @property
    def other_versions(self) -> tuple[str, ...]:
        """The nearest version of each package that has one with files for all targets: "pandas==1.5.0"."""
        return _nearest(self.alternatives)

    @property
    def usable_python(self) -> OtherPython | None:
        """The first untried Python that has every missing file for every platform, None without one."""
        return next((python for python in _common_pythons(self.missing, self.alternatives) if python.everywhere), None)

    @property
    def python_to_compile(self) -> str:
        """The minor version of the Python that has to compile least: that of the targets, unless another has some of the files."""
        others = (python.target.minor for it in self.alternatives.values() for python in it.pythons)
        return min((self.targets[0].minor, *others), key=self._amount_with)

    def without_python(self, minor: str) -> "NoCompatibleFile":
        """Return the error without a Python that turned out to be out of reach."""
        left = {
            file: msgspec.structs.replace(it, pythons=tuple(python for python in it.pythons if python.target.minor != minor))
            for file, it in self.alternatives.items()
        }
        return NoCompatibleFile(self.missing, self.targets, left, self.tried, self.lock)

    @property
    def amount_to_compile(self) -> float:
        """The amount to compile: one for each file and target, and the years by which the Python came out later than the source.

        An old source seldom compiles with a Python that its authors did not know.
        """
        return self._amount_with(self.targets[0].minor)

    def _amount_with(self, minor: str) -> float:
        return sum((1 + _years_late(file, minor)) * self._lacking(file, minor) for file in self.missing)

    def _lacking(self, file: MissingFile, minor: str) -> int:
        """Return the number of targets for which a Python has no file."""
        pythons = self.alternatives.get(file, Alternatives()).pythons
        has = next((python for python in pythons if python.target.minor == minor), None)
        targets = self.missing[file]
        return sum(has is None or not (has.everywhere or target.platform in has.only) for target in targets)


class SlowSources(NoCompatibleFile):
    """Locked packages have no file for a target, and sources that would take long to compile, with little hope."""


def _years_late(file: MissingFile, minor: str) -> float:
    """Return the years from the publication of a source until a Python came out; 0 if that was before, or nothing can be compiled."""
    if not file.can_compile or file.published is None:
        return 0.0
    return max(0.0, (python_released(minor) - file.published).days / 365)


def _nearest(alternatives: Mapping[MissingFile, Alternatives]) -> tuple[str, ...]:
    return tuple(f"{file.name}=={it.newer or it.older}" for file, it in alternatives.items() if it.newer or it.older)


def _common_pythons(missing: Iterable[MissingFile], alternatives: Mapping[MissingFile, Alternatives]) -> list[OtherPython]:
    """Return the Pythons that have every one of the missing files, in the order of the first one's."""
    known = [{python.flags: python for python in alternatives.get(file, Alternatives()).pythons} for file in missing]
    return [python for flags, python in known[0].items() if all(flags in other for other in known)]


class _Hint(msgspec.Struct, frozen=True):
    """The next steps for missing files."""

    missing: Mapping[MissingFile, Sequence[Target]]
    targets: Sequence[Target]
    alternatives: Mapping[MissingFile, Alternatives]
    tried: Sequence[str]

    @property
    def another_python_may_help(self) -> bool:
        """True if an untried Python version may have the missing files."""
        return not self.tried and any(file.mismatch in (Mismatch.PYTHON, Mismatch.LIBC) for file in self.missing)

    def text(self) -> str:
        if all(file.mismatch is Mismatch.SYSTEM for file in self.missing):
            markers = ", ".join(file.system_marker for file in self.missing)
            instead = f", or take {siblings}" if (siblings := self._siblings()) else ""
            return f"Give packages for other systems a marker ({markers}), or remove them{instead}."
        choices = [self._pythons(), self._versions(), self._siblings(), self._platforms(), self._marker()]
        if any(file.sdist for file in self.missing):
            choices.append("a wheel that you build from its source on such a machine, and require by its path or URL")
        tried = f"Python {', '.join(self.tried)} does not have them either. " if self.tried else ""
        return f"{tried}Choose {', or '.join(filter(None, choices)) or 'other packages: no version or Python has these files'}."

    def _versions(self) -> str:
        if nearest := _nearest(self.alternatives):
            return ", ".join(nearest).replace("==", " ")
        none_left = all(file in self.alternatives and not self.alternatives[file].by_platform for file in self.missing)
        return "" if none_left else "another version of these"

    def _pythons(self) -> str:
        if python := next(iter(_common_pythons(self.missing, self.alternatives)), None):
            return f"{python.name} ({python.flags})"
        return "another Python version (--python; a newer one brings a newer glibc)" if self.another_python_may_help else ""

    def _siblings(self) -> str:
        found = {file: self.alternatives.get(file, Alternatives()).sibling for file in self.missing}
        return " and ".join(replacement_setting(file.name, sibling) for file, sibling in found.items() if sibling)

    def _platforms(self) -> str:
        lacking = {target.platform for where in self.missing.values() for target in where}
        complete = [str(target.platform) for target in self.targets if target.platform not in lacking]
        return f"only the platforms that have all files (--platform {','.join(complete)})" if complete else ""

    def _marker(self) -> str:
        file, where = next(((file, where) for file, where in self.missing.items() if file.mismatch is Mismatch.MACHINE), (None, ()))
        if file is None:
            return ""
        return f"a marker where it is not needed ({file.name} ; platform_machine != '{where[0].platform.machine}')"


def find_mismatch(tags: Sequence["Tag"], target: Target) -> tuple[Mismatch, str]:
    """Return what the wheels of a package with these tags are not for, and a sentence about it: the mismatch closest to a match."""
    if only_for_other_systems(tags):
        return Mismatch.SYSTEM, f"its wheels are for {system_names(tags)} only"
    usable = python_tags(target.minor)
    for_python = [tag for tag in tags if (tag.interpreter, tag.abi) in usable]
    if not for_python:
        return Mismatch.PYTHON, f"no wheel is for Python {target.minor}"
    for_machine = [tag.platform for tag in for_python if tag.platform.endswith(target.platform.machine)]
    if not for_machine:
        return Mismatch.MACHINE, f"no wheel is for {target.platform.machine}"
    glibc = [(int(found[1]), int(found[2])) for platform in for_machine if (found := _MANYLINUX.match(platform))]
    if target.musl:
        return Mismatch.OTHER, "its wheels are for glibc only, and the base has musl" if glibc else "no wheel fits"
    if glibc:
        return Mismatch.LIBC, f"its wheels need glibc {'.'.join(map(str, min(glibc)))} or newer"
    if any(platform.startswith("musllinux") for platform in for_machine):
        return Mismatch.OTHER, "its wheels are for musl only, and the base has glibc"
    return Mismatch.OTHER, "no wheel fits"


def only_for_other_systems(tags: Sequence["Tag"]) -> bool:
    """Return whether a package has wheels, and none of them is for Linux."""
    return bool(tags) and not any(_LINUX.match(tag.platform) for tag in tags)


def only_for_other_machines(tags: Sequence["Tag"], target: Target) -> bool:
    """Return whether a package has wheels, and none of them is for the target's machine."""
    return bool(tags) and not any(tag.platform == "any" or tag.platform.endswith(target.platform.machine) for tag in tags)


def system_names(tags: Sequence["Tag"]) -> str:
    """Return the names of the operating systems that wheels are for: "Windows, macOS"."""
    return ", ".join(sorted({_system_name(tag) for tag in tags}))


def _system_name(tag: "Tag") -> str:
    return next((name for start, name in _SYSTEMS.items() if tag.platform.startswith(start)), tag.platform)


def _shortened(names: Sequence[str]) -> str:
    """Return the tags of wheels, which are all that differs between their names."""
    tags = sorted({"-".join(name.removesuffix(".whl").split("-")[-3:]) for name in names})
    more = f" and {len(tags) - _MAX_REPORTED_FILES} more" if len(tags) > _MAX_REPORTED_FILES else ""
    return ", ".join(tags[:_MAX_REPORTED_FILES]) + more
