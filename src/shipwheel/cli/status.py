"""`shipwheel status`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipwheel.cli.command import Command
from shipwheel.cli.services import addresses, engine_option, group_of, stack_argument
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.text import columns

if TYPE_CHECKING:
    from shipwheel.stack.status import ServiceStatus

__all__ = ["command"]


@click.command(
    "status",
    cls=Command,
    help="Show the services of a project, and whether they are well. The exit code is 0 if all are, else 1.",
    examples=("shipwheel status", "shipwheel status --json"),
)
@stack_argument
@engine_option
def command(terminal: Terminal, path: Path, engine: str | None) -> int:
    """Ask each service that runs now."""
    from shipwheel.stack.read import read_stack
    from shipwheel.stack.status import stack_status

    stack = read_stack(path)
    group = group_of(stack, engine, terminal.report)
    found = stack_status(stack, group)
    rows = [("service", "state", "restarts", "addresses")]
    rows += [(it.name, it.state.value, str(it.restarts), " ".join(_addresses(it))) for it in found]
    document = {
        "stack": stack.name,
        "engine": group.engine.name,
        "services": [
            {"name": it.name, "state": it.state.value, "restarts": it.restarts, "exit-code": it.exit_code, "addresses": _addresses(it)}
            for it in found
        ],
    }
    terminal.result(lambda: document, [columns(rows, left=(0, 1, 3))])
    return 0 if all(it.is_good for it in found) else 1


def _addresses(status: "ServiceStatus") -> list[str]:
    return list(addresses(status.ports, speaks_http=False))
