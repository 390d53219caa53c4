"""Try Python versions until one has packages for a project's requirements, and find alternatives if none has."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from shipwheel.base.model import Bases
from shipwheel.errors import FetchError, LockError
from shipwheel.events import Reporter, Warned
from shipwheel.locking.inputs import inputs_digest
from shipwheel.locking.kept_selection import read_kept_lock
from shipwheel.locking.no_compatible_file import Mismatch, NoCompatibleFile
from shipwheel.locking.pylock import Lock
from shipwheel.pipeline.alternatives import with_alternatives
from shipwheel.pipeline.resolve import PythonOutOfReach, lock_request
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.project.python_version import satisfies_python
from shipwheel.project.read import with_python
from shipwheel.request import LockMode
from shipwheel.suites import SUITES, python_released
from shipwheel.versions import minor_number, normalized

if TYPE_CHECKING:
    from shipwheel.request import Request

_MAX_REASON = 300
_EARLY = timedelta(days=180)
"""Wheels for a Python are uploaded from its first release candidate on, which comes out three months before it."""
_DEBIAN = frozenset(suite.python for suite in SUITES)

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)

__all__ = ["ProjectAttempt", "may_fall_back_to", "older_pythons", "pythons_to_try", "try_pythons", "with_suitable_python"]


class ProjectAttempt(Protocol[Result]):
    """Resolves a project, on the given bases if there are any."""

    def __call__(self, project: Project, /, bases: Bases | None = None) -> Result: ...


def with_suitable_python(
    project: Project, request: "Request", attempt: ProjectAttempt[T], adapt: Callable[[Project, str], Project] = with_python
) -> T:
    """Return the result of `attempt` for the base image's Python, or for the best Python for which it succeeds.

    Debian's Pythons are tried first; after them, the one that has the missing files by what the package index says. `adapt` returns the
    project for another Python. Raise what `attempt` raises; a NoCompatibleFile error then names alternatives from the index.
    """
    try:
        if project.settings.base is not None:
            from shipwheel.base.image import project_on_image

            return attempt(*project_on_image(project, request))
        lock = read_kept_lock(project.inputs.lock_path, request.store)
        if request.lock_mode is LockMode.FROZEN and lock is not None:
            return attempt(project if lock.python == project.python else adapt(project, lock.python))
        why = f"since less must be compiled for it than for {project.python}" if request.compiles else ""
        return try_pythons(project, request.reporter, attempt, adapt, request.first_pythons, why, lock, needs_first=request.needs_first)
    except NoCompatibleFile as error:
        may_change = request.lock_mode is LockMode.UPDATE
        # What will be compiled needs no other version.
        compiles = bool(error.to_compile) and may_change and not request.compiles
        informed = with_alternatives(error, project, request.reporter, versions=not compiles)
    python = informed.usable_python
    if python is None or project.settings.base is not None or project.python_is_named or not may_change:
        raise informed
    if compiles:
        informed = with_alternatives(informed, project, request.reporter)
    try:
        found = attempt(adapt(project, python.target.minor))
    except (LockError, FetchError) as error:
        # Compiling helps with other files that are missing, and with nothing else.
        is_out = compiles and not (isinstance(error, NoCompatibleFile) and error.to_compile)
        raise informed.without_python(python.target.minor) if is_out else informed from None
    _warn_of_other_python(python.target.minor, project, informed, request.reporter, _override_hint(informed, project.python))
    return found


def _warn_of_other_python(version: str, project: Project, error: LockError, reporter: Reporter, hint: str = "") -> None:
    reason = textwrap.shorten(error.summary, _MAX_REASON, placeholder=" …")
    reporter(Warned(f"Python {version} is used, since {project.python} does not work: {reason}", hint))


def _override_hint(error: NoCompatibleFile, python: str) -> str:
    """Return how to keep a Python by other versions of the packages that lack files; empty unless all of them have one."""
    if len(error.other_versions) < len(error.missing):
        return ""
    listed = ", ".join(f'"{version}"' for version in error.other_versions)
    return (
        f"With other versions, {python} may do: in pyproject.toml, [tool.uv] override-dependencies = [{listed}] overrules what is required."
    )


def pythons_to_try(
    project: Project, adapt: Callable[[Project, str], Project] = with_python, first: Sequence[str] = (), lock: Lock | None = None
) -> tuple[str, ...]:
    """Return the Python versions in the order to try them: that of the project's `lock` if it is current, then the `first` ones.

    Those that the project does not allow are left out; they may be some that only standalone builds have.
    """
    own = (project.python, *project.other_pythons)
    found = tuple(dict.fromkeys((*(version for version in first if version in own or _allows(project, version)), *own)))
    if lock is None or project.python_is_named or lock.python == project.python or not may_fall_back_to(project, lock.python):
        return found
    if not lock.is_current(inputs_digest(lock_request(adapt(project, lock.python)))):
        return found
    return (lock.python, *(version for version in found if version != lock.python))


def may_fall_back_to(project: Project, python: str) -> bool:
    """Return whether a Python ("3.10") may be taken in place of the project's own, because a lock has it."""
    if project.python_is_named:
        return False
    return python in project.other_pythons or bool(project.requires_python and satisfies_python(python, project.requires_python))


def _allows(project: Project, python: str) -> bool:
    """Return whether the project allows a Python that no Debian suite has."""
    if project.python_is_named or python in _DEBIAN or minor_number(python) < project.oldest_python:
        return False
    return not project.requires_python or satisfies_python(python, project.requires_python)


