"""Which Python the image has: what the user says, what the project requires, what a developer prefers, what Debian has."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.project.metadata import Metadata
from shipwheel.settings import Settings
from shipwheel.user_files import read_text
from shipwheel.versions import minor_number, minor_version

__all__ = ["DEBIAN_PYTHONS", "PythonChoice", "allowed_pythons", "choose_python"]

DEBIAN_PYTHONS = {"3.13": date(2024, 10, 7), "3.11": date(2022, 10, 24), "3.14": date(2025, 10, 7), "3.9": date(2020, 10, 5)}
"""The versions that a Debian suite has, in the order of preference, with the day of their first release."""

_DEBIAN_MICRO = {"3.9": "3.9.2", "3.11": "3.11.2", "3.13": "3.13.5", "3.14": "3.14.0"}
_SUITES = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13", "forky": "3.14"}
_OTHERS = tuple(f"3.{minor}" for minor in range(30, 6, -1))
_PREFERENCES = (
    (".python-version", r"(?:cpython[@-])?v?(3\.\d+(?:\.\d+)?)"),
    ("runtime.txt", r"python-(3\.\d+(?:\.\d+)?)"),
    ("Pipfile", r"python(?:_full)?_version\s*=\s*[\"'](3\.\d+(?:\.\d+)?)[\"']"),
)


class PythonChoice(msgspec.Struct, frozen=True):
    """A Python version, "3.11" (or with the micro part that the user wrote), and why.

    `specifier` is the one of the project's that it satisfies. `others` are what would do as well, the best first: empty where the
    user or the project names this one. `note` says what the user may not expect.
    """

    version: str
    reason: str
    specifier: str | None = None
    others: tuple[str, ...] = ()
    note: str = ""


def choose_python(root: Path, settings: Settings, metadata: Metadata) -> PythonChoice:
    """What the user names wins, then what the directory's files name, then the best of Debian's that the project allows.

    Raises ProjectError when the project refuses what is named, or every version.
    """
    allowed = [text for text in metadata.requires_python if text.strip()]
    if settings.python:
        return _named(settings.python, "the setting python", allowed, metadata.origin)
    if settings.suite in _SUITES and allowed_pythons(allowed, metadata.origin):
        return _named(_SUITES[settings.suite], f"Debian {settings.suite}, which the setting suite names,", allowed, metadata.origin)
    known = [version for version, day in DEBIAN_PYTHONS.items() if settings.as_of is None or day <= settings.as_of]
    for version, origin in _preferences(root):
        choice = _named(version, origin, allowed, metadata.origin)
        return choice if version in DEBIAN_PYTHONS else _nearest(choice, origin, known, allowed, metadata.origin)
    return _best(known, allowed, metadata.origin)


def allowed_pythons(specifiers: Sequence[str], origin: str = "requires-python") -> tuple[str, ...]:
    """Debian's versions that one of the specifiers admits, all without any; the best first. Raises ProjectError for a malformed one."""
    return tuple(version for version in DEBIAN_PYTHONS if not specifiers or _fitting(version, specifiers, origin) is not None)


def _named(version: str, origin: str, allowed: Sequence[str], project: str) -> PythonChoice:
    fitting = _fitting(version, allowed, project)
    if allowed and fitting is None:
        has = f" (Debian has {_DEBIAN_MICRO[version]})" if version in _DEBIAN_MICRO else ""
        raise ProjectError(
            f"{origin} wants Python {version}{has}, but {project} requires {' || '.join(allowed)}", hint="Change one of the two."
        )
    return PythonChoice(version, f"{origin} names it", fitting)


def _nearest(choice: PythonChoice, origin: str, known: Sequence[str], allowed: Sequence[str], project: str) -> PythonChoice:
    """The next newer version of Debian's, else the next older one: such a file says what a developer's machine has."""
    wanted = minor_number(choice.version)
    newer = sorted((version for version in known if minor_number(version) > wanted), key=minor_number)
    older = sorted((version for version in known if minor_number(version) < wanted), key=minor_number, reverse=True)
    fitting = [version for version in (*newer, *older) if not allowed or _fitting(version, allowed, project) is not None]
    if not fitting:
        return choice
    version, *others = fitting
    why = f"{origin} names {choice.version}, which no Debian suite has; this is the nearest that the project allows"
    note = f"Debian has no Python {choice.version}, which {origin} names: the image has {version}."
    return PythonChoice(version, why, _fitting(version, allowed, project), tuple(others), note)


def _best(known: Sequence[str], allowed: Sequence[str], project: str) -> PythonChoice:
    fitting = [version for version in known if not allowed or _fitting(version, allowed, project) is not None]
    if fitting and not allowed:
        return PythonChoice(fitting[0], "nothing asks for another", None, tuple(fitting[1:]))
    for version in (*fitting, *DEBIAN_PYTHONS, *_OTHERS):
        text = _fitting(version, allowed, project)
        if text is not None or not allowed:
            why = f"{project} requires {text}" if text else "nothing asks for another"
            return PythonChoice(version, why, text, tuple(other for other in fitting if other != version))
    suites = ", ".join(sorted(_DEBIAN_MICRO.values(), key=minor_number))
    raise ProjectError(
        f"{project}: no Python that an image can have satisfies {' || '.join(allowed)}",
        hint=f"Debian's suites have {suites}: change requires-python so that one of them fits.",
    )


def _preferences(root: Path) -> Iterator[tuple[str, str]]:
    """(version without its micro part, file): that part is a developer's machine's; the base has its suite's."""
    for name, pattern in _PREFERENCES:
        path = root / name
        if not path.is_file():
            continue
        lines = [line.strip() for line in read_text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
        # Of a Pipfile, the line in its [requires] table is the one that looks so.
        candidates = lines if name == "Pipfile" else lines[:1]
        if found := next((match for line in candidates if (match := re.fullmatch(pattern, line))), None):
            yield minor_version(found[1]), name


def _fitting(version: str, allowed: Sequence[str], project: str) -> str | None:
    """The first of the project's specifiers that the version satisfies."""
    return next((text for text in allowed if _satisfies(version, text, project)), None)


def _satisfies(version: str, specifier: str, origin: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier:
        raise ProjectError(f"{origin}: {specifier!r} is not a version specifier for Python", hint='Write it like ">=3.11,<3.14".') from None
    # A minor version stands for the micro that its suite has, and for any where no suite has it.
    known = version if version.count(".") == 2 else _DEBIAN_MICRO.get(version)
    return wanted.contains(known, prereleases=True) if known else any(wanted.contains(f"{version}.{micro}") for micro in (0, 9, 30))
