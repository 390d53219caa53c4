"""`shipwheel up`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import Command, Session, option
from shipwheel.cli.options import some_options
from shipwheel.cli.services import addresses, engine_option, group_of, placed_services, stack_argument
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import EngineError

if TYPE_CHECKING:
    from shipwheel.engine.group import ContainerGroup
    from shipwheel.stack.image import PlacedService
    from shipwheel.stack.model import Stack
    from shipwheel.stack.up import Done

__all__ = ["command"]

_BUILD_FLAGS = ("locked", "frozen", "yes")
_CLEANUP_S = 60.0
"""Seconds that an interrupted start has to remove what it made."""


@click.command(
    "up",
    cls=Command,
    help="Build a project and start it with its services in docker or podman; return when all are well.",
    examples=("shipwheel up", "shipwheel up . --engine podman --env-file secrets.env"),
)
@stack_argument
@engine_option
@option(
    "-e",
    "--env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Variable that the services take, without a value this shell's; repeatable.",
    group="Services",
)
@option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of NAME=VALUE lines that the services take; repeatable.",
    group="Services",
)
@option("--profile", "profiles", multiple=True, metavar="NAME", help="Start this profile's services, too; repeatable.", group="Services")
@some_options(*_BUILD_FLAGS)
def command(
    terminal: Terminal,
    path: Path,
    engine: str | None,
    env: tuple[str, ...],
    env_files: tuple[Path, ...],
    profiles: tuple[str, ...],
    **flags: Any,
) -> None:
    """Start what is not running as it should; print the addresses on standard output."""
    from shipwheel.engine.run_options import read_environment
    from shipwheel.stack.read import read_stack
    from shipwheel.stack.secrets import check_variables, secrets_directory, write_secrets
    from shipwheel.stack.up import check_stated

    stack = read_stack(path).with_profiles(profiles)
    variables = {**os.environ, **read_environment(env_files, env, os.environ)}
    check_variables(stack, variables)
    group = group_of(stack, engine, terminal.report)
    secrets = {name: variables[name] for service in stack.services for name in service.secrets}
    if secrets and group.engine.is_remote:
        hint = f'Use an engine of this machine, or give the values as variables: env = {{{min(secrets)} = "${{{min(secrets)}}}"}}.'
        raise EngineError(f"{group.engine.name} runs on another machine, where the files of secrets are not", hint=hint)
    check_stated(stack, group)
    placed = placed_services(stack, group.engine, flags, terminal.report)
    session = click.get_current_context().find_object(Session)
    if session is not None:
        session.interruption.allow(_CLEANUP_S)
    directory = secrets_directory(stack, group.engine.name)
    with write_secrets(directory, secrets):
        done = _start(stack, placed, group, variables, directory, terminal)
    _report(placed, done, group, stack, terminal)


def _start(
    stack: "Stack",
    placed: "tuple[PlacedService, ...]",
    group: "ContainerGroup",
    variables: dict[str, str],
    secrets: Path,
    terminal: Terminal,
) -> "Done":
    from shipwheel.cli.ready import lacks, warn_of_silent_ports
    from shipwheel.stack.containers import run_spec
    from shipwheel.stack.up import Desired, start_stack

    ids = {name: group.image_id(name) for name in dict.fromkeys(it.image.name for it in placed)}
    desired = [Desired(it, run_spec(stack, it, ids[it.image.name], variables, secrets)) for it in placed]
    done = start_stack(stack, desired, group, terminal.report, lacks)
    new = (each for each in desired if each.name in done.started + done.replaced and not each.placed.service.is_job)
    warn_of_silent_ports({f"{stack.place}: services.{each.name}.ports": each.spec for each in new}, group.engine, terminal)
    return done


def _report(placed: "tuple[PlacedService, ...]", done: "Done", group: "ContainerGroup", stack: "Stack", terminal: Terminal) -> None:
    from shipwheel.stack.model import PulledImage

    found = {
        it.service.name: list(addresses(it.ports, speaks_http=not isinstance(it.service.source, PulledImage) or it.image.is_ours))
        for it in placed
    }
    terminal.note(f"{stack.name} is up in {group.engine.name}; `shipwheel logs` shows its output, `shipwheel down` stops it")
    terminal.result(
        lambda: {
            "stack": stack.name,
            "engine": group.engine.name,
            "services": [{"name": name, "addresses": each} for name, each in found.items()],
            "started": list(done.started),
            "replaced": list(done.replaced),
            "unchanged": list(done.unchanged),
            "removed": list(done.removed),
        },
        [f"{name} {' '.join(each)}" for name, each in found.items() if each],
    )
