"""The Python version of the image: the user's, the one that the project requires, or the best that Debian has."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.project.conda import CONDA_FILES
from shipwheel.project.deployment.installs import Installs
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.scripts import USUAL_FILES
from shipwheel.project.metadata import Metadata
from shipwheel.project.old_names import OldName
from shipwheel.settings.settings import Settings
from shipwheel.suites import SUITES, SUITES_BY_PREFERENCE
from shipwheel.user.files import UserFiles
from shipwheel.versions import minor_number, minor_version, satisfies_plainly

__all__ = ["PythonChoice", "PythonFloor", "allowed_pythons", "choose_python", "python_floor", "satisfies_python"]

_BY_PYTHON = {suite.python: suite for suite in SUITES_BY_PREFERENCE}
_BY_CODENAME = {suite.codename: suite for suite in SUITES_BY_PREFERENCE}
_STANDALONE = tuple(f"3.{minor}" for minor in range(30, 6, -1))
"""Versions that no Debian suite may have."""
_MAX_MICRO = 40
"""More micro versions than any minor version of Python has had."""
_VERSION_FILES = (
    (".python-version", r"(?:cpython[@-])?v?(3\.\d+(?:\.\d+)?)"),
    ("runtime.txt", r"python *- *(3\.\d+(?:\.\d+)?)(?:\.x)?"),
    *((name, r"-\s*(?:[\w.-]+::)?[\"']?python\s*={1,2}\s*(3\.\d+(?:\.\d+)?)\S*") for name in CONDA_FILES),
    ("Pipfile", r"python(?:_full)?_version\s*=\s*[\"'](3\.\d+(?:\.\d+)?)[\"']"),
)


_NOTHING_INSTALLED = Installs()


class PythonChoice(msgspec.Struct, frozen=True):
    """A Python version ("3.11", or with the micro version that the user wrote) and the reason for it.

    `specifier` is the project's version specifier that it satisfies. `others` are the versions to try if it does not work out, the best
    first; empty if the user or the project names this one (`is_named`). `note` tells the user what they may not expect. `wanted` is the
    version that a file names, if no Debian suite has it and this is the closest.
    """

    version: str
    reason: str
    specifier: str | None = None
    others: tuple[str, ...] = ()
    note: str = ""
    is_named: bool = False
    wanted: str = ""


class PythonFloor(msgspec.Struct, frozen=True):
    """The oldest Python on which a project's code runs: Python 3.`minor`, by the syntax or the import at `place` ("app.py, line 7")."""

    minor: int
    place: str


def choose_python(
    files: UserFiles,
    root: Path,
    settings: Settings,
    metadata: Metadata,
    installs: Installs = _NOTHING_INSTALLED,
    last_change: date | None = None,
    old_name: OldName | None = None,
    floor: PythonFloor | None = None,
) -> PythonChoice:
    """Choose by the settings, else by a version file, else by the Dockerfile's image, else the best of Debian's that the project allows.

    `last_change` is the day of a project that was left alone since: it never ran on a Python that came out later. The same holds for a
    project with an `old_name`. Code with a `floor` does not run on an older one, unless that is named.

    Raises ProjectError if the project does not allow the named version, or no version at all.
    """
    choice = _chosen(files, root, settings, metadata, installs, last_change, old_name)
    return choice if floor is None else _above(choice, floor, metadata)


def _above(choice: PythonChoice, floor: PythonFloor, metadata: Metadata) -> PythonChoice:
    """Return the choice without the versions that are older than what the code needs, if others are left."""
    fitting = tuple(version for version in (choice.version, *choice.others) if minor_number(version) >= floor.minor)
    if choice.is_named or not fitting or len(fitting) == 1 + len(choice.others):
        return choice
    version, *others = fitting
    if version == choice.version:
        return msgspec.structs.replace(choice, others=tuple(others))
    allowed = [text for text in metadata.requires_python if text.strip()]
    return PythonChoice(version, f"{floor.place} needs it", _matching(version, allowed, metadata.origin), tuple(others))


