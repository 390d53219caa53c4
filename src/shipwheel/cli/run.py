"""`shipwheel run`."""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import Command, option
from shipwheel.cli.options import request_from, some_options
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError
from shipwheel.events import Reporter, Warned

if TYPE_CHECKING:
    from shipwheel.engine.interface import Engine, Mount, RunSpec
    from shipwheel.oci.execution import ExecutionConfig
    from shipwheel.platform import Platform

__all__ = ["command"]

_ARGUMENTS = "shipwheel.arguments"
"""Key of the container's arguments in click's context."""

_BUILD_FLAGS = ("python", "python_builds", "as_of", "accelerator", "extras", "groups", "requirements", "packages", "base", "yes")
"""Parameters that only a build uses."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An image that the engine has: the engine's name for it, its config and platform, and what its volumes are named after."""

    name: str
    config: "ExecutionConfig"
    platform: "Platform"
    project: str


class _WithArguments(Command):
    """A command that passes all words after `--` to the container."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_ARGUMENTS] = tuple(args[cut + 1 :])
        return super().parse_args(ctx, args[:cut])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


@click.command(
    "run",
    cls=_WithArguments,
    help="Run a project (built first), an image layout, an archive, or an image in a container engine.",
    examples=(
        "shipwheel run .",
        "shipwheel run . --publish 8080:8000 --env TOKEN --volume ./data:/data",
        "shipwheel run hello.tar --engine podman -- python -m hello",
    ),
)
@click.argument("subject", metavar="[PATH|LAYOUT|ARCHIVE|IMAGE]", default=".")
@option(
    "--engine",
    metavar="NAME",
    help="docker, podman, nerdctl, containerd or bwrap [the first that answers, except bwrap].",
    group="Engine",
)
@option("--platform", metavar="OS/ARCH", help="Platform to build for and run [the engine's own].", group="Engine")
@option(
    "-p", "--publish", "ports", multiple=True, metavar="[ADDRESS:]HOST:CONTAINER", help="Publish a port; repeatable.", group="Container"
)
@option(
    "-v",
    "--volume",
    "mounts",
    multiple=True,
    metavar="NAME|DIR:PATH[:ro]",
    help="Mount a volume or directory; repeatable.",
    group="Container",
)
@option(
    "-e",
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Environment variable, without a value this shell's; repeatable.",
    group="Container",
)
@option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of NAME=VALUE lines; repeatable.",
    group="Container",
)
@option("--name", metavar="NAME", help="Name of the container.", group="Container")
@option("--user", metavar="UID[:GID]", help="User to run as [the image's].", group="Container")
@option(
    "--entrypoint",
    metavar="WORDS",
    help="Replace the image's entrypoint and command; split into words as a shell does.",
    group="Container",
)
@option("-d", "--detach", is_flag=True, help="Start the container, print its name, and return.", group="Container")
@option(
    "-i",
    "--interactive",
    is_flag=True,
    help="Pass standard input, and the terminal if there is one, to the container.",
    group="Container",
)
@option("--no-read-only", is_flag=True, help="Make the root file system writable; changes are lost with the container.", group="Container")
@option("--ephemeral", is_flag=True, help="Remove volumes with the container.", group="Container")
@option(
    "--grace",
    type=click.IntRange(0, 3600),
    default=10,
    metavar="SECONDS",
    help="Time from the stop signal to the kill [10].",
    group="Container",
)
@some_options(*_BUILD_FLAGS)
def command(terminal: Terminal, subject: str, **flags: Any) -> int:
    """Build and load as needed, then run in the foreground and return the exit status; with `--detach`, start and return 0."""
    from shipwheel.engine.find import find

    build_flags = {name: flags.pop(name) for name in _BUILD_FLAGS}
    engine = find(flags["engine"], terminal.report)
    if flags["detach"]:
        _check_detached(engine, flags["interactive"])
    loaded = _load(subject, engine, flags["platform"], build_flags, terminal.report)
    spec = _spec(loaded, engine, flags, terminal.report)
    terminal.stop()
    if flags["detach"]:
        commands = engine.start(spec).commands
        end = f"\n  logs: {commands.logs}\n  stop: {commands.stop}\n  remove: {commands.remove}"
        terminal.note("\n".join(_announcement(spec, engine, end)))
        terminal.result(lambda: {"name": spec.name, "engine": engine.name, **asdict(commands)}, [spec.name])
        return 0
    terminal.note("\n".join(_announcement(spec, engine, "; Ctrl-C stops it")))
    return engine.run(spec)


def _load(subject: str, engine: "Engine", platform: str | None, build_flags: dict[str, Any], reporter: Reporter) -> _Loaded:
    """Build or pull what `subject` names, as needed, so that the engine has it."""
    from shipwheel.oci.layout import LAYOUT
    from shipwheel.oci.reference import Reference
    from shipwheel.platform import Platform

    path = Path(subject)
    requested = Platform.parse(platform) if platform else None
    if (path.is_dir() and not (path / LAYOUT).is_file()) or (path.is_file() and path.suffix == ".py"):
        return _build_project(path, engine, requested, build_flags, reporter)
    if any(build_flags.values()):
        raise UsageError(f"{subject} is not a project, so it is not built", hint="Leave out the build options.")
    if path.exists():
        return _load_saved(path, engine, requested, reporter)
    if subject.startswith((".", "/", "~")) or "\\" in subject:
        raise UsageError(f"{subject} does not exist", hint="Name a project, an image layout, an archive, or an image.")
    reference = Reference.parse(subject)
    if not engine.has(subject):
        engine.pull(subject, requested or engine.host())
    config, found = engine.inspect(subject)
    if requested is not None and not requested.matches(found):
        hint = f"{engine.name} pull --platform {requested} {subject}"
        raise UsageError(f"{engine.name} has {subject} for {found}, not for {requested}", hint=hint)
    return _Loaded(subject, config, found, reference.repository.rpartition("/")[2])


def _build_project(path: Path, engine: "Engine", requested: "Platform | None", build_flags: dict[str, Any], reporter: Reporter) -> _Loaded:
    from shipwheel.oci.reference import Reference
    from shipwheel.pipeline.build import Built, build, retry_damaged

    platform = requested or engine.host()
    _check_runnable(engine, platform)
    request = request_from(path, {**build_flags, "platforms": (str(platform),)}, reporter)

    def work() -> "tuple[Built, str]":
        built = build(request)
        project = built.resolution.project
        name = Reference.parse(project.settings.tag or project.name)
        return built, engine.load(built.index, request.store, name, reporter)

    built, image = retry_damaged(request, work)
    return _Loaded(image, built.index.images[0].execution, built.index.images[0].platform, built.resolution.project.name)


def _load_saved(path: Path, engine: "Engine", requested: "Platform | None", reporter: Reporter) -> _Loaded:
    """Load the image of a layout or archive for the requested platform, else for the engine's own."""
    from shipwheel.engine.run_options import slug
    from shipwheel.oci.archive import read_archive
    from shipwheel.oci.image import make_index
    from shipwheel.oci.layout import read_layout
    from shipwheel.oci.reference import Reference
    from shipwheel.store import Store, default_root

    reader = read_layout(path) if path.is_dir() else read_archive(path)
    images = reader.images().images
    platform = requested or engine.host()
    image = next((image for image in images if platform.matches(image.platform)), None)
    if image is None:
        platforms = ", ".join(str(image.platform) for image in images)
        raise UsageError(f"{path} has no image for {platform}", hint=f"It has {platforms}: choose one with --platform.")
    _check_runnable(engine, image.platform)
    name = Reference.parse(reader.names[0] if reader.names and ":" in reader.names[0] else slug(path.absolute().stem))
    config = image.execution
    loaded = engine.load(make_index([image]), Store(default_root()), name, reporter)
    return _Loaded(loaded, config, image.platform, name.repository.rpartition("/")[2])


