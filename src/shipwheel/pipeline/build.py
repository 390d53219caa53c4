"""The build, stage by stage: detect, lock, base, select, build, plan, fetch, assemble, close, prove, compose.

Every stage asks the store first. A build that was interrupted, or that met a damaged blob, continues from what the store has.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from shipwheel.base.model import Bases
from shipwheel.debian.optional_libraries import needed_sonames
from shipwheel.errors import (
    CoveredFiles,
    DamagedBlob,
    FetchError,
    IncompleteWheel,
    LockError,
    MissingImports,
    NewerAtRunTime,
    OptionalStepError,
    ProjectError,
    ProjectWheelError,
    ShipwheelError,
    UnbuildableSource,
)
from shipwheel.events import StageFinished, StageStarted, Warned, stage
from shipwheel.files.segment import key_of
from shipwheel.locking.pylock import Lock
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.layer import Layer
from shipwheel.oci.reference import Reference
from shipwheel.pipeline.app_files import app_tree, copied_tree
from shipwheel.pipeline.close import close_base
from shipwheel.pipeline.compose import compose
from shipwheel.pipeline.context import BuildContext, build_context
from shipwheel.pipeline.destination import Destination
from shipwheel.pipeline.local_builds import LocalSources
from shipwheel.pipeline.prove import is_proved, prove_image
from shipwheel.pipeline.python_choice import older_pythons, with_suitable_python
from shipwheel.pipeline.resolve import (
    Resolution,
    check_bases_locked,
    composed_bases,
    lock_with_bases,
    resolve,
    with_build_packages,
    with_sources,
)
from shipwheel.pipeline.secrets import check_settings
from shipwheel.pipeline.stages import BuiltPlatform, Closed, Layered, Proved
from shipwheel.pipeline.step_layers import make_step_layers, with_steps
from shipwheel.pipeline.winning_files import winning_files
from shipwheel.project.project import Project
from shipwheel.project.read import read_project
from shipwheel.request import LockMode, Request
from shipwheel.suites import SUITES, python_released
from shipwheel.timeline import belongs, span
from shipwheel.wheels.bytecode import Interpreter, OtherInterpreter
from shipwheel.witness.witness import note_unknown

if TYPE_CHECKING:
    from shipwheel.wheels.built_wheels import BuiltWheel

__all__ = [
    "Built",
    "Work",
    "build",
    "complete",
    "make_app_layers",
    "plan_app_layers",
    "resolve_request",
    "retry_damaged",
    "with_context",
]

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)

_MAX_RETRIES = 5
_LONG = timedelta(days=365)
_YEARS = 3 * _LONG
_DEBIAN = frozenset(suite.python for suite in SUITES)
_COMPARED = "compared"
"""Records for wheels in layers whose files need not be repeated above them."""


class Work(Protocol[Result]):
    """The stages after a request is resolved. The request may be another one than the caller's: see `with_context`."""

    def __call__(self, context: BuildContext, resolution: Resolution, request: Request, /) -> Result: ...


class Built(msgspec.Struct, frozen=True):
    """A finished build: the images are in the store or at the destination, ready to be delivered."""

    resolution: Resolution
    platforms: tuple[BuiltPlatform, ...]
    index: ImageIndex
    wheels: "tuple[BuiltWheel, ...]" = ()
    """The wheels that were built from sources."""


def resolve_request(request: Request) -> Resolution:
    """Run the stages before anything large is downloaded. Raises any ShipwheelError."""
    resolution = _resolve(request)[1]
    app_tree(resolution.project, request.reporter)
    copied_tree(resolution.project, request.reporter)
    return resolution


def build(request: Request, destination: Destination | None = None, made: Callable[[Layer], None] | None = None) -> Built:
    """Build the images of all platforms. Raises any ShipwheelError. `made` is called with each layer when it is made.

    Without a destination all layers are in the store afterwards, and a damaged blob is made or fetched again. A destination receives
    each layer as soon as it is finished; layers that it already has are not made. It takes no more layers after a damaged blob, so the
    caller must try again with a new one: see `retry_damaged`.
    """
    if destination is not None:
        return _build(request, destination, made)
    return retry_damaged(request, lambda: _build(request, None, made))


def retry_damaged(request: Request, work: Callable[[], T]) -> T:
    """Run `work`; when a stored blob turns out to be damaged, check the whole store, drop every damaged blob and run it again."""
    for _ in range(_MAX_RETRIES):
        try:
            return work()
        except DamagedBlob as damaged:
            request.store.discard(damaged.digest)
            request.reporter(StageStarted("store"))
            # Damage seldom comes alone.
            digests = {damaged.digest, *request.store.sweep()}
            request.reporter(StageFinished("store", "checked"))
            what = f"the stored blob {damaged.digest[:19]}… was" if len(digests) == 1 else f"{len(digests)} stored blobs were"
            request.reporter(Warned(f"{what} damaged; what is needed is made or fetched again"))
    return work()


