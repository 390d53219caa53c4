"""Steps: the project's own programs that run in the finished image while it is built. What they write becomes its last layer.

They run once, in the image for this machine's processor: files for no processor in particular are right for every platform.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from shipwheel.builder.program_root import SHELL_PACKAGES, find_programs, unpack_programs
from shipwheel.builder.roots import AnyRoot, in_sandbox
from shipwheel.builder.sandboxes import SANDBOX_HINT, find_sandbox
from shipwheel.builder.step_run import ImageRoot, WrittenFile
from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.errors import BuildError, FetchError, OptionalStepError
from shipwheel.events import StageFinished, StageStarted, Warned, stage
from shipwheel.files.entry import is_whiteout
from shipwheel.files.segment import key_of, source_date_epoch
from shipwheel.locking.bounds import BOUNDS_HINT, Bounds, OverBounds
from shipwheel.oci.layer import Compression, LayerSpec
from shipwheel.oci.read.rootfs_cache import unpack_layers
from shipwheel.pipeline.compose import execution_of
from shipwheel.pipeline.context import BuildContext
from shipwheel.pipeline.prove import parent_segments
from shipwheel.pipeline.secrets import left_out_secrets
from shipwheel.pipeline.stages import Closed
from shipwheel.pipeline.step_error import step_error, wanted_variables
from shipwheel.pipeline.steps_source import StepsSource
from shipwheel.platform import host_platform
from shipwheel.project.app_tree import is_storable
from shipwheel.project.entrypoint.project_paths import is_within
from shipwheel.project.project import Project
from shipwheel.project.secret_files import MAX_READ_BYTES, secret_rules, token_error
from shipwheel.project.secret_tokens import FoundToken
from shipwheel.settings.build import BuildSettings, StepSettings
from shipwheel.signs.placeholder import placeholder

__all__ = ["plan_steps", "run_steps", "wants_shell"]

_VERSION = "1"
"""Part of every key: raise it whenever the same steps write other files."""
_MAX_PLACEHOLDERS = 20
_SHELLS = frozenset({"sh", "dash"})
_STARTS_PROGRAMS = ("os.system", "os.popen", "subprocess.")
"""The start of the names of functions that may start a shell."""
_MAX_NAMED = 5
_STEADY = {"PYTHONHASHSEED": "0", "TZ": "UTC"}
"""Variables that make what a step writes the same each time."""


def plan_steps(project: Project, platform: Closed) -> Closed:
    """Return the platform with the layer of its steps, planned."""
    environment = execution_of(project, platform.resolved).environment
    facts = [_VERSION, platform.parent_manifest, *platform.keys(), project.start_directory, _user(project, platform), *project.volumes]
    facts += [f"{name}={value}" for name, value in sorted(environment.items())]
    facts += [f"allowed {secret.path}" for secret in project.settings.allow_secrets]
    for step in project.steps:
        facts += ["step", *step.run, "env", *(f"{name}={value}" for name, value in sorted(step.env.items())), str(step.network)]
    source = StepsSource(f"what {_shown(project.steps)} wrote", key_of("steps", *facts))
    return replace(platform, step_layers=(_layer(project, source),))


def run_steps(context: BuildContext, platforms: Sequence[Closed]) -> None:
    """Run the steps whose layers are missing, and make these. Raise BuildError for a step that fails or cannot run here."""
    specs = [spec for platform in platforms for spec in platform.step_layers]
    context.supply.ask(specs)
    if not context.supply.missing(specs):
        return
    with stage(context.reporter, "steps"):
        for platform in _runnable_first(platforms):
            lacking = [each for each in platforms if context.supply.missing(each.step_layers)]
            if platform not in lacking and not (lacking and _is_for_every_platform(context, platform)):
                continue
            with _written(context, platform) as files:
                alike = [each for each in lacking if each is platform or not any(map(_is_for_one_platform, files))]
                _make(context, platform, alike, files)


def _is_for_every_platform(context: BuildContext, platform: Closed) -> bool:
    """Return whether a layer that was made before has files for no processor in particular: the steps write them for others, too."""
    segments = context.supply.describe(platform.step_layers)
    return not any(segment.elf or any(path.endswith(".pyc") for path in segment.files) for segment in segments)


def _runnable_first(platforms: Sequence[Closed]) -> list[Closed]:
    return sorted(platforms, key=lambda platform: not host_platform().matches(platform.resolved.target.platform))


def _layer(project: Project, source: StepsSource) -> LayerSpec:
    return LayerSpec(source.label, (source,), compression=Compression[project.settings.compression.upper()])


def _make(context: BuildContext, platform: Closed, alike: Iterable[Closed], files: Sequence[WrittenFile]) -> None:
    around = {}
    for segment in (*parent_segments(context, platform), *context.supply.describe((*platform.base_layers, *platform.app_layers))):
        around.update(segment.directories)
    planned = [source for other in alike for spec in other.step_layers for source in spec.sources if isinstance(source, StepsSource)]
    sources = [replace(source, files=tuple(files), around=around) for source in planned]
    context.supply.make([_layer(context.project, source) for source in sources])


@contextmanager
def _written(context: BuildContext, platform: Closed) -> Iterator[tuple[WrittenFile, ...]]:
    """Run the steps in the image of a platform, and yield the files that belong into a layer, as long as the block lasts."""
    project, store = context.project, context.store
    sandbox = find_sandbox()
    if sandbox is None:
        raise (OptionalStepError if project.has_only_optional_steps else BuildError)(
            f"{_shown(project.steps)} must run in the image, which needs bubblewrap, docker or podman",
            hint=f"{SANDBOX_HINT} Or run it before the build, `include` what it writes, and set steps = [].",
        )
    below = (*platform.base_layers, *platform.app_layers)
    context.supply.bring(below)
    layers = (*platform.parent_layers, *context.supply.layers(below))
    name = key_of("root", platform.parent_manifest, *(layer.descriptor.digest for layer in layers))
    root = unpack_layers(name, layers, store, context.reporter)
    bounds = project.settings.build or BuildSettings()
    with (
        scratch_directory(ignore_cleanup_errors=True) as folder,
        _shell(context, platform, root.path) as tools,
    ):
        place, limits = folder / "root", Bounds.of(bounds.max_minutes, bounds.max_gigabytes)
        unpacked = ImageRoot(root.path, place, _user(project, platform), project.start_directory, store.closed, limits, tools)
        run = in_sandbox(unpacked, sandbox)
        try:
            run.prepare()
            if not run.starts():
                raise _foreign(project, platform)
            for step in project.steps:
                _run(context, platform, run, step)
            yield _kept(context, run.written())
        finally:
            run.remove()
            root.close()


@contextmanager
def _shell(context: BuildContext, platform: Closed, root: Path) -> Iterator[Path | None]:
    """Yield a root with a shell and its usual programs for steps that may start them, which a composed image lacks.

    None if nothing does, the image has a shell, its base is of no Debian suite, or the archive cannot be reached: then the step says what
    it misses.
    """
    suite, target, downloads = platform.resolved.base.suite, platform.resolved.target.platform, context.downloads
    has_shell = any(os.path.lexists(root / path) for path in ("usr/bin/sh", "bin/sh"))
    if suite is None or has_shell or not wants_shell(context.project):
        yield None
        return
    try:
        packages = find_programs(suite, target, SHELL_PACKAGES, downloads.archive, context.store)
        tools = unpack_programs(packages, downloads.packages, context.store)
    except FetchError:
        yield None
        return
    try:
        yield tools.path
    finally:
        tools.close()


def wants_shell(project: Project) -> bool:
    """Return whether steps may start a shell."""
    modules = project.scanner.scan_modules() if project.scanner is not None else ()
    named = any(step.run[0].rpartition("/")[2] in _SHELLS for step in project.steps)
    return named or any(call.startswith(_STARTS_PROGRAMS) for module in modules for call in module.calls)


def _run(context: BuildContext, platform: Closed, run: AnyRoot, step: StepSettings) -> None:
    """Run a step. One that was found gets a made-up value for each variable that it turns out to want."""
    shown, given = _shown([step]), dict[str, str]()
    context.reporter(StageStarted(shown, detail=True))
    environment = {**_STEADY, "SOURCE_DATE_EPOCH": str(source_date_epoch()), **execution_of(context.project, platform.resolved).environment}
    for _ in range(_MAX_PLACEHOLDERS):
        try:
            finished = run.run(step.run, {**environment, **given, **step.env}, network=step.network)
        except OverBounds as error:
            raise BuildError(f"the step {shown} was stopped: {error}", hint=BOUNDS_HINT) from None
        wanted = wanted_variables(finished, {*given, *step.env}) if context.project.settings.steps is None else ()
        if finished.code == 0 or not wanted:
            break
        given |= {name: placeholder(name) for name in wanted}
    context.store.check_open()
    if finished.code != 0:
        raise step_error(step, finished, context.store, context.project)
    with_values = f" with made-up values for {', '.join(given)}" if given else ""
    context.reporter(StageFinished(shown, f"{shown}{with_values}"))


def _kept(context: BuildContext, files: Sequence[WrittenFile]) -> tuple[WrittenFile, ...]:
    """Return the files that a layer may have. Warn of those on volumes and of secrets. Raise ProjectError for tokens."""
    project, rules = context.project, secret_rules(context.project.settings)
    kept, on_volumes, secrets, tokens = list[WrittenFile](), list[str](), list[str](), list[FoundToken]()
    workdir = project.settings.workdir.strip("/") + "/"
    if unstorable := [ascii(each.path) for each in files if is_whiteout(each.path) or not is_storable(each.path)]:
        what = f"{_shown(project.steps)} wrote files with names that an image cannot hold: {', '.join(unstorable[:_MAX_NAMED])}"
        raise BuildError(what, hint="A name must be UTF-8, and one that starts with .wh. deletes another file. Let the step remove them.")
    for each in files:
        if is_within(f"/{each.path}", project.volumes):
            on_volumes.append(f"/{each.path}")
            continue
        path = each.path.removeprefix(workdir)
        found = rules.inspect(path, each.host.lstat().st_size, lambda: _start(each)) if each.link is None else None  # noqa: B023 - called here
        if found is not None and found.left_out:
            secrets.append(path)
            continue
        tokens += found.tokens if found is not None else ()
        kept.append(each)
    if tokens:
        raise token_error(tokens)
    if secrets:
        context.reporter(left_out_secrets(tuple(secrets)))
    if on_volumes:
        more = f" and {len(on_volumes) - _MAX_NAMED} more" if len(on_volumes) > _MAX_NAMED else ""
        what = f"{_shown(project.steps)} wrote to volumes, which an image has no files on: {', '.join(on_volumes[:_MAX_NAMED])}{more}"
        context.reporter(Warned(what))
    return tuple(kept)


def _start(each: WrittenFile) -> bytes:
    with each.host.open("rb") as stream:
        return stream.read(MAX_READ_BYTES)


def _is_for_one_platform(each: WrittenFile) -> bool:
    return each.path.endswith(".pyc") or each.is_elf


def _foreign(project: Project, platform: Closed) -> BuildError:
    target = platform.resolved.target.platform
    return BuildError(
        f"{_shown(project.steps)} must run in the image for {target}, which this machine cannot: "
        "it is the only platform, or what they wrote for another one holds programs or bytecode",
        hint=f"Build on a machine with that processor, or let the kernel emulate it (apt-get install qemu-user-binfmt). "
        f"Or add --platform {host_platform()}, where they can run. If they write programs or bytecode, build for it alone.",
    )


def _user(project: Project, platform: Closed) -> str:
    return execution_of(project, platform.resolved).user


def _shown(steps: Iterable[StepSettings]) -> str:
    return " and ".join(f"`{' '.join(step.run)}`" for step in steps)