def _check_runnable(engine: "Engine", platform: "Platform") -> None:
    """Raise EngineError before anything is built or loaded if the engine cannot run the platform."""
    from shipwheel.engine.emulation import check_runnable

    check_runnable(platform, engine.platforms(), engine.emulation_hint)


def _check_detached(engine: "Engine", interactive: bool) -> None:
    if interactive:
        raise UsageError(
            "--detach and --interactive cannot be combined", hint="A detached container has no input: leave out one of the two."
        )
    if not engine.detaches:
        from shipwheel.engine.interface import detach_error

        raise detach_error(engine.name)


def _spec(image: _Loaded, engine: "Engine", flags: dict[str, Any], reporter: Reporter) -> "RunSpec":
    import shlex

    from shipwheel.engine.interface import RunSpec
    from shipwheel.engine.run_options import (
        add_image_ports,
        add_image_volumes,
        check_host_ports,
        parse_env,
        parse_mount,
        parse_port,
        read_env_file,
        slug,
    )

    env: dict[str, str] = {}
    for file in flags["env_files"]:
        env |= read_env_file(file, os.environ)
    env |= parse_env(flags["env"], os.environ)
    requested_ports = [parse_port(text) for text in flags["ports"]]
    exposed = image.config.exposed_ports
    if engine.publishes:
        ports = add_image_ports(exposed, requested_ports, reporter)
    else:
        ports = check_host_ports(exposed, requested_ports, engine.name, reporter)
    requested_mounts = [parse_mount(text) for text in flags["mounts"]]
    mounts = add_image_volumes(image.config.volumes, requested_mounts, image.project, ephemeral=flags["ephemeral"])
    _warn_unwritable(mounts, flags["user"] or image.config.user, engine, reporter)
    interactive = flags["interactive"]
    return RunSpec(
        image=image.name,
        config=image.config,
        platform=image.platform,
        name=flags["name"] or f"{slug(image.project)}-{os.urandom(3).hex()}",
        args=click.get_current_context().meta[_ARGUMENTS],
        entrypoint=tuple(shlex.split(flags["entrypoint"])) if flags["entrypoint"] is not None else None,
        ports=ports,
        mounts=mounts,
        env=env,
        user=flags["user"],
        read_only=not flags["no_read_only"],
        interactive=interactive,
        tty=interactive and sys.stdin.isatty() and sys.stdout.isatty(),
        grace=flags["grace"],
    )