def _build(request: Request, destination: Destination | None, made: Callable[[Layer], None] | None) -> Built:
    def work(context: BuildContext, resolution: Resolution, current: Request) -> Built:
        if made is not None:
            context.supply.announce_to(made)
        _report_notes(current, resolution.project)
        with span("plan"):
            planned = _plan_apps(context, resolution)
        closed = complete(context, make_app_layers(context, planned))
        for platform in closed:
            for spec in platform.layers:
                belongs(spec.key, str(platform.resolved.target.platform))
        try:
            platforms = tuple(_finish(context, _proved(context, platform)) for platform in closed)
        finally:
            _warn_of_missed_libraries(context, closed)
        resolution = _pin(current, resolution, platforms, context.local.current)
        return Built(resolution, platforms, compose(resolution, platforms), context.local.current.wheels)

    return with_context(request, destination, work)


def with_context(request: Request, destination: Destination | None, work: Work[T]) -> T:
    """Return the result of `work` for the resolved request. Raises any ShipwheelError.

    `work` runs again if the project's wheel cannot be built but its directory can be taken, if what a Dockerfile copies would replace files
    of the image, if a step fails that no Dockerfile runs, if a wheel was compiled for older packages than the lock has, if an older Python
    may build a source that the chosen one does not, and if the interpreter that compiles bytecode does not start.
    """
    unbuilt: ProjectWheelError | None = None
    while True:
        try:
            return _once(request, destination, work)
        except ProjectWheelError as error:
            request, unbuilt = _from_source(request, error), error
        except MissingImports as error:
            raise _maybe_in_wheel(error, unbuilt) from unbuilt
        except CoveredFiles as error:
            request = _without_copies(request, error)
        except OptionalStepError as error:
            request = _without_steps(request, error)
        except NewerAtRunTime as error:
            request = _within_bounds(request, error)
        except UnbuildableSource as error:
            return _with_older_python(request, destination, work, error)


def _once(request: Request, destination: Destination | None, work: Work[T]) -> T:
    with span("resolve"):
        bases, resolution = _resolve(request, destination)

    def attempt(interpreter: Interpreter | None = None) -> T:
        with build_context(request, bases, resolution, destination, interpreter) as context:
            return work(context, resolution, request)

    try:
        return attempt()
    except OtherInterpreter as other:
        return attempt(other.interpreter)


def _resolve(request: Request, destination: Destination | None = None) -> tuple[Bases, Resolution]:
    """Detect, lock, choose the base and select the files, for the best Python version that has them all."""
    if request.settings.tag is not None:
        # Nothing is fetched for an image that cannot have its name.
        Reference.parse_target(request.settings.tag)

    check_settings(request.settings, request.reporter)
    once = partial(_resolve_once, destination)
    try:
        return with_sources(request, once)
    except LockError as error:
        from shipwheel.locking.diagnose.uv_errors import ResolutionError
        from shipwheel.locking.uv_output import FailureKind

        cause = error.__cause__ or error
        if not isinstance(cause, ResolutionError) or cause.failure.kind is not FailureKind.BUILD:
            raise
        return with_sources(_from_source(request, error), once)


def _resolve_once(destination: Destination | None, request: Request, made: Lock | None) -> tuple[Bases, Resolution]:
    def attempt(project: Project, bases: Bases | None = None) -> tuple[Bases, Resolution]:
        chosen = bases or composed_bases(project, request.store, request.reporter)
        return chosen, resolve(project, request, chosen, made)

    project = read_project(request.path, request.settings, files=request.files())
    if destination is not None:
        destination.check_permission()
    return with_suitable_python(project, request, attempt)


def _from_source(request: Request, error: ShipwheelError) -> Request:
    """Return the request to put the project's directory into the image instead of its wheel; raise `error` if that cannot help."""
    settings = replace(request.settings, install="source")
    if request.settings.install is not None or request.path.is_file():
        raise error
    try:
        app = read_project(request.path, settings, files=request.files())
    except ProjectError:
        raise error from None
    if app.dynamic or read_project(request.path, request.settings, launch=False, files=request.files()).kind != "package":
        raise error
    reason = error.message if isinstance(error, IncompleteWheel) else f"the project's wheel cannot be built ({error.summary})"
    request.reporter(
        Warned(
            f"the project's directory goes into the image as it is: {reason}",
            'install = "wheel" insists on the wheel; install = "source" says that this is meant.',
        )
    )
    return replace(request, settings=settings)


