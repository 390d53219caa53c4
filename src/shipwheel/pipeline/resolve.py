"""Resolve a project: its lock, and each platform's base and Python packages. Nothing large is downloaded."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from shipwheel.base.debian import DebianBases
from shipwheel.base.init import with_init
from shipwheel.base.model import Base, Bases, lock_table, read_locked_base
from shipwheel.base.targets import suite_of, targets_of
from shipwheel.debian.session import ArchiveSession
from shipwheel.errors import LockError, ProjectError
from shipwheel.events import Reporter
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.inputs import LockRequest, changed_parts, input_parts, inputs_digest, is_current
from shipwheel.locking.kept_selection import kept_selections, read_kept_lock
from shipwheel.locking.no_compatible_file import NoCompatibleFile
from shipwheel.locking.pylock import FORMAT, Lock, LockedDeb, LockedNode, name_in
from shipwheel.locking.selection import Selection
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.project.indexes import indexes_of
from shipwheel.project.node_wish import node_wish
from shipwheel.project.project import Project
from shipwheel.project.read import with_dependencies
from shipwheel.request import LockMode, Request
from shipwheel.settings.build import AssetSettings, BuildSettings
from shipwheel.store.store import Store
from shipwheel.versions import minor_version, normalized, requirement_name

__all__ = [
    "PythonOutOfReach",
    "Resolution",
    "Resolved",
    "check_bases_locked",
    "composed_bases",
    "lock_request",
    "lock_with_bases",
    "lock_with_command",
    "outdated_reason",
    "resolve",
    "reusable",
    "with_build_packages",
    "with_compiled",
    "with_front_ends",
    "with_sources",
    "without_other_compilers",
]

T = TypeVar("T")


class Resolved(msgspec.Struct, frozen=True):
    """The parts of one platform's image."""

    target: Target
    base: Base
    selection: Selection


class PythonOutOfReach(Exception):
    """The Python that a request needs first is not to be had."""


class Resolution(msgspec.Struct, frozen=True):
    """The parts of all images. `wrote_lock` is true if the lock is new."""

    project: Project
    lock: Lock
    platforms: tuple[Resolved, ...]
    wrote_lock: bool = False

    def node(self, front_end: AssetSettings) -> LockedNode | None:
        """Return the node that builds a front end; None if an image has it."""
        return None if front_end.image else self.lock.node[node_wish(self.project.files, self.project.root, front_end).range]


def resolve(project: Project, request: Request, bases: Bases, made: Lock | None = None) -> Resolution:
    """Read or make the lock, find the bases, and select the Python packages of every platform. A new lock is written if it serves them all.

    A lock that was `made` before, for the same inputs, is not made again. Raise LockError with everything that is missing on any platform,
    and for a lock that would have to change if the request forbids it.
    """
    platforms, upgrade = request.platforms, request.upgrade_base
    before = read_kept_lock(project.inputs.lock_path, request.store)
    project, lock = lock_with_command(project, before, lambda wanted: reusable(made, wanted) or _renewed(wanted, before, request))
    if upgrade and lock.compilers:
        lock = lock.with_compilers({})
    if lock is not before and project.settings.base is None:
        # Report what no Debian package can change before the archive is asked.
        lock = with_compiled(lock, targets_of(project, lock, platforms), request)[0]
    check_bases_locked([read_locked_base(lock, platform) is not None for platform in platforms], request, lock)
    found = bases.resolve(platforms, lock, project.packages, upgrade=upgrade)
    lock = without_other_compilers(lock, dict(zip(platforms, found, strict=True)))
    if project.settings.init:
        found = with_init(found, platforms, lock, bases, upgrade=upgrade)
    check_bases_locked([base.locked for base in found], request, lock)
    targets = [base.target(platform) for platform, base in zip(platforms, found, strict=True)]
    lock, selections = with_compiled(lock, targets, request)
    lock = with_front_ends(lock, project, request)
    if lock is not before:
        lock.write()
    resolved = tuple(Resolved(*each) for each in zip(targets, found, selections, strict=True))
    return Resolution(project, lock, resolved, wrote_lock=lock is not before)


def with_compiled(lock: Lock, targets: Sequence[Target], request: Request) -> tuple[Lock, tuple[Selection, ...]]:
    """Return the lock with the packages that are to be compiled, and the files for each target.

    Raise NoCompatibleFile if files are missing, and the request does not compile or that does not help with all of them.
    """
    try:
        return lock, kept_selections(lock, targets, request.store)
    except NoCompatibleFile as error:
        if not (request.compiles and error.to_compile):
            raise
        lock = lock.with_compiled({**lock.compiled, **dict.fromkeys(error.to_compile, ())})
    return lock, kept_selections(lock, targets, request.store)


