"""What a project's images are for: Python and libc as its base has them, or is expected to have them."""

from collections.abc import Sequence

from shipwheel.base.base import read_base
from shipwheel.debian.composed import base_facts, libc_version
from shipwheel.errors import LockError, UsageError
from shipwheel.lock.pylock import Lock
from shipwheel.lock.target import Target
from shipwheel.platform import Platform
from shipwheel.project.detect import Project
from shipwheel.suites import SUITES, Suite, suite_by_name, suite_for, without_python
from shipwheel.versions import minor_version

__all__ = ["suite_of", "targets_of"]


def suite_of(project: Project) -> Suite:
    """The suite that the settings name or that has the project's Python version; for a version that none has, one without its Python.

    Raises UsageError.
    """
    named = suite_by_name(project.settings.suite) if project.settings.suite is not None else None
    if all(suite.python != minor_version(project.python) for suite in SUITES):
        return without_python(named)
    suite = named or suite_for(project.python)
    if suite.python != minor_version(project.python):
        raise UsageError(
            f"Debian {suite.codename} has Python {suite.python}, and the project asks for {project.python}",
            hint="Leave out `suite`, or set `python` to the suite's version.",
        )
    return suite


def targets_of(project: Project, lock: Lock, platforms: Sequence[Platform]) -> list[Target]:
    """The targets: Python and libc as the lock's base has them, or as the suite was released with them.

    For a project with a base image that the lock does not have, raises LockError.
    """
    return [_target(project, lock, platform) for platform in platforms]


def _target(project: Project, lock: Lock, platform: Platform) -> Target:
    found, settings = read_base(lock, platform), project.settings
    if settings.base is not None:
        if found is None or found.image is None or found.image.name != settings.base:
            raise LockError(f"the lock has no base {settings.base} for {platform}", hint="Make it with `shipwheel lock`.")
        facts = found.image.facts
        return Target(platform, facts.python, facts.libc, facts.musl)
    suite = suite_of(project)
    same = found is not None and found.image is None and found.suite == suite.codename and found.extra == settings.packages
    if suite.python:
        same = same and found is not None and found.standalone is None
        return Target(platform, *(base_facts(found.packages) if found is not None and same else suite.facts))
    from shipwheel.base.standalone import pinned_version

    libc = libc_version(found.packages) if found is not None and same else suite.facts[1]
    return Target(platform, pinned_version(project, found.standalone if found is not None and same else None), libc)