def _maybe_in_wheel(error: MissingImports, unbuilt: ProjectWheelError | None) -> MissingImports:
    """Return the error about modules with that of the project's wheel, which might have had them: those that it compiles."""
    if unbuilt is None or isinstance(unbuilt, IncompleteWheel):
        return error
    message = f"{error.message}\nThe project's own wheel might have them, but was not built: {unbuilt.message}"
    hint = f"If it has them: {unbuilt.hint} Otherwise: {error.hint}"
    return MissingImports(message, error.modules, error.settings, hint=hint, unlisted=error.unlisted)


def _without_copies(request: Request, error: CoveredFiles) -> Request:
    """Return the request without what a Dockerfile copies over files of the image; raise `error` if the settings ask for it."""
    if any(request.settings.copy.get(target) for target in error.targets):
        raise error
    shown = ", ".join(error.targets)
    request.reporter(Warned(f"not copied as in the Dockerfile, since the image has files of its own there: {shown}"))
    copy = {**request.settings.copy, **dict.fromkeys(error.targets, "")}
    return replace(request, settings=replace(request.settings, copy=copy))


def _without_steps(request: Request, error: OptionalStepError) -> Request:
    """Return the request without steps: a container or a platform may have what the build lacks, so this is no reason to build nothing."""
    request.reporter(Warned(f"the image lacks what a step would make: {error.message}", error.hint))
    note_unknown()  # the step may work the next time, without a change of any file
    return replace(request, settings=replace(request.settings, steps=()))


def _within_bounds(request: Request, error: NewerAtRunTime) -> Request:
    """Return the request for a lock with the packages for which a wheel was compiled; raise `error` if that cannot help."""
    if request.lock_mode is not LockMode.UPDATE or {*error.bounds} <= {*request.bounds}:
        raise error
    request.reporter(Warned(f"{error.message}: locked again with {', '.join(error.bounds)}"))
    return replace(request, bounds=tuple(sorted({*request.bounds, *error.bounds})))


def _with_older_python(request: Request, destination: Destination | None, work: Work[T], error: UnbuildableSource) -> T:
    """Return the result with an older Python that builds the source; raise `error` if none does, or the Python is not ours to choose.

    No time is spent on a standalone Python that came out long after a source in whose place another version can be taken: those of Debian
    that are newer have failed. Nor on one of Debian that came out years after it, where there is an older one.
    """
    if request.settings.base is not None or request.path.is_file() or request.lock_mode is not LockMode.UPDATE:
        raise error
    project = read_project(request.path, request.settings, launch=False, files=request.files())
    published = error.published if error.replacements else None
    for version in () if project.python_is_named else older_pythons(project, request.platforms):
        late = _YEARS if version in _DEBIAN else _LONG
        if published is not None and version != SUITES[0].python and python_released(version) > published + late:
            continue
        request.reporter(Warned(f"Python {version} is tried, since {error.summary}"))
        try:
            return with_context(replace(request, settings=replace(request.settings, python=version)), destination, work)
        except (UnbuildableSource, LockError):
            continue
        except FetchError:
            # A standalone build may not be to be had. With Debian's, a server that fails now must not decide which Python the lock gets.
            if version in project.other_pythons:
                raise
    raise error


def _report_notes(request: Request, project: Project) -> None:
    for note in (*project.notes, *(project.launch.notes if project.launch else ())):
        request.reporter(Warned(note, lasting=True))


def _plan_apps(context: BuildContext, resolution: Resolution) -> tuple[Layered, ...]:
    """Build local wheels and plan the layers above the base; then ask the destination which layers it has.

    A machine that lacks files of the lock first trusts the destination's records of built wheels. If it turns out that the wheels
    themselves are needed, it builds them after all.
    """
    known = context.destination is not None and context.local.lacks_locked_files() and context.destination.read_builds()
    layered = plan_app_layers(context, resolution, trust_metadata=known)
    if known and context.supply.needs_built_wheels(spec for platform in layered for spec in platform.app_layers):
        layered = plan_app_layers(context, resolution, trust_metadata=False)
    return layered


def plan_app_layers(context: BuildContext, resolution: Resolution, *, trust_metadata: bool = False) -> tuple[Layered, ...]:
    """Build local wheels and plan the layers above the base; ask the destination which layers it has."""
    local = context.local.build(trust_metadata=trust_metadata)
    layered = tuple(Layered(each, context.planner.app_layers(each, local)) for each in resolution.platforms)
    app_layers = (spec for platform in layered for spec in platform.app_layers)
    base_layers = (spec for each in resolution.platforms for spec in context.planner.base_layers(each))
    context.supply.ask((*app_layers, *base_layers))
    return layered