def with_front_ends(lock: Lock, project: Project, request: Request) -> Lock:
    """Return the lock with the node of the project's front ends; the same lock if it has that. See `with_node`."""
    if not project.assets:
        # A variant for development has no front ends, and may have the project's lock.
        return lock
    from shipwheel.pipeline.node_lock import with_node

    return with_node(lock, project, request)


def without_other_compilers(lock: Lock, bases: Mapping[Platform, Base]) -> Lock:
    """Return the lock without its compilers if they are of another Debian suite than one of the bases; the same lock if they are not."""
    locked = {platform: read_locked_base(lock, platform) for platform in bases} if lock.compilers else {}
    before = {platform: known.suite for platform, known in locked.items() if known is not None}
    after = {platform: base.suite.codename if base.suite is not None else "" for platform, base in bases.items()}
    return lock if before.items() <= after.items() else lock.with_compilers({})


def with_build_packages(
    lock: Lock,
    build_packages: Mapping[str, tuple[str, ...]],
    compilers: Mapping[str, tuple[str, ...]],
    builder: Iterable[LockedDeb],
    request: Request,
    build_wheels: Mapping[str, Mapping[str, tuple[str, ...]]] = {},
) -> Lock:
    """Return the lock with what was compiled, the Debian packages that this needed, and their versions; the same lock if it has them.

    Another platform may need more, so that nothing is removed from a package's list. Locked versions stay, like the base. `builder` are
    the packages as files: those of this machine's processor, which may be missing in a lock that another processor has made. `build_wheels`
    are the build requirements, in place of those of the lock. Raise LockError if the request forbids to change the lock.
    """
    named = {name: tuple(sorted({*lock.compiled.get(name, ()), *needed})) for name, needed in build_packages.items()}
    versions = {each: _added(lock.compilers.get(each, ()), labels) for each, labels in compilers.items() if labels}
    files = {deb.place: deb for deb in (*builder, *lock.builder)}
    may_change = request.lock_mode is LockMode.UPDATE
    pins = {each: {**lock.build_wheels.get(each, {}), **build_wheels.get(each, {})} for each in {*lock.build_wheels, *build_wheels}}
    has_files = len(files) == len(lock.builder) and pins == lock.build_wheels
    is_complete = named.items() <= lock.compiled.items() and versions.items() <= lock.compilers.items()
    if is_complete and (has_files or not may_change):
        return lock
    if not may_change:
        raise LockError(
            f"{lock.path.name} does not say what is compiled, and with what: {', '.join(sorted(named))}",
            hint=f"The first build locks it: build without --{request.lock_mode.value}, and commit {lock.path.name}.",
        )
    return lock.with_compiled({**lock.compiled, **named}).with_compilers({**lock.compilers, **versions}, files.values(), pins)


def _added(locked: Iterable[str], used: Iterable[str]) -> tuple[str, ...]:
    """Return packages with their versions, "gcc-14 14.2.0-19": those of the lock, and others of which it has none."""
    found = {name_in(label): label for label in (*used, *locked)}
    return tuple(sorted(found.values()))


def with_sources(request: Request, work: Callable[[Request, Lock | None], T]) -> T:
    """Return the result of `work`; if files are missing for which a source can be compiled, that of the request to do so.

    Compiling comes last: another Python that has the files is better. The one that has least to compile is tried first. `work` gets the
    lock that was made for it, which compiling does not change. Raise SlowSources for those that the request does not compile, also where
    the Python that has files for them turns out to be out of reach.
    """
    try:
        return work(request, None)
    except NoCompatibleFile as error:
        if not error.to_compile or request.lock_mode is not LockMode.UPDATE:
            raise
        if not request.slow_sources and (slow := error.slow_to_compile) is not None:
            raise slow from None
        # A standalone build may not be to be had.
        own, made = error.targets[0].minor, error.lock
        pythons = tuple(dict.fromkeys((error.python_to_compile, own)))
        slow = None if request.slow_sources or len(pythons) == 1 else error.slow_with(own)
    try:
        return work(replace(request, compiles=True, first_pythons=pythons, needs_first=slow is not None), made)
    except PythonOutOfReach as unreachable:
        raise slow or unreachable from None


def reusable(made: Lock | None, wanted: LockRequest) -> Lock | None:
    """Return a lock that was just made if it is what another request wants, else None."""
    return made if made is not None and made.path == wanted.inputs.lock_path and is_current(made, wanted) else None


def _prepare_downloads() -> None:
    """Import what downloads need, and read the authorities to trust. What goes wrong here goes wrong there again, and is said."""
    with suppress(Exception):
        import httpcore  # noqa: F401
        import installer  # noqa: F401

        from shipwheel.download import fetch, http  # noqa: F401

        http.trusted_authorities()