def _warn_unwritable(mounts: "tuple[Mount, ...]", user: str, engine: "Engine", reporter: Reporter) -> None:
    from shipwheel.engine.run_options import unwritable_directories

    if engine.maps_user:
        return
    for directory in unwritable_directories(mounts, user):
        hint = f"Run as the directory's owner (--user {Path(directory).stat().st_uid}), or: chown {user} {directory}"
        reporter(Warned(f"the container's user {user} cannot write to {directory}", hint))


def _announcement(spec: "RunSpec", engine: "Engine", end: str) -> Iterator[str]:
    """Yield lines with the container's name, ports and volumes, for standard error: standard output is the container's."""
    yield f"running {spec.name} in {engine.name}{end}"
    if engine.publishes:
        for port in spec.ports:
            address = f"{port.address or '127.0.0.1'}:{port.host}"
            yield f"  {'http://' if port.protocol == 'tcp' else ''}{address} → port {port.container}/{port.protocol}"
    else:
        for number, kind in spec.config.exposed_ports:
            yield f"  {'http://' if kind == 'tcp' else ''}127.0.0.1:{number} (the container uses this machine's network)"
    for mount in spec.mounts:
        if mount.source:
            yield f"  {'directory' if mount.is_path else 'volume'} {mount.source} → {mount.target}"
