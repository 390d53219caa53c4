"""The targets of a project: the Python and the libc that its base has, or is expected to have."""

from collections.abc import Sequence

from shipwheel.base.model import LockedBase, read_locked_base
from shipwheel.debian.seed import libc_version, python_version
from shipwheel.errors import LockError, UsageError
from shipwheel.locking.pylock import Lock
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.suites import SUITES, Suite, suite_by_name, suite_for, without_python
from shipwheel.versions import minor_version

__all__ = ["suite_of", "targets_of"]


def suite_of(project: Project) -> Suite:
    """Return the suite that the settings name, else the one that ships the project's Python version.

    If no suite ships that version, return one without its Python. Raise UsageError if the named suite ships another version.
    """
    named = suite_by_name(project.settings.suite) if project.settings.suite is not None else None
    minor = minor_version(project.python)
    if all(suite.python != minor for suite in SUITES):
        return without_python(named)
    suite = named or suite_for(project.python)
    if suite.python != minor:
        raise UsageError(
            f"Debian {suite.codename} has Python {suite.python}, and the project needs {project.python}",
            hint="Remove the setting `suite`, or set `python` to the suite's version.",
        )
    return suite


def targets_of(project: Project, lock: Lock, platforms: Sequence[Platform]) -> list[Target]:
    """Return one target per platform: from the lock's base if it is valid, else from the versions that the suite is known to have.

    Raise LockError for a project with a base image that is not in the lock.
    """
    return [_target(project, lock, platform) for platform in platforms]


def _target(project: Project, lock: Lock, platform: Platform) -> Target:
    locked, settings = read_locked_base(lock, platform), project.settings
    if settings.base is not None:
        if locked is None or locked.image is None or locked.image.name != settings.base:
            raise LockError(f"the lock has no base {settings.base} for {platform}", hint="Add it with `shipwheel lock`.")
        facts = locked.image.facts
        return Target(platform, facts.python, facts.libc, facts.musl)
    suite = suite_of(project)
    if locked is not None and not _is_composed_of(locked, suite, project.packages):
        locked = None
    if suite.python:
        if locked is None or locked.standalone is not None:
            return Target(platform, suite.full_python, suite.libc)
        return Target(platform, python_version(locked.packages), libc_version(locked.packages))
    from shipwheel.base.standalone_builds import pinned_version

    libc = libc_version(locked.packages) if locked is not None else suite.libc
    return Target(platform, pinned_version(project, locked.standalone if locked is not None else None), libc)


def _is_composed_of(locked: LockedBase, suite: Suite, extra: Sequence[str]) -> bool:
    return locked.image is None and locked.suite == suite.codename and locked.extra == tuple(extra)