def _chosen(
    files: UserFiles,
    root: Path,
    settings: Settings,
    metadata: Metadata,
    installs: Installs,
    last_change: date | None,
    old_name: OldName | None,
) -> PythonChoice:
    allowed = [text for text in metadata.requires_python if text.strip()]
    if settings.python:
        return _named(settings.python, "the setting python", allowed, metadata.origin)
    if settings.suite in _BY_CODENAME and allowed_pythons(allowed, metadata.origin):
        return _named(_BY_CODENAME[settings.suite].python, f"Debian {settings.suite}, from the setting suite,", allowed, metadata.origin)
    known = [suite.python for suite in SUITES_BY_PREFERENCE if settings.as_of is None or suite.python_released <= settings.as_of]
    known = known or [SUITES[0].python]
    for version, origin in _named_in_files(files, root):
        choice = _named(version, origin, allowed, metadata.origin)
        fits = not allowed or _matching(version, allowed, metadata.origin) is not None
        return choice if version in _BY_PYTHON and fits else _closest(choice, origin, known, allowed, metadata.origin)
    version, origin = installs.python, f"{installs.python_place},"
    if version and (not allowed or _matching(version, allowed, metadata.origin) is not None):
        choice = _named(version, origin, allowed, metadata.origin)
        if version in _BY_PYTHON:
            others = (other for other in known if not allowed or _matching(other, allowed, metadata.origin) is not None)
            return msgspec.structs.replace(choice, is_named=False, others=tuple(other for other in others if other != version))
        return _closest(choice, origin, known, allowed, metadata.origin)
    ends = {last_change: f"the last commit is of {last_change}"} if last_change is not None else {}
    if old_name is not None and (last_change is None or old_name.day < last_change):
        ends = {old_name.day: old_name.reason}
    for day, reason in ends.items():
        if settings.as_of is None and day < _BY_PYTHON[known[0]].python_released:
            return _of_its_time(day, reason, allowed, metadata.origin)
    return _best(known, allowed, metadata.origin)


def python_floor(modules: Iterable[Module]) -> PythonFloor | None:
    """Return the oldest Python on which all modules of a project run; None if nothing in them is new.

    A file beside the program that nothing imports is a tool, which may be for the developer's own Python.
    """
    every = tuple(modules)
    imported = {name for module in every for name in module.imports}
    programs = [module.file for module in every if module.applications or module.file in USUAL_FILES]
    tools = {module.file for module in every if programs and "/" not in module.file and module.name not in imported}.difference(programs)
    used = (module for module in every if module.file not in tools)
    found = max(used, key=lambda module: module.oldest_python[0], default=None)
    minor, line = found.oldest_python if found is not None else (0, 0)
    return PythonFloor(minor, f"{found.file}, line {line},") if found is not None and minor else None


def allowed_pythons(specifiers: Sequence[str], origin: str = "requires-python") -> tuple[str, ...]:
    """Return Debian's versions that any of the specifiers allows, the best first; all without specifiers.

    Raises ProjectError for a malformed specifier.
    """
    return tuple(version for version in _BY_PYTHON if not specifiers or _matching(version, specifiers, origin) is not None)


def satisfies_python(version: str, specifier: str) -> bool:
    """Return whether a Python ("3.10") satisfies a specifier: Debian's by the version that it has, any other by some of its versions."""
    return _satisfies(version, specifier, "requires-python")


def _named(version: str, origin: str, allowed: Sequence[str], project: str) -> PythonChoice:
    specifier = _matching(version, allowed, project)
    if allowed and specifier is None and (other := _other_micro(version, allowed, project)) is not None:
        return msgspec.structs.replace(other, reason=f"{origin} names it", is_named=True)
    if allowed and specifier is None:
        has = f" (Debian has {_BY_PYTHON[version].full_python})" if version in _BY_PYTHON else ""
        raise ProjectError(
            f"{origin} wants Python {version}{has}, but {project} requires {' || '.join(allowed)}", hint="Change one of the two."
        )
    return PythonChoice(version, f"{origin} names it", specifier, is_named=True)


def _closest(choice: PythonChoice, origin: str, known: Sequence[str], allowed: Sequence[str], project: str) -> PythonChoice:
    """Return Debian's next newer version, else the next older one: a version file only tells what a developer's machine has."""
    number = minor_number(choice.version)
    newer = sorted((version for version in known if minor_number(version) > number), key=minor_number)
    older = sorted((version for version in known if minor_number(version) < number), key=minor_number, reverse=True)
    matching = [version for version in (*newer, *older) if not allowed or _matching(version, allowed, project) is not None]
    if not matching:
        return choice
    version, *others = matching
    lacking = wanted = choice.version
    if wanted in _BY_PYTHON:
        lacking, wanted = f"{wanted} that {project} allows (it has {_BY_PYTHON[wanted].full_python})", ""
    reason = f"{origin} names {choice.version}, and Debian has no {lacking}; this is the closest that the project allows"
    note = f"Debian has no Python {lacking}, which {origin} names: {version} is the closest that the project allows."
    return PythonChoice(version, reason, _matching(version, allowed, project), tuple(others), note, wanted=wanted)