def _renewed(wanted: LockRequest, before: Lock | None, request: Request) -> Lock:
    """Return the lock if it is current, without importing the modules that make locks; else a new one."""
    wanted = replace(wanted, bounds=request.bounds)
    if before is not None and (request.lock_mode is LockMode.FROZEN or is_current(before, wanted)):
        return before
    if request.lock_mode is not LockMode.UPDATE:
        name = wanted.inputs.lock_path.name
        message = f"there is no {name}" if before is None else f"{name} is out of date: {outdated_reason(before, wanted)}"
        raise LockError(message, hint=f"Run `shipwheel lock` and commit {name}, or leave out --{request.lock_mode.value}.")
    from shipwheel.locking.sandbox import is_available

    # A program is started for it, while the imports below keep this thread busy.
    probe = threading.Thread(target=is_available, name="sandbox")
    probe.start()
    from shipwheel.locking.diagnose.uv_errors import IndexUnavailable
    from shipwheel.locking.make import renewed

    probe.join()
    # While uv runs, this process has nothing to do; a new lock mostly names something that is not in the store.
    threading.Thread(target=_prepare_downloads, name="prepare").start()
    try:
        return renewed(wanted, before, request.reporter)
    except IndexUnavailable as error:
        if before is not None:
            error.message += f"\n  a new lock is needed, since {before.path.name} is out of date: {_difference(before, wanted)}"
            error.hint += " A machine without a network builds what the lock has: lock on another one, and bring `bundle --for-build`."
        raise


def _difference(before: Lock, wanted: LockRequest) -> str:
    """Return why a lock is not current, with the packages that the project states and the lock lacks."""
    from shipwheel.locking.build_requirements import stated_requirements

    stated = {requirement_name(text) for text in stated_requirements(wanted.inputs)}
    lacking = sorted(stated - {normalized(name) for name in before.names})
    return outdated_reason(before, wanted) + (f" (it lacks {', '.join(lacking)})" if lacking else "")


def outdated_reason(lock: Lock, wanted: LockRequest) -> str:
    """Return why a lock is not current, a few words for each reason."""
    unnamed = "its inputs changed" if lock.format == FORMAT else "another version of shipwheel made it"
    return "; ".join(changed_parts(lock.parts, input_parts(wanted))) or unnamed


def check_bases_locked(locked: Sequence[bool], request: Request, lock: Lock) -> None:
    """Raise LockError if the request forbids to change the lock, and it does not have the base of each platform."""
    missing = [str(platform) for platform, known in zip(request.platforms, locked, strict=True) if not known]
    if missing and request.lock_mode is not LockMode.UPDATE:
        raise LockError(
            f"{lock.path.name} does not have the whole base for {', '.join(missing)}",
            hint=f"The first build locks it: build without --{request.lock_mode.value}, and commit {lock.path.name}.",
        )


def lock_with_command(project: Project, before: Lock | None, make: Callable[[LockRequest], Lock]) -> tuple[Project, Lock]:
    """Return the project with its command, and its lock from `make`.

    A project whose dependencies only a build tells is locked first, and its command is chosen by the packages in the lock. While the
    existing lock `before` is current, its packages are enough for that.
    """
    if project.launch is None and before is not None:
        with suppress(ProjectError):
            launched = with_dependencies(project, before.names)
            if before.is_current(inputs_digest(lock_request(launched))):
                return launched, make(lock_request(launched))
    wanted = lock_request(project)
    lock = make(wanted)
    if project.launch is not None:
        return project, lock
    launched = with_dependencies(project, lock.names)
    with_its_own = lock_request(launched)
    return launched, lock if inputs_digest(with_its_own) == inputs_digest(wanted) else make(with_its_own)


def composed_bases(project: Project, store: Store, reporter: Reporter) -> Bases:
    """Return bases of Debian packages, with a standalone Python if no suite has the version. Raise UsageError."""
    suite = suite_of(project)
    archive = ArchiveSession(project.settings.debian_mirror, store, reporter, project.settings.as_of)
    debian = DebianBases(suite, archive, reporter, project.wished_packages)
    if suite.python:
        return debian
    from shipwheel.base.standalone import StandaloneBases

    return StandaloneBases(project, debian, store, reporter)


def lock_request(project: Project) -> LockRequest:
    """Return what the project's lock is made from."""
    settings = project.settings
    build = settings.build or BuildSettings()
    return LockRequest(
        inputs=project.inputs,
        python=minor_version(project.python),
        as_of=settings.as_of,
        extras=settings.extras,
        groups=settings.groups,
        added=project.added,
        accelerator=settings.accelerator or "",
        accelerator_index=settings.accelerator_index or "",
        build_network=settings.build_network,
        build_bounds=Bounds.of(build.max_minutes, build.max_gigabytes),
        replaced=settings.replace,
        old_names=project.old_names,
        indexes=indexes_of(project),
    )


def lock_with_bases(lock: Lock, platforms: Sequence[Resolved], extra: Sequence[str]) -> Lock:
    """Return the lock with the bases of these platforms."""
    for resolved in platforms:
        lock = lock.with_base(resolved.target.platform.architecture, lock_table(resolved.base, extra))
    return lock
