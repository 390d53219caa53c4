"""`shipwheel lock`: the lock alone, for every platform, without asking Debian's archive for anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shipwheel.base.model import Bases, lock_table, read_locked_base
from shipwheel.base.targets import targets_of
from shipwheel.errors import LockError, ProjectError, UsageError
from shipwheel.lock.inputs import LockRequest, changed_parts, input_parts, inputs_digest
from shipwheel.lock.pylock import FORMAT, Lock, read_lock
from shipwheel.lock.selection import Selection, select_all
from shipwheel.pipeline.python_choice import fitted
from shipwheel.pipeline.resolve import lock_request, locked
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.project.read import read_project, with_dependencies, with_launch, with_python
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from shipwheel.lock.diagnose.why import PackageReport
    from shipwheel.lock.preferences import Upgrade
    from shipwheel.request import Request

__all__ = ["Locked", "explained_name", "made_lock", "project_of", "stale"]


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock that serves every platform; `before` is what was there: the same, when it was current."""

    project: Project
    before: Lock | None
    lock: Lock
    selections: tuple[Selection, ...]


def project_of(request: "Request") -> Project:
    """The project, whether or not a command to start is found: a lock needs none. Raises ProjectError."""
    project = read_project(request.path, request.settings, launch=False)
    try:
        return with_launch(project)
    except ProjectError:
        return project


def made_lock(request: "Request", upgrade: "Upgrade") -> Locked:
    """Makes the lock, or finds it current, and writes it when it serves every platform. Raises LockError, ProjectError, UsageError."""
    project = project_of(request)
    before = read_lock(project.inputs.lock_path)
    attempt = partial(_attempt, request, before=before, upgrade=upgrade)
    found = fitted(project, request, attempt, _other)
    unknown = sorted({normalized(name) for name in upgrade.names} - found.lock.names - (before.names if before else frozenset()))
    if unknown:
        from difflib import get_close_matches

        near = get_close_matches(unknown[0], sorted(found.lock.names), 3)
        hint = f"Near to {unknown[0]} are: {', '.join(near)}." if near else "Nothing asks for it."
        raise UsageError(f"{', '.join(unknown)} cannot be upgraded: not in {found.lock.path.name}", hint=hint)
    if found.lock is not before:
        found.lock.write()
    return found


def _other(project: Project, version: str) -> Project:
    try:
        return with_python(project, version)
    except ProjectError:
        return with_python(project, version, launch=False)


def _attempt(request: "Request", project: Project, bases: Bases | None = None, *, before: Lock | None, upgrade: "Upgrade") -> Locked:
    from shipwheel.lock.make import renewed

    made: dict[str, Lock] = {}

    def make(wanted: LockRequest) -> Lock:
        digest = inputs_digest(wanted)
        if digest not in made:
            made[digest] = renewed(wanted, before, request.reporter, upgrade)
        return made[digest]

    try:
        project, lock = locked(project, before, make)
    except ProjectError:
        if project.launch is not None:
            raise
        lock = make(lock_request(project))
    if bases is not None:
        lock = _with_bases(lock, project, request.platforms, bases)
    return Locked(project, before, lock, select_all(lock, targets_of(project, lock, request.platforms)))


def _with_bases(lock: Lock, project: Project, platforms: Sequence[Platform], bases: Bases) -> Lock:
    """The lock with the images that are built upon, pinned; the same where it has them."""
    extra = project.settings.packages
    for platform, base in zip(platforms, bases.resolve(platforms, lock, extra, upgrade=False), strict=True):
        known = read_locked_base(lock, platform)
        if known is None or known.image != base.image or known.extra != extra:
            lock = lock.with_base(platform.architecture, lock_table(base, extra))
    return lock


def stale(request: "Request") -> tuple[str, ...]:
    """Why the lock is not current or does not serve every platform, a sentence each; empty when all is well.

    Writes nothing, asks nobody.
    """
    project = project_of(request)
    path = project.inputs.lock_path
    lock = read_lock(path)
    if lock is None:
        return (f"There is no {path.name}.",)
    _ = lock.packages  # What is damaged cannot be made current: that is an error of its own.
    project = _as_locked(project, lock)
    wanted = _wanted(project, lock)
    if not lock.is_current(inputs_digest(wanted)):
        changes = changed_parts(lock.parts, input_parts(wanted))
        otherwise = "what it was made from changed" if lock.format == FORMAT else "another version of shipwheel made it"
        what = "; ".join(changes) if changes else otherwise
        return (f"{path.name} is out of date: {what}.", *_names(project, lock))
    try:
        select_all(lock, targets_of(project, lock, request.platforms))
    except LockError as error:
        return (error.message,)
    return ()


def explained_name(request: "Request", name: str) -> "PackageReport":
    """Why a distribution is in the lock as it is. Raises LockError when there is no lock, UsageError when it is not in it."""
    from shipwheel.lock.diagnose.why import NewerVersions, find_newer_versions, report_package

    project = project_of(request)
    lock = read_lock(project.inputs.lock_path)
    if lock is None:
        raise LockError(f"there is no {project.inputs.lock_path.name}", hint="Make it with `shipwheel lock`.")
    project = _as_locked(project, lock)
    selections = select_all(lock, targets_of(project, lock, request.platforms))
    origin = project.inputs.texts.get(lock.origin, b"")
    report_package(lock, name, selections, NewerVersions(), origin)
    newer = find_newer_versions(_wanted(project, lock), lock, name, request.reporter)
    return report_package(lock, name, selections, newer, origin)


def _as_locked(project: Project, lock: Lock) -> Project:
    """The project for the Python that the lock turned out to need, or that the base image has."""
    given = project.settings.base is not None and lock.python != project.python
    return _other(project, lock.python) if given or lock.python in project.other_pythons else project


def _wanted(project: Project, lock: Lock) -> LockRequest:
    """What the lock would be made from now, with what the command brings along."""
    if project.launch is None:
        try:
            project = with_dependencies(project, lock.names)
        except ProjectError:
            return lock_request(project)
    return lock_request(project)


def _names(project: Project, lock: Lock) -> tuple[str, ...]:
    """Which direct dependencies came and went."""
    if project.dynamic:
        return ()
    known: Mapping[str, str] = lock.roots
    new = sorted(project.dependencies - lock.names)
    gone = sorted(set(known) - project.dependencies - _added(project))
    return (
        *((f"Not in the lock: {', '.join(new)}.",) if new else ()),
        *((f"No longer asked for: {', '.join(gone)}.",) if gone and known else ()),
    )


def _added(project: Project) -> frozenset[str]:
    from shipwheel.project.metadata import dependency_names

    return dependency_names(project.launch.extra_requirements, project.python) if project.launch else frozenset()
