"""Suggestions for requirements that conflict: the requirements that the user wrote, which changes are worth trying, and which work."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import msgspec
from msgspec.structs import replace

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking import uv
from shipwheel.locking.inputs import LockRequest
from shipwheel.locking.preferences import write_preferences
from shipwheel.locking.synthetic import Synthetic
from shipwheel.locking.uv_output import Failure
from shipwheel.project.git_history import last_commit
from shipwheel.project.metadata import read_group
from shipwheel.project.requirements import Requirements, decode
from shipwheel.suites import SUITES
from shipwheel.versions import end_of_day, minor_number, normalized, requirement_name

__all__ = [
    "Suggestion",
    "UserRequirement",
    "Working",
    "closest_bounds",
    "loosened",
    "specifiers",
    "suggestions",
    "try_suggestions",
    "user_requirements",
]

_OLD_DAYS = 30
"""The age of the last commit from which on its day is worth trying."""

_MAX_LOOSENED = 2
_MAX_WORKING = 2
_MAX_MOVES = 8
"""How many errors of uv may name further pins."""
_TIMEOUT_S = 20.0
"""For trying one suggestion."""

_PIN = lazy_pattern(r"===?\s*([\w.!+-]+)")
_REQUIREMENT = lazy_pattern(r"\s*([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?([^;@]*)(;.*)?$")


class UserRequirement(msgspec.Struct, frozen=True):
    """A requirement that the user wrote: its normalized name, its text, and its file and line."""

    name: str
    text: str
    location: str


class Suggestion(msgspec.Struct, frozen=True):
    """A change to try: the advice to the user, and the project and the instant (RFC 3339) for which uv then locks.

    `name` is the package whose new version the advice should mention; `another_python` says that the change is another Python version.
    `pins` are the versions that should stay if they can: what becomes of the others is the advice. It is only tried if nothing else works.
    `names` are then the packages that are known to have to move.
    `closer` are smaller changes of the same kind, which are tried before it.
    """

    advice: str
    synthetic: Synthetic
    limit: str | None
    name: str = ""
    another_python: bool = False
    pins: Mapping[str, str] = {}
    closer: "tuple[Suggestion, ...]" = ()
    names: tuple[str, ...] = ()


def user_requirements(request: LockRequest, listed: Requirements | None, synthetic: Synthetic) -> list[UserRequirement]:
    """Return the project's own requirements, with file and line."""
    if listed is not None:
        lines = [*listed.lines, *listed.constraints]
        return [UserRequirement(name, line.text, line.place) for line in lines if (name := synthetic.name_of(line))]
    origin = request.inputs.script.origin if request.inputs.script is not None else "pyproject.toml"
    if origin not in request.inputs.texts:
        return []
    numbers = _line_numbers(decode(request.inputs.texts[origin]))
    found = []
    for text in _requirement_texts(request, synthetic):
        name = requirement_name(text)
        location = f"{origin}, line {numbers[name]}" if name in numbers else origin
        found.append(UserRequirement(name, text, location))
    return found


def _line_numbers(text: str) -> dict[str, int]:
    """Return the first line that begins a requirement of each name: "name>=1" in a list, or name = "1" in a table of Poetry."""
    numbers: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for match in re.finditer(r"""["']([A-Za-z0-9][\w.-]*)|^\s*([A-Za-z0-9][\w.-]*)\s*=""", line):
            numbers.setdefault(normalized(match[1] or match[2]), number)
    return numbers


def _requirement_texts(request: LockRequest, synthetic: Synthetic) -> list[str]:
    """Return all requirements of the project itself, as far as they are declared statically."""
    table = _static_project(request) if synthetic.project else None
    own = [text for text in synthetic.dependencies if requirement_name(text) != synthetic.project]
    if table is None:
        return own
    texts = list(table.get("project", {}).get("dependencies", ()))
    for extra in request.extras:
        texts += table.get("project", {}).get("optional-dependencies", {}).get(extra, ())
    for group in request.groups:
        texts += read_group(table, group)
    return list(dict.fromkeys([*texts, *own]))


