"""`shipwheel dev`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.command import CommandWithArguments, container_arguments, option
from shipwheel.cli.container_options import container_options
from shipwheel.cli.dev_workbench import Workbench
from shipwheel.cli.options import BUILD_FLAGS, some_options
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError

if TYPE_CHECKING:
    from shipwheel.engine.interface import Engine, Port

__all__ = ["command"]

_DEBUG_PORT = 5678
_LOOPBACK = "127.0.0.1"


@click.command(
    "dev",
    cls=CommandWithArguments,
    help="""Run a project for development: the image's environment with your directory mounted, started again when a file is saved. What
    runs in it has your user and group, so every file that it writes is yours. When dependencies or settings change, the image is built
    again, and the container replaced.

    With words after `--`, run them once in this environment instead, for example `pytest`.""",
    examples=(
        "shipwheel dev",
        "shipwheel dev --process web --process worker --env-file .env",
        "shipwheel dev --debug",
        "shipwheel dev -- python manage.py makemigrations",
    ),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@option(
    "--engine", metavar="NAME", help="docker, podman, nerdctl or bwrap [the first that answers; bwrap if there is none].", group="Engine"
)
@container_options
@option("--process", "names", multiple=True, metavar="NAME", help="Process to run [web]; repeatable.", group="Container")
@option(
    "--debug",
    is_flag=False,
    flag_value=str(_DEBUG_PORT),
    metavar="[PORT]",
    help=f"Let an editor attach to debugpy on this port of this machine [{_DEBUG_PORT}].",
    group="Container",
)
@option("--network", metavar="NAME", default="", help="host, none, or one of the engine's networks [the engine's default].", group="Engine")
@option(
    "--devcontainer",
    is_flag=True,
    help="Build the image for an editor's container, with a shell and git, and print its name: see export devcontainer.",
    group="Container",
)
@some_options(*BUILD_FLAGS)
def command(terminal: Terminal, path: Path, **flags: Any) -> int:
    """Run the words after `--` and return their exit status; without any, run the processes until a signal, and return 0."""
    build_flags = {name: flags.pop(name) for name in BUILD_FLAGS}
    engine = _engine(flags["engine"], terminal)
    bench = _workbench(path, engine, flags, build_flags, terminal)
    image = bench.build()
    if bench.for_editor:
        terminal.result(lambda: {"image": image.name, "digest": image.digest}, [image.name])
        return 0
    arguments = container_arguments()
    if arguments:
        terminal.stop()
        return engine.run(bench.one_off(image, arguments))
    from shipwheel.cli.dev_session import DevSession

    return DevSession(bench, terminal).run(image)


def _engine(name: str | None, terminal: Terminal) -> "Engine":
    from shipwheel.engine.find import find

    engine = find(name, terminal.report, bwrap=True)
    if engine.is_remote:
        hint = "Use an engine of this machine, or `shipwheel run`, which takes the source with the image."
        raise UsageError(f"{engine.name} runs on another machine, where your directory cannot be mounted", hint=hint)
    return engine


def _workbench(path: Path, engine: "Engine", flags: dict[str, Any], build_flags: dict[str, Any], terminal: Terminal) -> Workbench:
    """Parse the options, and raise the errors that need no image."""
    from shipwheel.dev.developer import developer_of
    from shipwheel.engine.interface import check_supported
    from shipwheel.engine.run_options import check_free, parse_mount, parse_port, read_environment

    if not path.is_dir():
        raise UsageError(f"{path} is not a directory", hint="Name the directory of a project; `shipwheel run` also takes a script.")
    check_supported(engine, network=flags["network"], limited=False)
    ports = tuple(parse_port(text) for text in flags["ports"])
    debug_port = _on_loopback(parse_port(flags["debug"])) if flags["debug"] is not None else None
    if engine.publishes and flags["network"] != "host":
        for port in (*ports, *((debug_port,) if debug_port is not None else ())):
            check_free(port)
    return Workbench(
        path=path,
        engine=engine,
        developer=developer_of(path),
        names=flags["names"],
        ports=ports,
        mounts=tuple(parse_mount(text) for text in flags["mounts"]),
        env=read_environment(flags["env_files"], flags["env"], os.environ),
        network=flags["network"],
        debug_port=debug_port,
        build_flags=build_flags,
        terminal=terminal,
        for_editor=flags["devcontainer"],
    )


def _on_loopback(port: "Port") -> "Port":
    """Return a debugger's port, whose callers can run what they like, for callers on this machine alone."""

    return port if port.address else msgspec.structs.replace(port, address=_LOOPBACK)
