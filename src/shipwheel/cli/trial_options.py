"""The options of the commands that try an image."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from shipwheel.cli.command import option
from shipwheel.cli.container_options import environment_options

__all__ = ["engine_option", "network_option", "timeout_option", "trial_options"]

F = TypeVar("F", bound=Callable[..., Any])

_GROUP = "Trial"

engine_option = option(
    "--engine", metavar="NAME", help="docker, podman, nerdctl, containerd or bwrap [the first that answers].", group=_GROUP
)
network_option = option("--network", is_flag=True, help="Give the container the engine's network; otherwise it has none.", group=_GROUP)
timeout_option = option(
    "--timeout",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    help="Time to wait until something listens [60, without a port 10].",
    group=_GROUP,
)


def trial_options(function: F) -> F:
    """Add all of them: `engine`, `platform`, `env`, `env_files`, `paths`, `host`, `network` and `timeout`."""
    platform = option("--platform", metavar="OS/ARCH", help="Platform to build for and start [the engine's own].", group=_GROUP)
    paths = option(
        "--path", "paths", multiple=True, metavar="/PATH", help="Path to ask for first; repeatable [/, then usual ones].", group=_GROUP
    )
    host = option("--host", metavar="NAME", default="localhost", help="Host name to ask for [localhost].", group=_GROUP)
    for add in reversed((engine_option, platform, environment_options(_GROUP), paths, host, network_option, timeout_option)):
        function = add(function)
    return function