def _best(known: Sequence[str], allowed: Sequence[str], project: str) -> PythonChoice:
    matching = [version for version in known if not allowed or _matching(version, allowed, project) is not None]
    if matching and not allowed:
        return PythonChoice(matching[0], "the project requires no other", None, tuple(matching[1:]))
    for version in (*matching, *_BY_PYTHON, *_STANDALONE):
        text = _matching(version, allowed, project)
        if text is not None or not allowed:
            reason = f"{project} requires {text}" if text else "the project requires no other"
            return PythonChoice(version, reason, text, tuple(other for other in matching if other != version))
    for version in (*known, *_BY_PYTHON, *_STANDALONE):
        if (other := _other_micro(version, allowed, project)) is not None:
            return other
    suites = ", ".join(suite.full_python for suite in SUITES)
    raise ProjectError(
        f"{project}: no available Python satisfies {' || '.join(allowed)}",
        hint=f"Change requires-python so that it allows one of Debian's versions: {suites}.",
    )


def _other_micro(version: str, allowed: Sequence[str], project: str) -> PythonChoice | None:
    """Return a minor version of which the project allows only other micro versions: its own machine's, as in `==3.11.7`.

    Micro versions fix errors and add nothing, so that an app runs on all of them.
    """
    if version.count(".") == 2:
        return None
    every = (f"{version}.{micro}" for micro in range(_MAX_MICRO))
    text = next((text for one in every if (text := _matching(one, allowed, project)) is not None), None)
    if text is None:
        return None
    has = f"Debian's {_BY_PYTHON[version].full_python}" if version in _BY_PYTHON else f"another {version}"
    note = f"{project} requires Python {text}: the image has {has}, which differs in fixes alone."
    return PythonChoice(version, f"{project} requires {text}", f"=={version}.*", note=note)


def _of_its_time(day: date, reason: str, allowed: Sequence[str], project: str) -> PythonChoice:
    """Return the newest of Debian's versions that a project from before a day can have run on, else the closest one after it."""
    before = [suite.python for suite in reversed(SUITES) if suite.python_released <= day]
    choice = _best((*before, *(suite.python for suite in SUITES if suite.python_released > day)), allowed, project)
    if choice.version == _best((*_BY_PYTHON,), allowed, project).version:
        return choice
    note = f"Python versions of before {day} come first, as {choice.version}, since {reason}. --python takes another."
    return msgspec.structs.replace(choice, reason=f"{choice.reason}, and {reason}", note=note)


def _named_in_files(files: UserFiles, root: Path) -> Iterator[tuple[str, str]]:
    """Yield (version, file) without the micro version: the base has that of its suite."""
    for name, pattern in _VERSION_FILES:
        path = root / name
        if not files.is_file(path):
            continue
        lines = [line.strip() for line in files.read_text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
        # In a Pipfile, only the line in its [requires] table matches, in a conda environment that of the package.
        candidates = lines if name in ("Pipfile", *CONDA_FILES) else lines[:1]
        if found := next((match for line in candidates if (match := re.fullmatch(pattern, line))), None):
            yield minor_version(found[1]), name


def _matching(version: str, allowed: Sequence[str], project: str) -> str | None:
    """Return the first specifier that the version satisfies."""
    return next((text for text in allowed if _satisfies(version, text, project)), None)


def _satisfies(version: str, specifier: str, origin: str) -> bool:
    if version.count(".") == 2:
        versions = [version]
    elif version in _BY_PYTHON:
        versions = [_BY_PYTHON[version].full_python]
    else:
        # No suite has it, so any of its micro versions counts.
        versions = [f"{version}.{micro}" for micro in (0, 9, 30)]
    plainly = [satisfies_plainly(one, specifier) for one in versions]
    if None not in plainly:
        return any(plainly)
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier:
        raise ProjectError(f"{origin}: {specifier!r} is not a version specifier for Python", hint='Write it like ">=3.11,<3.14".') from None
    return any(wanted.contains(one, prereleases=True) for one in versions)
