"""`shipwheel down`."""

from pathlib import Path

import click

from shipwheel.cli.command import Command, option
from shipwheel.cli.services import engine_option, group_of, stack_argument
from shipwheel.cli.terminal import Terminal

__all__ = ["command"]


@click.command(
    "down",
    cls=Command,
    help="Stop a project's services, and remove their containers and network. Volumes stay unless you say otherwise.",
    examples=("shipwheel down", "shipwheel down --volumes"),
)
@stack_argument
@engine_option
@option("--volumes", is_flag=True, help="Also remove the volumes, with their data.", group="Services")
def command(terminal: Terminal, path: Path, engine: str | None, volumes: bool) -> None:
    """Stop the newest first; say what is left."""
    from shipwheel.stack.down import stop_stack
    from shipwheel.stack.read import read_stack
    from shipwheel.stack.secrets import remove_secrets, secrets_directory

    stack = read_stack(path)
    group = group_of(stack, engine, terminal.report)
    left = stop_stack(stack, group, terminal.report, volumes=volumes)
    remove_secrets(secrets_directory(stack, group.engine.name))
    if left:
        terminal.note(f"volumes stay: {', '.join(left)}; `shipwheel down --volumes` removes them")
    terminal.result(lambda: {"stack": stack.name, "engine": group.engine.name, "volumes": list(left)}, [])
