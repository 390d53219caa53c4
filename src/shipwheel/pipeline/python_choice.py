"""The Python version and the base for which a project's requirements can be had; what to do instead where there are none."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from shipwheel.base.model import Bases
from shipwheel.errors import LockError
from shipwheel.events import Reporter, Warned
from shipwheel.lock.inputs import inputs_digest
from shipwheel.lock.no_compatible_file import NoCompatibleFile, OtherPython
from shipwheel.lock.pylock import read_lock
from shipwheel.lock.target import Target
from shipwheel.pipeline.resolve import lock_request
from shipwheel.project.project import Project
from shipwheel.project.read import with_python
from shipwheel.suites import SUITES

if TYPE_CHECKING:
    from shipwheel.request import Request

_IMAGES = tuple(f"3.{minor}" for minor in range(9, 15))
"""The Pythons of which there are images."""

T = TypeVar("T")
Made = TypeVar("Made", covariant=True)

__all__ = ["Attempt", "first_fitting", "fitted", "versions"]


class Attempt(Protocol[Made]):
    """What is tried with a project, upon bases where they are given already."""

    def __call__(self, project: Project, bases: Bases | None = None) -> Made: ...


def fitted(project: Project, request: "Request", attempt: Attempt[T], other: Callable[[Project, str], Project] = with_python) -> T:
    """What `attempt` makes: with the base image's Python, or else the best of Debian's for which the requirements can be had.

    Raises what `attempt` does; a NoCompatibleFile error then says what would do instead, for which the index is asked.
    """
    with _naming_instead(project, request.reporter):
        if project.settings.base is None:
            return first_fitting(project, request.reporter, attempt, other)
        from shipwheel.base.image import project_on_image

        return attempt(*project_on_image(project, request))


@contextmanager
def _naming_instead(project: Project, reporter: Reporter) -> Iterator[None]:
    try:
        yield
    except NoCompatibleFile as error:
        from shipwheel.lock.diagnose.alternatives import find_alternatives

        request = replace(lock_request(project), python=error.targets[0].minor)
        alternatives = find_alternatives(error.missing, request, _others(project, error.targets), reporter)
        raise NoCompatibleFile(error.missing, error.targets, alternatives, error.tried) from None


def _others(project: Project, targets: Sequence[Target]) -> list[OtherPython]:
    """The same targets with each other Python: those of Debian's suites, or of another image with that C library."""
    found = []
    for target in targets:
        if project.settings.base is None:
            suites = [suite for suite in SUITES if suite.python != target.minor]
            found += [
                OtherPython(
                    f"Python {it.python} (Debian {it.codename})", f"--python {it.python}", Target(target.platform, it.full_python, it.libc)
                )
                for it in suites
            ]
        else:
            found += [
                OtherPython(f"an image with Python {minor}", "--base", msgspec.structs.replace(target, python=f"{minor}.9"))
                for minor in _IMAGES
                if minor != target.minor
            ]
    return found


def versions(project: Project, other: Callable[[Project, str], Project] = with_python) -> tuple[str, ...]:
    """The Python versions to try, in order: the one that the last lock turned out to need first, while it is current."""
    found = (project.python, *project.other_pythons)
    lock = read_lock(project.inputs.lock_path) if project.other_pythons else None
    if lock is None or lock.python not in project.other_pythons:
        return found
    if not lock.is_current(inputs_digest(lock_request(other(project, lock.python)))):
        return found
    return (lock.python, *(version for version in found if version != lock.python))


def first_fitting(
    project: Project, reporter: Reporter, attempt: Callable[[Project], T], other: Callable[[Project, str], Project] = with_python
) -> T:
    """What `attempt` makes with the best Python version for which the requirements can be had.

    If there is none, the error of the version for which least is missing. An error that has nothing to do with the version (the index
    cannot be reached) ends the trying: it is raised if it is the first, else what was wrong before it.
    """
    errors: list[LockError] = []
    order = versions(project, other)
    for version in order:
        try:
            found = attempt(project if version == project.python else other(project, version))
        except LockError as error:
            if error.another_python_may_help or not errors:
                errors.append(error)
            if not error.another_python_may_help:
                break
            continue
        if errors:
            reason = textwrap.shorten(errors[0].summary, 300, placeholder=" …")
            reporter(Warned(f"Python {version} is used, since {project.python} will not do: {reason}"))
        return found
    best = _best(errors)
    tried = [version for version in order[: len(errors)] if version != order[errors.index(best)]]
    if not tried:
        raise best
    if isinstance(best, NoCompatibleFile):
        raise NoCompatibleFile(best.missing, best.targets, tried=tried)
    raise _in_vain(best, tried)


def _best(errors: Sequence[LockError]) -> LockError:
    """The one with which least is missing; what only uv can say cannot be weighed, and the first counts."""
    unserved = [error for error in errors if isinstance(error, NoCompatibleFile)]
    if not isinstance(errors[0], NoCompatibleFile):
        return errors[0]
    return min(unserved, key=lambda error: sum(map(len, error.missing.values())))


def _in_vain(error: LockError, tried: Sequence[str]) -> LockError:
    """The same error where other Python versions will not do either: what its hint says besides of them stays."""
    vain = f"They cannot be had for Python {', '.join(tried)} either: choose other versions of these, or those of an older day (--as-of)."
    return LockError(error.message, hint=" ".join(filter(None, (vain, error.hint_without_python))), summary=error.summary)
