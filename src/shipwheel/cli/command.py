"""The class of every command: common options, the terminal, and the end of the work when Ctrl-C comes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from shipwheel.cli.interruption import Interruption
from shipwheel.cli.terminal import Terminal

__all__ = ["Command", "Session", "on_interruption"]


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command line; the object of click's context."""

    terminal: Terminal
    interruption: Interruption


class Command(click.Command):
    """A command with the options that all have. Its function gets the terminal as its first argument."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += [
            click.Option(["-q", "--quiet"], is_flag=True, help="Show only warnings and errors."),
            click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and leave nothing of the progress on the terminal."""
        session = ctx.find_object(Session)
        terminal = session.terminal if session is not None else Terminal()
        terminal.quiet, terminal.as_json = ctx.params.pop("quiet"), ctx.params.pop("as_json")
        assert self.callback is not None  # noqa: S101 - every command has a function
        try:
            return ctx.invoke(self.callback, terminal, **ctx.params)
        finally:
            terminal.stop()


def on_interruption(stop: Callable[[], None]) -> None:
    """Call `stop` when a signal ends the command that runs."""
    session = click.get_current_context().find_object(Session)
    if session is not None:
        session.interruption.register(stop)
