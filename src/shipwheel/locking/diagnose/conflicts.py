"""Explain conflicts between requirements in the user's own lines, with suggestions that were tried before they are made."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest

from shipwheel.errors import LockError
from shipwheel.events import Reporter
from shipwheel.known_packages import COMMON_PACKAGES, PACKAGE_OF_MODULE
from shipwheel.locking.diagnose.suggestions import Suggestion, UserRequirement, Working, specifiers, try_suggestions
from shipwheel.locking.diagnose.uv_errors import IndexUnavailable, ResolutionError
from shipwheel.locking.uv_output import ROOT, FailureKind, Premise
from shipwheel.project.entrypoint.frameworks import FRAMEWORKS
from shipwheel.similar import did_you_mean
from shipwheel.versions import normalized, requirement_name

__all__ = ["conflict_lines", "explain_conflict"]

_MAX_SUGGESTIONS = 4
"""How many suggestions are tried."""


def explain_conflict(
    error: LockError,
    requirements: Sequence[UserRequirement],
    project: str,
    suggest: Callable[[Sequence[str]], Sequence[Suggestion]],
    reporter: Reporter,
) -> LockError:
    """Return the error to raise: for a conflict, one with the requirements that conflict and the suggestions that work.

    Errors of other kinds, and conflicts that another Python version may solve, are returned as they are. `project` is the name of the
    user's own project; `suggest` returns the suggestions to try, given the names that the user's lines in the conflict require.
    """
    if (
        isinstance(error, IndexUnavailable)
        or not isinstance(error, ResolutionError)
        or not error.failure.no_solution
        or error.another_python_may_help
    ):
        return error
    if unknown := _unknown_names(error, requirements):
        hint = "Check the spelling, and which index is used (UV_DEFAULT_INDEX); a private index has to be configured."
        listed = ", ".join(f"{item.name} ({item.location})" for item in unknown)
        message = f"{error.origin} cannot be locked: not found on the package index: {listed}"
        return LockError(message, hint="".join(_meant(item.name) for item in unknown) + hint)
    lines, names = conflict_lines(error.failure.premises, requirements, project)
    title = f"{error.origin} cannot be locked: these requirements conflict:"
    message = "\n  ".join((title, *lines)) if lines else error.message
    absent = ", ".join(sorted(error.failure.no_version))
    summary = f"{error.origin} cannot be locked: no such version of {absent} is on the index" if absent else error.summary
    if invalid := error.failure.invalid:
        summary = f"{error.origin} cannot be locked: the metadata of {', '.join(invalid)} cannot be read"
    summary = f"{title} {'; '.join(map(str.strip, lines))}" if lines else summary
    every = suggest(names)
    tried = [each for each in every if not each.pins][:_MAX_SUGGESTIONS]
    working = try_suggestions(tried, reporter) or try_suggestions([each for each in every if each.pins], reporter)
    if working:
        without_python = [each.advice for each in working if not each.suggestion.another_python]
        replacements = _smallest_change(working, specifiers([item.text for item in requirements]))
        advice = [each.advice for each in working]
        return _with_hints(message, summary, advice, without_python, prefix="Tried successfully: ", replacements=replacements)
    texts, without_python = [it.advice for it in tried], [it.advice for it in tried if not it.another_python]
    return _with_hints(message, summary, texts, without_python, prefix="Tried without success: ", first=error.hint)


def _smallest_change(working: Sequence[Working], written: Mapping[str, str]) -> dict[str, str]:
    """Return the packages and versions of a suggestion, of several that which is closest to the specifier `written`; empty without any."""

    def distance(each: Working) -> list[int]:
        name, version = next(iter(each.versions.items()))
        texts = (written.get(name, ""), version)
        numbers = zip_longest(*([int(part) for part in re.findall(r"\d{1,9}", text)[:3]] for text in texts), fillvalue=0)
        return [abs(before - after) for before, after in numbers]

    nearest = min((each for each in working if each.versions), key=distance, default=None)
    return {name: f"{name}=={version}" for name, version in nearest.versions.items()} if nearest is not None else {}


def _with_hints(
    message: str,
    summary: str,
    texts: Sequence[str],
    without_python: Sequence[str],
    *,
    prefix: str,
    first: str = "",
    replacements: Mapping[str, str] | None = None,
) -> LockError:
    def hint(some: Sequence[str]) -> str:
        return " ".join(filter(None, (first, f"{prefix}{'; or '.join(some)}." if some else "")))

    other = hint(without_python) if len(without_python) < len(texts) else None
    return LockError(message, hint=hint(texts), hint_without_python=other, summary=summary, replacements=replacements)


def _meant(name: str) -> str:
    """Return a question: whether the package was meant that has the module of this name, or a known one with a similar name."""
    modules = {normalized(module): requirement for module, requirement in PACKAGE_OF_MODULE.items()}
    if normalized(name) in modules:
        return f"Did you mean {modules[normalized(name)]}? "
    frameworks = (framework.distribution for framework in FRAMEWORKS.values())
    return did_you_mean(name, (*COMMON_PACKAGES, *frameworks, *(requirement_name(text) for text in modules.values())))


def _unknown_names(error: ResolutionError, requirements: Sequence[UserRequirement]) -> list[UserRequirement]:
    """Return the user's requirements whose names no index has: no other version, Python or day helps."""
    if error.failure.kind is not FailureKind.NOT_FOUND:
        return []
    return [item for item in requirements if item.name in error.failure.not_found]


def conflict_lines(
    premises: Sequence[Premise], requirements: Sequence[UserRequirement], project: str = "", *, at_least: int = 2
) -> tuple[list[str], list[str]]:
    """Return the premises of a conflict as lines of text, and the names that the user's own lines among them require.

    Each of the user's lines is followed by the premises about the packages that it brings in, indented. There are no lines if fewer than
    `at_least` premises can be told, or none of them is the user's.
    """
    by_name = {item.name: item for item in requirements}
    own: dict[str, UserRequirement] = {}
    inner: dict[Premise, None] = {}
    for premise in premises:
        if premise.dependent in (ROOT, project):
            if premise.name in by_name:
                own.setdefault(premise.name, by_name[premise.name])
        elif premise.name != ROOT:
            inner[premise] = None
    dependents = {premise.dependent for premise in inner}
    names = sorted(own, key=lambda name: name not in dependents)
    if not own or len(own) + len(inner) < at_least:
        return [], names
    return list(_ordered([own[name] for name in names], list(inner))), names


def _ordered(own: Sequence[UserRequirement], inner: list[Premise]) -> Iterator[str]:
    for item in own:
        yield f"{item.location}: {item.text}"
        reached = [item.name]
        for name in reached:
            for premise in [premise for premise in inner if premise.dependent == name]:
                yield f"  {_text(premise)}"
                inner.remove(premise)
                reached.append(premise.name)
    yield from map(_text, inner)


def _text(premise: Premise) -> str:
    dependent = f"{premise.dependent} {premise.version.removeprefix('==')}".strip()
    return f"{dependent} requires {premise.name}{premise.extras}{premise.specifier}"
