"""The process of the command line: `shipwheel`, and `python -m shipwheel`."""

import atexit
import os
import sys

from shipwheel.cli import main

__all__ = ["run"]


def run() -> None:
    """Run the command line, and end the process."""
    codes: list[int] = []
    atexit.register(_leave, codes)  # before all others, so that it is called after them
    try:
        main()
    except SystemExit as end:
        codes += [end.code] if isinstance(end.code, int) else []
        raise


def _leave(codes: list[int]) -> None:
    """End the process. The interpreter would first take every object and module apart, for nobody."""
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # Python has None in place of one that was closed.
            stream.flush()
    except (OSError, ValueError):
        return  # the interpreter meets this again, and says so
    if codes:
        os._exit(codes[0])


if __name__ == "__main__":
    run()