def make_app_layers(context: BuildContext, platforms: Sequence[Layered]) -> tuple[Layered, ...]:
    """Make the layers above the base, and beside them those of the base: all that the lock names, else those that all apps share.

    Return the platforms with the layers that turned out to be needed as well.
    """
    plan = context.planner
    below = [plan.base_layers(each.resolved) if each.resolved.base.locked else plan.shared_layers(each.resolved) for each in platforms]
    specs = [*chain(*below), *(spec for platform in platforms for spec in platform.app_layers)]
    with stage(context.reporter, "fetch"):
        context.supply.fetch(specs)
    with stage(context.reporter, "wheels"):
        context.supply.make(specs)
        return tuple(_with_winning_files(context, platform) for platform in platforms)


def _with_winning_files(context: BuildContext, platform: Layered) -> Layered:
    """Add a layer with the files of wheels that other wheels would wrongly cover, if there are any."""
    resolved, supply, local = platform.resolved, context.supply, context.local.current
    if resolved.base.locked and is_proved(context, _planned(context, platform)):
        return platform
    wheels = context.planner.wheels(resolved, local)
    keys = {wheel.key for wheel in wheels}
    layers = [spec for spec in platform.app_layers if keys.issuperset(source.key for source in spec.sources)]
    stacked = [source.key for spec in layers for source in spec.sources]
    compared = key_of("no winning files", "1", *(wheel.key for wheel in wheels), "in", *stacked)
    if context.store.get(_COMPARED, compared) is not None:
        return platform
    winning = winning_files(wheels, stacked, {segment.key: segment for segment in supply.describe(layers)})
    if not winning:
        context.store.put(_COMPARED, compared, b"{}")
        return platform
    platform = Layered(resolved, context.planner.app_layers(resolved, local, winning))
    supply.ask(platform.app_layers)
    supply.fetch(platform.app_layers)
    supply.make(platform.app_layers)
    return platform


def _planned(context: BuildContext, platform: Layered) -> Closed:
    base_layers = context.planner.base_layers(platform.resolved)
    return with_steps(context.project, Closed(platform.resolved, base_layers, platform.app_layers))


def complete(context: BuildContext, platforms: Sequence[Layered]) -> tuple[Closed, ...]:
    """Complete the bases by what the app layers need, make their layers, and those of the steps, which run in the image."""
    with stage(context.reporter, "system"):
        closed = tuple(close_base(context, platform) for platform in platforms)
        specs = [spec for platform in closed for spec in platform.base_layers]
        context.supply.ask(specs)
        context.supply.fetch(specs)
        context.supply.make(specs)
    make_step_layers(context, closed)
    return closed


def _warn_of_missed_libraries(context: BuildContext, platforms: Sequence[Closed]) -> None:
    """Warn once if no package with a library was found, and the mirror's list of files is not the current one."""
    lists = sorted(context.downloads.archive.incomplete_lists)
    missing = needed_sonames(library for platform in platforms for library in platform.resolved.base.missing_libraries)
    if lists and missing:
        message = f"{', '.join(missing)}: no package was found, but the mirror's list of files of {' and '.join(lists)} is out of date"
        hint = "Build with --upgrade-base in some hours, when the mirror is complete, or with another mirror (SHIPWHEEL_DEBIAN_MIRROR)."
        context.reporter(Warned(message, hint))


def _proved(context: BuildContext, platform: Closed) -> Proved:
    with span("prove", str(platform.resolved.target.platform)):
        return prove_image(context, platform)


def _finish(context: BuildContext, platform: Proved) -> BuiltPlatform:
    closed: Closed = platform.closed
    image = closed.resolved.base.image
    layers = context.supply.layers(closed.layers)
    size = (image.facts.unpacked_size if image is not None else 0) + sum(layer.unpacked_size for layer in layers)
    return BuiltPlatform(closed.resolved, (*closed.parent_layers, *layers), size, platform.proof, platform.key, platform.needs)


def _pin(request: Request, resolution: Resolution, platforms: tuple[BuiltPlatform, ...], local: LocalSources) -> Resolution:
    """Write the completed bases, and what was compiled with what, into the lock. Raise LockError if the request forbids it."""
    resolved = tuple(platform.resolved for platform in platforms)
    lock = resolution.lock
    same = [after.base == before.base for after, before in zip(resolved, resolution.platforms, strict=True)]
    check_bases_locked(same, request, lock)
    pinned = with_build_packages(lock, local.build_packages, local.compilers, local.builder, request, local.build_wheels)
    if not all(same):
        pinned = lock_with_bases(pinned, resolved, resolution.project.packages)
    if pinned is not lock:
        pinned.write()
    return replace(resolution, lock=pinned, platforms=resolved)
