"""The options of the commands that start a container: what it gets of this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from shipwheel.cli.command import option

__all__ = ["container_options", "environment_options"]

F = TypeVar("F", bound=Callable[..., Any])


def environment_options(group: str) -> Callable[[F], F]:
    """Return a decorator that adds the options for variables, `env` and `env_files`, below a heading of the help."""

    def add(function: F) -> F:
        files = option(
            "--env-file",
            "env_files",
            multiple=True,
            type=click.Path(path_type=Path),
            help="File of NAME=VALUE lines; repeatable.",
            group=group,
        )
        variables = option(
            "-e",
            "--env",
            multiple=True,
            metavar="NAME[=VALUE]",
            help="Environment variable, without a value this shell's; repeatable.",
            group=group,
        )
        return variables(files(function))

    return add


def container_options(function: F) -> F:
    """Add the options for ports, mounts and variables: `ports`, `mounts`, `env` and `env_files`."""
    ports = option(
        "-p", "--publish", "ports", multiple=True, metavar="[ADDRESS:]HOST:CONTAINER", help="Publish a port; repeatable.", group="Container"
    )
    mounts = option(
        "-v",
        "--volume",
        "mounts",
        multiple=True,
        metavar="NAME|DIR:PATH[:ro]",
        help="Mount a volume or directory; repeatable.",
        group="Container",
    )
    return ports(mounts(environment_options("Container")(function)))