def older_pythons(project: Project, platforms: Sequence[Platform]) -> Iterator[str]:
    """Yield the older Python versions that may run the project's code: Debian's, newest first, then a standalone one below all of these.

    The standalone builds are listed only if a version of them is asked for.
    """
    debian = (version for version in project.other_pythons if minor_number(version) < minor_number(project.python))
    oldest = project.python
    for oldest in sorted(debian, key=minor_number, reverse=True):
        yield oldest
    from shipwheel.base.standalone_builds import newest_versions

    found = newest_versions(project, platforms)
    below = (version for version in found if project.oldest_python <= minor_number(version) < minor_number(oldest))
    yield from sorted(below, key=minor_number)[-1:]


def try_pythons(
    project: Project,
    reporter: Reporter,
    attempt: Callable[[Project], T],
    adapt: Callable[[Project, str], Project] = with_python,
    first: Sequence[str] = (),
    why_first: str = "",
    lock: Lock | None = None,
    *,
    needs_first: bool = False,
) -> T:
    """Return the result of `attempt` for the first Python version for which it succeeds, beginning with `first`, for a reason to be told.

    If all fail, raise the error of the version for which least must be compiled. The search ends where the index cannot be reached, and
    does not begin after an error that another Python cannot help with: that error is raised, or else the best before it. No time is spent
    on one that came out long after the files of a pinned version that lacks one for an older Python. Raise PythonOutOfReach
    if the first of `first` is needed and out of reach.
    """
    errors: list[LockError] = []
    tried: list[str] = []
    hopeless: list[str] = []
    for version in pythons_to_try(project, adapt, first, lock):
        if any(_lacks_files_of_its_time(error, project, version) for error in errors):
            hopeless.append(version)
            continue
        tried.append(version)
        try:
            found = attempt(project if version == project.python else adapt(project, version))
        except LockError as error:
            from shipwheel.locking.diagnose.uv_errors import IndexUnavailable

            if isinstance(error, IndexUnavailable) or not (errors or error.another_python_may_help):
                errors = errors or [error]
                break
            errors.append(error)
            continue
        except FetchError:
            if version not in _DEBIAN and version != project.python:
                if needs_first and version == first[0]:
                    raise PythonOutOfReach from None
                # A standalone build may not be to be had.
                tried.pop()
                continue
            raise
        if errors and version != project.python:
            _warn_of_other_python(version, project, errors[0], reporter)
        elif why_first and version in first and version != project.python:
            reporter(Warned(f"Python {version} is used, {why_first}"))
        return found
    best = _best(errors)
    first_tried = tried[errors.index(best)]
    others = [version for version in (*tried[: len(errors)], *hopeless) if version != first_tried]
    best = _with_other_version(best, project if first_tried == project.python else adapt(project, first_tried))
    if not others:
        raise best
    if isinstance(best, NoCompatibleFile):
        raise NoCompatibleFile(best.missing, best.targets, tried=others, lock=best.lock)
    raise _with_tried(best, others) from best


def _with_other_version(error: LockError, project: Project) -> LockError:
    from shipwheel.locking.make import with_other_version

    return with_other_version(error, lock_request(project))


def _lacks_files_of_its_time(error: LockError, project: Project, version: str) -> bool:
    """Return whether a version that the project pins lacks files for an older Python than one that came out after all of its files."""
    if not isinstance(error, NoCompatibleFile) or minor_number(version) <= minor_number(error.targets[0].minor):
        return False
    pinned = _pinned(project)
    return any(
        file.mismatch is Mismatch.PYTHON
        and file.published is not None
        and file.published + _EARLY < python_released(version)
        and (pinned is None or file.name in pinned)
        for file in error.missing
    )


def _pinned(project: Project) -> frozenset[str] | None:
    """Return the packages of which the project accepts one version; None if that holds for all of them."""
    from packaging.requirements import InvalidRequirement, Requirement

    from shipwheel.locking.build_requirements import stated_requirements

    inputs = project.inputs
    by_lock = inputs.other_lock is not None and project.settings.as_of is None
    if by_lock or (inputs.requirements is not None and inputs.requirements.is_pinned):
        return None
    found = set()
    for text in stated_requirements(inputs):
        with suppress(InvalidRequirement):
            requirement = Requirement(text)
            if any(each.operator in ("==", "===") and "*" not in each.version for each in requirement.specifier):
                found.add(normalized(requirement.name))
    return frozenset(found)


def _best(errors: Sequence[LockError]) -> LockError:
    """Return the error after which least must be compiled; the first one if it is of another kind, which cannot be compared.

    Errors that only exclude a Python version count if there are no others.
    """
    errors = [error for error in errors if not _is_about_python(error)] or errors
    comparable = [error for error in errors if isinstance(error, NoCompatibleFile)]
    if not isinstance(errors[0], NoCompatibleFile):
        return errors[0]
    return min(comparable, key=lambda error: error.amount_to_compile)


def _is_about_python(error: LockError) -> bool:
    from shipwheel.locking.diagnose.uv_errors import ResolutionError
    from shipwheel.locking.uv_output import FailureKind

    return isinstance(error, ResolutionError) and error.failure.kind is FailureKind.PYTHON_VERSION


def _with_tried(error: LockError, tried: Sequence[str]) -> LockError:
    """Return the error with the Python versions that failed too in its hint, in place of advice to try another version."""
    hint = f"{error.hint} Python {', '.join(tried)} failed too.".strip()
    if error.another_python_may_help:
        hint = f"Python {', '.join(tried)} failed too: choose other versions of these packages, or those of an older day (--as-of)."
        hint = " ".join(filter(None, (hint, error.hint_without_python)))
    return LockError(error.message, hint=hint, summary=error.summary, replacements=error.replacements)
