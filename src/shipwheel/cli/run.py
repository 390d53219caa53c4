"""`shipwheel run`."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.command import CommandWithArguments, container_arguments, option
from shipwheel.cli.container_options import container_options
from shipwheel.cli.options import BUILD_FLAGS, some_options
from shipwheel.cli.ready import note_what_it_lacks, wait_for_start, watched
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError
from shipwheel.events import Reporter, Warned

if TYPE_CHECKING:
    from shipwheel.cli.loading import LoadedImage
    from shipwheel.engine.interface import Engine, Mount, Port, RunSpec
    from shipwheel.oci.execution import ExecutionConfig

__all__ = ["command"]


class _Requested(msgspec.Struct, frozen=True):
    """The options of a command line, parsed."""

    ports: "tuple[Port, ...]"
    mounts: "tuple[Mount, ...]"
    env: dict[str, str]
    entrypoint: tuple[str, ...] | None
    memory: int | None
    engine_options: tuple[str, ...]


@click.command(
    "run",
    cls=CommandWithArguments,
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
@container_options
@option("--name", metavar="NAME", help="Name of the container.", group="Container")
@option("--user", metavar="UID[:GID]", help="User to run as [the image's].", group="Container")
@option(
    "--entrypoint",
    metavar="WORDS",
    help="Replace the image's entrypoint and command; split into words as a shell does.",
    group="Container",
)
@option("--process", metavar="NAME", help="Process of the image to run, such as worker [web].", group="Container")
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
@option("--network", metavar="NAME", default="", help="host, none, or one of the engine's networks [the engine's default].", group="Engine")
@option("--cpus", type=click.FloatRange(0, min_open=True), metavar="NUMBER", help="CPUs that the container may use.", group="Engine")
@option("--memory", metavar="SIZE", help="Memory that the container may use, for example 512m.", group="Engine")
@option(
    "--engine-option",
    "engine_options",
    multiple=True,
    metavar="OPTION",
    help='Option of the engine\'s own run, for example "--shm-size 1g"; repeatable.',
    group="Engine",
)
@some_options(*BUILD_FLAGS)
def command(terminal: Terminal, subject: str, **flags: Any) -> int:
    """Build and load as needed, then run in the foreground and return the exit status; with `--detach`, start and return 0."""
    from shipwheel.cli.loading import load_subject
    from shipwheel.engine.find import find

    build_flags = {name: flags.pop(name) for name in BUILD_FLAGS}
    engine = find(flags["engine"], terminal.report)
    requested = _requested(engine, flags)
    loaded = load_subject(subject, engine, flags["platform"], build_flags, terminal.report)
    spec = _spec(loaded, engine, requested, flags, terminal.report)
    terminal.stop()
    if flags["detach"]:
        return _start(engine, spec, terminal)
    terminal.note("\n".join((f"starting {spec.name} {_origin(spec, engine)}; Ctrl-C stops it", *_details(spec, engine))))
    with watched(engine, spec, terminal) as tail:
        status = engine.run(spec, tail)
    note_what_it_lacks(spec, status, tail.text(), terminal)
    return status


def _start(engine: "Engine", spec: "RunSpec", terminal: Terminal) -> int:
    """Start the container in the background, and wait until it answers. Raise EngineError if it ends first."""
    container = engine.start(spec)
    wait_for_start(container, engine, terminal)
    commands = container.commands
    lines = [f"{spec.name} runs {_origin(spec, engine)}", *_details(spec, engine)]
    terminal.note("\n".join((*lines, f"  logs: {commands.logs}", f"  stop: {commands.stop}", f"  remove: {commands.remove}")))
    terminal.result(lambda: {"name": spec.name, "engine": engine.name, **msgspec.to_builtins(commands)}, [spec.name])
    return 0


def _check_detached(engine: "Engine", interactive: bool) -> None:
    if interactive:
        raise UsageError(
            "--detach and --interactive cannot be combined", hint="A detached container has no input: leave out one of the two."
        )
    if not engine.detaches:
        from shipwheel.engine.interface import detach_error

        raise detach_error(engine.name)


def _requested(engine: "Engine", flags: dict[str, Any]) -> _Requested:
    """Parse the options, and raise the errors that need no image: before anything is built."""
    import shlex

    from shipwheel.engine.interface import check_supported
    from shipwheel.engine.run_options import (
        check_free,
        parse_engine_options,
        parse_memory,
        parse_mount,
        parse_port,
        read_environment,
    )

    if flags["detach"]:
        _check_detached(engine, flags["interactive"])
    memory = parse_memory(flags["memory"]) if flags["memory"] is not None else None
    check_supported(engine, network=flags["network"], limited=flags["cpus"] is not None or memory is not None)
    ports = tuple(parse_port(text) for text in flags["ports"])
    if ports and flags["network"] == "none":
        raise UsageError("a container without a network cannot publish ports", hint="Leave out -p or --network none.")
    if engine.publishes and not engine.is_remote and flags["network"] != "host":
        for port in ports:
            check_free(port)
    return _Requested(
        ports=ports,
        mounts=tuple(parse_mount(text) for text in flags["mounts"]),
        env=read_environment(flags["env_files"], flags["env"], os.environ),
        entrypoint=tuple(shlex.split(flags["entrypoint"])) if flags["entrypoint"] is not None else None,
        memory=memory,
        engine_options=parse_engine_options(flags["engine_options"]),
    )


def _spec(image: "LoadedImage", engine: "Engine", requested: _Requested, flags: dict[str, Any], reporter: Reporter) -> "RunSpec":
    from shipwheel.engine.interface import RunSpec
    from shipwheel.engine.run_options import add_image_volumes, slug

    process = _process(image, flags["process"], requested.entrypoint)
    mounts = add_image_volumes(image.config.volumes, requested.mounts, image.project, ephemeral=flags["ephemeral"])
    _warn_unwritable(mounts, flags["user"] or image.config.user, engine, reporter)
    interactive = flags["interactive"]
    return RunSpec(
        image=image.name,
        config=image.config,
        platform=image.platform,
        name=flags["name"] or f"{slug(image.project)}-{os.urandom(3).hex()}",
        args=container_arguments(),
        entrypoint=requested.entrypoint if process is None else process,
        ports=_ports(image.config, engine, requested.ports, flags["network"], reporter) if process is None else requested.ports,
        mounts=mounts,
        env=requested.env,
        user=flags["user"],
        read_only=not flags["no_read_only"],
        network=flags["network"],
        interactive=interactive,
        tty=interactive and sys.stdin.isatty() and sys.stdout.isatty(),
        grace=flags["grace"],
        cpus=flags["cpus"],
        memory=requested.memory,
        engine_options=requested.engine_options,
    )


def _ports(
    config: "ExecutionConfig", engine: "Engine", requested: "tuple[Port, ...]", network: str, reporter: Reporter
) -> "tuple[Port, ...]":
    from shipwheel.engine.run_options import add_image_ports, check_host_ports

    if network == "none":
        return ()
    if engine.publishes and network != "host":
        return add_image_ports(config.exposed_ports, requested, reporter)
    return check_host_ports(config.exposed_ports, requested, engine.name, reporter)


def _process(image: "LoadedImage", name: str | None, entrypoint: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the command of the chosen process; None for the image's own."""
    from shipwheel.oci.processes import process_command

    if name is not None and entrypoint is not None:
        raise UsageError("--process and --entrypoint exclude each other", hint="Leave out one of them.")
    return process_command(image.config, name, image.name) if name is not None else None


def _warn_unwritable(mounts: "tuple[Mount, ...]", user: str, engine: "Engine", reporter: Reporter) -> None:
    from shipwheel.engine.run_options import unwritable_directories

    if engine.maps_user:
        return
    for directory in unwritable_directories(mounts, user):
        hint = f"Run as the directory's owner (--user {Path(directory).stat().st_uid}), or: chown {user} {directory}"
        reporter(Warned(f"the container's user {user} cannot write to {directory}", hint))


def _origin(spec: "RunSpec", engine: "Engine") -> str:
    """Return where the container comes from, for people. bwrap's images are directories."""
    return f"from {spec.image} in {engine.name}" if engine.name != "bwrap" else f"in {engine.name}"


def _details(spec: "RunSpec", engine: "Engine") -> Iterator[str]:
    """Yield a line for each volume, and for each port that cannot be watched from here."""
    for port in spec.ports:
        if engine.is_remote or port.protocol != "tcp":
            yield f"  port {port.host}/{port.protocol} → {port.container}"
    for mount in spec.mounts:
        if mount.source:
            yield f"  {'directory' if mount.is_path else 'volume'} {mount.source} → {mount.target}"