def _static_project(request: LockRequest) -> Mapping[str, Any] | None:
    tables = request.inputs.tables
    project = tables.get("project", {})
    return tables if "dependencies" in project and "dependencies" not in project.get("dynamic", ()) else None


def suggestions(request: LockRequest, synthetic: Synthetic, names: Sequence[str]) -> Iterator[Suggestion]:
    """Yield the changes worth trying: another Python of Debian, a requirement in conflict without its version, another day.

    `names` are those that the user's requirements in the conflict name.
    """
    limit = request.exclude_newer
    can_change = not synthetic.project or _static_project(request) is not None
    others = [
        Suggestion(f"another Python: --python {other}", replace(synthetic, python=other, preferred=()), limit, another_python=True)
        for other in _other_pythons(synthetic.python)
    ]
    if others:
        yield replace(others[-1], closer=tuple(others[:-1]))
    texts = _requirement_texts(request, synthetic)
    known = specifiers(texts)
    for name in [name for name in dict.fromkeys(names) if name in known][:_MAX_LOOSENED] if can_change else ():

        def within(advice: str, bounds: str, name: str = name) -> Suggestion:
            return Suggestion(advice, _without_own_project(loosened(synthetic, texts, name, bounds)), limit, name)

        closer = tuple(within(f"take {name} {bounds}", bounds) for bounds in _series(known[name]))
        yield replace(within(f"drop {known[name]} from {name}", ""), closer=closer)
    if day := _day_of_last_commit(request):
        yield Suggestion(f"resolve as of another day: --as-of {day}", replace(synthetic, preferred=()), end_of_day(day))
    elif request.as_of:
        yield Suggestion("resolve as of today: without --as-of", replace(synthetic, preferred=()), None)
    pins = {name: match[1] for name, text in known.items() if (match := _PIN.fullmatch(text)) is not None}
    if can_change and len(pins) > 1:
        preferred = tuple({"name": name, "version": version, "wheels": ()} for name, version in pins.items())
        changed = _without_own_project(replace(synthetic, dependencies=tuple(texts), preferred=preferred))
        yield Suggestion("let pinned versions move", changed, limit, pins=pins, names=tuple(names))


