"""`shipwheel lock`: make, check and explain the lock of all platforms, without asking Debian's archive."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.model import Bases, lock_table, read_locked_base
from shipwheel.base.targets import targets_of
from shipwheel.errors import LockError, ProjectError, UsageError
from shipwheel.locking.inputs import LockRequest, inputs_digest
from shipwheel.locking.pylock import Lock, read_lock
from shipwheel.locking.selection import Selection, select_all
from shipwheel.pipeline.python_choice import may_fall_back_to, with_suitable_python
from shipwheel.pipeline.resolve import (
    lock_request,
    lock_with_command,
    outdated_reason,
    reusable,
    with_compiled,
    with_front_ends,
    with_sources,
)
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.project.read import read_project, with_dependencies, with_launch, with_python
from shipwheel.similar import did_you_mean
from shipwheel.versions import normalized

if TYPE_CHECKING:
    from shipwheel.locking.diagnose.why import PackageReport
    from shipwheel.locking.preferences import Upgrade
    from shipwheel.request import Request

__all__ = ["Locked", "explain_package", "outdated_reasons", "project_to_lock", "update_lock"]


class Locked(msgspec.Struct, frozen=True):
    """A lock that serves every platform. `before` is the lock that existed: the same one if it was current."""

    project: Project
    before: Lock | None
    lock: Lock
    selections: tuple[Selection, ...]


def project_to_lock(request: "Request") -> Project:
    """Read the project, with or without a command to start: a lock needs none. Raise ProjectError."""
    project = read_project(request.path, request.settings, launch=False, files=request.files())
    try:
        return with_launch(project)
    except ProjectError:
        return project


def update_lock(request: "Request", upgrade: "Upgrade") -> Locked:
    """Make the lock unless it is current, and write it if it serves every platform. Raise LockError, ProjectError or UsageError."""
    project = project_to_lock(request)
    before = read_lock(project.inputs.lock_path)

    def lock(wanted: "Request", made: Lock | None) -> Locked:
        return with_suitable_python(project, wanted, partial(_attempt, wanted, before=before, upgrade=upgrade, made=made), _adapt)

    found = with_sources(request, lock)
    unknown = sorted({normalized(name) for name in upgrade.names} - found.lock.names - (before.names if before else frozenset()))
    if unknown:
        hint = did_you_mean(unknown[0], found.lock.names).strip() or "No package in the lock requires it."
        raise UsageError(f"{', '.join(unknown)} cannot be upgraded: not in {found.lock.path.name}", hint=hint)
    if found.lock is not before:
        found.lock.write()
    return found


def _adapt(project: Project, version: str) -> Project:
    try:
        return with_python(project, version)
    except ProjectError:
        return with_python(project, version, launch=False)


def _attempt(
    request: "Request", project: Project, bases: Bases | None = None, *, before: Lock | None, upgrade: "Upgrade", made: Lock | None
) -> Locked:
    from shipwheel.locking.make import renewed

    locks: dict[str, Lock] = {}

    def make(wanted: LockRequest) -> Lock:
        digest = inputs_digest(wanted)
        if digest not in locks:
            locks[digest] = reusable(made, wanted) or renewed(wanted, before, request.reporter, upgrade)
        return locks[digest]

    try:
        project, lock = lock_with_command(project, before, make)
    except ProjectError:
        if project.launch is not None:
            raise
        lock = make(lock_request(project))
    if bases is not None:
        lock = _with_bases(lock, project, request.platforms, bases)
    lock, selections = with_compiled(lock, targets_of(project, lock, request.platforms), request)
    return Locked(project, before, with_front_ends(lock, project, request), selections)


def _with_bases(lock: Lock, project: Project, platforms: Sequence[Platform], bases: Bases) -> Lock:
    """Return the lock with the base images pinned; the same lock if it has them."""
    extra = project.packages
    for platform, base in zip(platforms, bases.resolve(platforms, lock, extra, upgrade=False), strict=True):
        known = read_locked_base(lock, platform)
        if known is None or known.image != base.image or known.extra != extra:
            lock = lock.with_base(platform.architecture, lock_table(base, extra))
    return lock


def outdated_reasons(request: "Request") -> tuple[str, ...]:
    """Return why the lock is not current or does not serve every platform, a sentence each; empty if it is fine.

    Write nothing and use no network.
    """
    project = project_to_lock(request)
    path = project.inputs.lock_path
    lock = read_lock(path)
    if lock is None:
        return (f"There is no {path.name}.",)
    _ = lock.packages  # A damaged lock is an error of its own.
    project = _as_locked(project, lock)
    wanted = _wanted(project, lock)
    if not lock.is_current(inputs_digest(wanted)):
        return (f"{path.name} is out of date: {outdated_reason(lock, wanted)}.", *_changed_names(project, lock))
    try:
        select_all(lock, targets_of(project, lock, request.platforms))
    except LockError as error:
        return (error.message,)
    if project.assets:
        from shipwheel.pipeline.node_lock import lacking_node

        return (f"{path.name} {lack}.",) if (lack := lacking_node(lock, project)) else ()
    return ()


def explain_package(request: "Request", name: str) -> "PackageReport":
    """Report why a package is in the lock at its version. Raise LockError without a lock, UsageError if the package is not in it."""
    from shipwheel.locking.diagnose.why import NewerVersions, find_newer_versions, report_package

    project = project_to_lock(request)
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
    """Return the project for the Python of the lock, which is that of the base image or one that the project can fall back to."""
    if lock.python == project.python:
        return project
    return _adapt(project, lock.python) if project.settings.base is not None or may_fall_back_to(project, lock.python) else project


def _wanted(project: Project, lock: Lock) -> LockRequest:
    """Return what the lock would be made from now, with the requirements of the command."""
    if project.launch is None:
        try:
            project = with_dependencies(project, lock.names)
        except ProjectError:
            return lock_request(project)
    return lock_request(project)


def _changed_names(project: Project, lock: Lock) -> tuple[str, ...]:
    """Return which direct dependencies were added and removed."""
    if project.dynamic:
        return ()
    roots: Mapping[str, str] = lock.roots
    new = sorted(project.dependencies - lock.names)
    gone = sorted(set(roots) - project.dependencies - _names_of_command(project))
    return (
        *((f"Not in the lock: {', '.join(new)}.",) if new else ()),
        *((f"No longer required: {', '.join(gone)}.",) if gone else ()),
    )


def _names_of_command(project: Project) -> frozenset[str]:
    from shipwheel.project.metadata import dependency_names

    return dependency_names(project.added, project.python)
