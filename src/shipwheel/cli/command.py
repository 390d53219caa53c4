"""The class of every command: common options, help with examples, the terminal, and the end of the work when Ctrl-C comes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from shipwheel.cli.interruption import Interruption
from shipwheel.cli.terminal import Terminal, Verbosity
from shipwheel.errors import UsageError

__all__ = ["Command", "CommandWithArguments", "Option", "Session", "container_arguments", "on_interruption", "option"]

_OTHERS = "Options"
_OUTPUT = "Output"
"""Heading of the options that every command has; it comes last."""

_ARGUMENTS = "shipwheel.arguments"
"""Key of a container's arguments in click's context."""

_MAX_FLAGS_WIDTH = 28
"""Longer flags have a line of their own."""

F = TypeVar("F", bound=Callable[..., Any])


class Session(NamedTuple):
    """One run of the command line; the object of click's context."""

    terminal: Terminal
    interruption: Interruption


class Option(click.Option):
    """An option that the help lists under a heading, `group`."""

    def __init__(self, *args: Any, group: str = _OTHERS, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.group = group


def option(*names: str, group: str = _OTHERS, **settings: Any) -> Callable[[F], F]:
    """Return a decorator that adds an `Option`; parameters as in `click.option`."""
    return click.option(*names, cls=Option, group=group, **settings)


class Command(click.Command):
    """A command with the options that all have, and with examples in its help. Its function gets the terminal as its first argument."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = tuple(examples)
        self.params += [
            Option(["-q", "--quiet"], is_flag=True, group=_OUTPUT, help="Show only warnings and errors."),
            Option(["--verbose"], is_flag=True, group=_OUTPUT, help="Also show requests, programs that are started, and short stages."),
            Option(["--json", "as_json"], is_flag=True, group=_OUTPUT, help="Print the result, or the error, as JSON."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and leave nothing of the progress on the terminal."""
        session = ctx.find_object(Session)
        terminal = session.terminal if session is not None else Terminal()
        quiet, verbose, as_json = (ctx.params.pop(name) for name in ("quiet", "verbose", "as_json"))
        if quiet and verbose:
            raise UsageError("--quiet and --verbose cannot be combined", hint="Leave out one of the two.")
        terminal.set_up(Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL, as_json=as_json)
        assert self.callback is not None  # noqa: S101 - every command has a function
        try:
            return ctx.invoke(self.callback, terminal, **ctx.params)
        finally:
            terminal.stop()

    def groups(self, ctx: click.Context) -> dict[str, list[click.Parameter]]:
        """Return the options by their headings, in the order of the help."""
        found: dict[str, list[click.Parameter]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option):
                group = _OUTPUT if parameter is self.get_help_option(ctx) else getattr(parameter, "group", _OTHERS)
                found.setdefault(group, []).append(parameter)
        return {group: found[group] for group in sorted(found, key=lambda group: group == _OUTPUT)}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each below its heading."""
        groups = {
            group: [record for parameter in parameters if (record := parameter.get_help_record(ctx)) is not None]
            for group, parameters in self.groups(ctx).items()
        }
        width = max(len(flags) for records in groups.values() for flags, _ in records if len(flags) <= _MAX_FLAGS_WIDTH)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl([(flags.ljust(width), text) for flags, text in records], col_max=_MAX_FLAGS_WIDTH)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{' ' * formatter.current_indent}{example}\n")


class CommandWithArguments(Command):
    """A command that passes all words after `--` to a container."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words off before click sees them."""
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_ARGUMENTS] = tuple(args[cut + 1 :])
        return super().parse_args(ctx, args[:cut])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


def container_arguments() -> tuple[str, ...]:
    """Return the words after `--` of the command that runs."""
    found: tuple[str, ...] = click.get_current_context().meta[_ARGUMENTS]
    return found


def on_interruption(stop: Callable[[], None]) -> None:
    """Call `stop` when a signal ends the command that runs."""
    session = click.get_current_context().find_object(Session)
    if session is not None:
        session.interruption.register(stop)