def closest_bounds(requirements: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the bounds within which another version of each pinned requirement may be, the closest first, by normalized name."""
    return {name: (*_series(text), ">=0") for name, text in specifiers(requirements).items() if _PIN.fullmatch(text)}


def _series(specifier: str) -> tuple[str, ...]:
    """Return the bounds of the releases around a pinned version, the closest first; none for any other specifier."""
    found = _PIN.fullmatch(specifier)
    numbers = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?", found[1]) if found is not None else None
    if numbers is None:
        return ()
    major, minor = int(numbers[1]), int(numbers[2] or 0)
    return (f">={major},<{major + 1}", f">={major},<{major + 2}") if major else (f">=0.{minor},<0.{minor + 1}", f">=0.{minor},<2")


def _without_own_project(synthetic: Synthetic) -> Synthetic:
    """Return the project without the user's own distribution, whose metadata would state the same requirement again."""
    sources = {name: source for name, source in synthetic.sources.items() if name != synthetic.project}
    return replace(synthetic, sources=sources, project="")


def _other_pythons(python: str) -> list[str]:
    """Return the Pythons of Debian's suites: the older ones, the next older first, then the newer ones.

    What a package requires may depend on the Python, so that a frozen list is without a conflict on the one that it was made with.
    """
    order = sorted((suite.python for suite in SUITES), key=minor_number)
    older = [version for version in order if minor_number(version) < minor_number(python)]
    return [*reversed(older), *(version for version in order if minor_number(version) > minor_number(python))]


def _day_of_last_commit(request: LockRequest) -> date | None:
    if request.as_of:
        return None
    day = last_commit(request.root)
    return day if day is not None and (date.today() - day).days > _OLD_DAYS else None


class Working(msgspec.Struct, frozen=True):
    """A suggestion with which uv finds a solution: the advice to show, and the versions of packages that this changes."""

    suggestion: Suggestion
    advice: str
    versions: Mapping[str, str] = {}


def try_suggestions(tried: Sequence[Suggestion], reporter: Reporter) -> list[Working]:
    """Return the suggestions that work; at most two, tried in parallel."""
    if not tried:
        return []
    reporter(StageStarted("suggestions", len(tried), detail=True))
    with ThreadPoolExecutor(len(tried), thread_name_prefix="suggestion") as pool:
        working = list(filter(None, pool.map(uv.with_extra_environment(_closest), tried)))
    reporter(StageFinished("suggestions", f"{len(working)} of {len(tried)} work"))
    return working[:_MAX_WORKING]


def _closest(suggestion: Suggestion) -> Working | None:
    return next(filter(None, map(_working, (*suggestion.closer, suggestion))), None)


def _working(suggestion: Suggestion) -> Working | None:
    """Return a suggestion with the version that it leads to; None if uv finds no solution in time."""
    versions = _moved(suggestion) if suggestion.pins else _versions(suggestion.synthetic, suggestion.limit)
    if isinstance(versions, Failure):
        return None
    if suggestion.pins:
        moved = {name: now for name, pinned in suggestion.pins.items() if (now := versions.get(name, pinned)) != pinned}
        return Working(suggestion, f"take {', '.join(f'{name} {now}' for name, now in moved.items())}", moved) if moved else None
    version = versions.get(suggestion.name, "")
    if not version:
        return Working(suggestion, suggestion.advice)
    return Working(suggestion, f"{suggestion.advice} (then {version})", {suggestion.name: version})


def _moved(suggestion: Suggestion) -> Mapping[str, str] | Failure:
    """Return the versions that uv finds if the pins may move that its errors name, one error after the other; else all of them may."""
    loose, pins = [name for name in suggestion.names if name in suggestion.pins], suggestion.pins.keys()
    for _ in range(_MAX_MOVES):
        found = _versions(_with_loose(suggestion.synthetic, loose), suggestion.limit)
        if not isinstance(found, Failure):
            return found
        named = {name for premise in found.premises for name in (premise.name, premise.dependent)} | found.no_version | {found.built}
        if not (more := sorted(named & pins - {*loose})):
            break
        loose += more
    return _versions(_with_loose(suggestion.synthetic, [*pins]), suggestion.limit)


def _with_loose(synthetic: Synthetic, names: Sequence[str]) -> Synthetic:
    """Return the project with requirements of these names that have no version specifier, and the preferred versions that it had."""
    changed = synthetic
    for name in names:
        changed = loosened(changed, changed.dependencies, name)
    return replace(changed, preferred=synthetic.preferred)


def _versions(made: Synthetic, limit: str | None) -> Mapping[str, str] | Failure:
    """Return the versions of all packages that uv finds for a project, or why it finds none in time."""
    with scratch_directory("shipwheel-lock-") as folder:
        made.write(folder, everywhere=False)
        write_preferences(made.preferred, folder)
        text = uv.try_lock(folder, made.python, exclude_newer=limit, readable=made.readable(), timeout=_TIMEOUT_S)
    if isinstance(text, Failure):
        return text
    return {package["name"]: package.get("version", "") for package in tomllib.loads(text).get("package", [])}


def loosened(synthetic: Synthetic, requirements: Sequence[str], name: str, bounds: str = "") -> Synthetic:
    """Return the project with these requirements, of which that of `name` has no version specifier, or these bounds."""

    def without_specifier(text: str) -> str:
        found = _REQUIREMENT.match(text)
        if found is None or normalized(found[1]) != name:
            return text
        return f"{found[1]}{found[2] or ''}{bounds} {found[4] or ''}".strip()

    return replace(synthetic, dependencies=tuple(without_specifier(text) for text in requirements), preferred=())


def specifiers(requirements: Sequence[str]) -> Mapping[str, str]:
    """Return the version specifiers of those requirements that have one, by normalized name."""
    matches = filter(None, map(_REQUIREMENT.match, requirements))
    return {normalized(match[1]): match[3].strip() for match in matches if match[3].strip()}
