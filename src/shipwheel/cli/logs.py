"""`shipwheel logs`."""

from pathlib import Path

import click

from shipwheel.cli.command import Command, option
from shipwheel.cli.services import engine_option, group_of
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError

__all__ = ["command"]


@click.command(
    "logs",
    cls=Command,
    help="Show the output of a project's services, each line behind the service's name.",
    examples=("shipwheel logs --follow", "shipwheel logs web worker --lines 20"),
)
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@option("--path", type=click.Path(path_type=Path), default=".", metavar="PATH", help="Directory of the project [.].", group="Services")
@option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C, or until all have ended.", group="Services")
@option("-n", "--lines", type=click.IntRange(0), metavar="NUMBER", help="Lines of each service to begin with [all].", group="Services")
@engine_option
def command(terminal: Terminal, services: tuple[str, ...], path: Path, follow: bool, lines: int | None, engine: str | None) -> int:
    """Print lines as the engine has them; raise UsageError for a service that has no container. Ctrl-C is the usual end of `--follow`."""
    from shipwheel.stack.containers import LABEL_SERVICE
    from shipwheel.stack.read import read_stack

    stack = read_stack(path)
    group = group_of(stack, engine, terminal.report)
    there = {it.name: it.labels.get(LABEL_SERVICE, it.name) for it in group.containers()}
    unknown = [name for name in services if name not in there.values()]
    if unknown or not there:
        hint = f"There are {', '.join(sorted(there.values()))}." if there else "Start it: shipwheel up."
        raise UsageError(f"no container of {unknown[0] if unknown else stack.name} in {group.engine.name}", hint=hint)
    chosen = [name for name, service in there.items() if not services or service in services]
    width = max(len(there[name]) for name in chosen)
    terminal.stop()
    try:
        group.read_logs(chosen, lines, lambda name, line: terminal.line(f"{there[name]:<{width}} | {line}"), follow=follow)
    except KeyboardInterrupt:
        if not follow:
            raise
    return 0
