"""The command line: one thin module for each command, imported when the command is called.

In: arguments. Out: the result on standard output; progress, warnings and errors on standard error; an exit code. Only this folder prints
and imports click and rich; it may import every other folder, and none imports it.
"""

import gc
import sys

from shipwheel.cli.interruption import Interruption
from shipwheel.cli.left_out import leave_out_imports
from shipwheel.cli.terminal import Terminal

__all__ = ["main"]


def main() -> None:
    """Run the command line, and exit with its code."""
    # Most of what a command makes stays until its end: to look for garbage as often as usual takes a twentieth of a short one's time.
    gc.set_threshold(100_000, 20, 20)
    terminal = Terminal()
    interruption = Interruption(terminal.interrupted)
    try:
        with interruption.handled():
            status = _run(terminal, interruption)
    except KeyboardInterrupt:
        interruption.report()
        status = interruption.status
    sys.exit(status)


def _run(terminal: Terminal, interruption: Interruption) -> int:
    try:
        if sys.argv[1:2] == ["build"]:
            leave_out_imports()
            from shipwheel.cli.repeat import repeat_build

            if repeat_build(terminal):
                return 0
        from shipwheel.cli.commands import run

        return run(terminal, interruption)
    except BrokenPipeError:
        return 1
    except OSError as error:
        from shipwheel.cli.system_errors import from_system

        terminal.error(from_system(error))
        return 1
