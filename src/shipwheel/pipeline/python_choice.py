"""Try Python versions until one has packages for a project's requirements, and find alternatives if none has."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from shipwheel.base.model import Bases
from shipwheel.errors import LockError
from shipwheel.events import Reporter, Warned
from shipwheel.locking.inputs import inputs_digest
from shipwheel.locking.no_compatible_file import NoCompatibleFile, OtherPython
from shipwheel.locking.pylock import read_lock
from shipwheel.locking.target import Target
from shipwheel.pipeline.resolve import lock_request
from shipwheel.project.project import Project
from shipwheel.project.read import with_python
from shipwheel.request import LockMode
from shipwheel.suites import SUITES

if TYPE_CHECKING:
    from shipwheel.request import Request

_IMAGE_PYTHONS = tuple(f"3.{minor}" for minor in range(9, 15))
"""The Python versions for which public images exist."""
_MAX_REASON = 300

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)

__all__ = ["ProjectAttempt", "pythons_to_try", "try_pythons", "with_suitable_python"]


class ProjectAttempt(Protocol[Result]):
    """Resolves a project, on the given bases if there are any."""

    def __call__(self, project: Project, bases: Bases | None = None) -> Result: ...


def with_suitable_python(
    project: Project, request: "Request", attempt: ProjectAttempt[T], adapt: Callable[[Project, str], Project] = with_python
) -> T:
    """Return the result of `attempt` for the base image's Python, or for the best Python of Debian for which it succeeds.

    `adapt` returns the project for another Python. Raise what `attempt` raises; a NoCompatibleFile error then names alternatives, which the
    package index is asked for.
    """
    with _naming_alternatives(project, request.reporter):
        if project.settings.base is None:
            if request.lock_mode is LockMode.FROZEN and (lock := read_lock(project.inputs.lock_path)) is not None:
                return attempt(project if lock.python == project.python else adapt(project, lock.python))
            return try_pythons(project, request.reporter, attempt, adapt)
        from shipwheel.base.image import project_on_image

        return attempt(*project_on_image(project, request))


@contextmanager
def _naming_alternatives(project: Project, reporter: Reporter) -> Iterator[None]:
    try:
        yield
    except NoCompatibleFile as error:
        from shipwheel.locking.diagnose.alternatives import find_alternatives

        request = replace(lock_request(project), python=error.targets[0].minor)
        alternatives = find_alternatives(error.missing, request, _other_pythons(project, error.targets), reporter)
        raise NoCompatibleFile(error.missing, error.targets, alternatives, error.tried) from None


def _other_pythons(project: Project, targets: Sequence[Target]) -> list[OtherPython]:
    """Return the targets with each other Python: that of another Debian suite, or of another image with the same C library."""
    found = []
    for target in targets:
        if project.settings.base is None:
            found += [
                OtherPython(
                    f"Python {suite.python} (Debian {suite.codename})",
                    f"--python {suite.python}",
                    Target(target.platform, suite.full_python, suite.libc),
                )
                for suite in SUITES
                if suite.python != target.minor
            ]
        else:
            found += [
                OtherPython(f"an image with Python {minor}", "--base", msgspec.structs.replace(target, python=f"{minor}.9"))
                for minor in _IMAGE_PYTHONS
                if minor != target.minor
            ]
    return found


def pythons_to_try(project: Project, adapt: Callable[[Project, str], Project] = with_python) -> tuple[str, ...]:
    """Return the Python versions in the order to try them. The one of a current lock comes first."""
    found = (project.python, *project.other_pythons)
    lock = read_lock(project.inputs.lock_path) if project.other_pythons else None
    if lock is None or lock.python not in project.other_pythons:
        return found
    if not lock.is_current(inputs_digest(lock_request(adapt(project, lock.python)))):
        return found
    return (lock.python, *(version for version in found if version != lock.python))


def try_pythons(
    project: Project, reporter: Reporter, attempt: Callable[[Project], T], adapt: Callable[[Project, str], Project] = with_python
) -> T:
    """Return the result of `attempt` for the first Python version for which it succeeds.

    If all fail, raise the error of the version that lacks the fewest files. An error that another Python cannot help with, such as an
    unreachable index, ends the search: it is raised itself if it is the first, else the best error before it.
    """
    errors: list[LockError] = []
    order = pythons_to_try(project, adapt)
    for version in order:
        try:
            found = attempt(project if version == project.python else adapt(project, version))
        except LockError as error:
            if error.another_python_may_help or not errors:
                errors.append(error)
            if not error.another_python_may_help:
                break
            continue
        if errors:
            reason = textwrap.shorten(errors[0].summary, _MAX_REASON, placeholder=" …")
            reporter(Warned(f"Python {version} is used, since {project.python} does not work: {reason}"))
        return found
    best = _best(errors)
    tried = [version for version in order[: len(errors)] if version != order[errors.index(best)]]
    if not tried:
        raise best
    if isinstance(best, NoCompatibleFile):
        raise NoCompatibleFile(best.missing, best.targets, tried=tried)
    raise _with_tried(best, tried) from best


def _best(errors: Sequence[LockError]) -> LockError:
    """Return the error with the fewest missing files; the first one if it is of another kind, which cannot be compared."""
    comparable = [error for error in errors if isinstance(error, NoCompatibleFile)]
    if not isinstance(errors[0], NoCompatibleFile):
        return errors[0]
    return min(comparable, key=lambda error: sum(map(len, error.missing.values())))


def _with_tried(error: LockError, tried: Sequence[str]) -> LockError:
    """Return the error with the Python versions that failed too in its hint, in place of advice to try another version."""
    hint = f"Python {', '.join(tried)} failed too: choose other versions of these packages, or those of an older day (--as-of)."
    return LockError(error.message, hint=" ".join(filter(None, (hint, error.hint_without_python))), summary=error.summary)
