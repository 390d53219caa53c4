"""How a program ended or failed, where its last words tell it."""

import re
from collections import Counter

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.signs.tracebacks import error_line, is_at_error, last_line, last_traceback

__all__ = ["ended_at_import", "ended_in_failure", "lacks_command", "listens_elsewhere", "shows_its_error", "wants_input", "workers_started"]

_END_OF_INPUT = "EOFError: EOF when reading a line"
_FAILED_IMPORT = ("ModuleNotFoundError: ", "ImportError: ")
_NO_ADDRESS = "cannot assign requested address"
_NO_COMMAND = lazy_pattern(r"^Error: No such command\b", re.MULTILINE)
"""The line of click, and so of flask."""
_UNCAUGHT = lazy_pattern(r"Uncaught app (?:exception|execution)")
"""A line of Streamlit, whose pages are answered by a script that runs later."""
_WORKER = lazy_pattern(r"Booting worker with pid|Booted as pid|spawned uWSGI worker|Started server process")


def wants_input(log: str) -> bool:
    """Return whether a program ended because nobody typed."""
    return last_line(log).startswith(_END_OF_INPUT)


def ended_at_import(log: str) -> bool:
    """Return whether the last line is that of an import that failed."""
    return last_line(log).startswith(_FAILED_IMPORT)


def ended_in_failure(log: str) -> bool:
    """Return whether the last line tells of an error, whatever the exit status is."""
    return ended_at_import(log) or is_at_error(last_line(log))


def lacks_command(log: str) -> bool:
    """Return whether a program says that it has no such command."""
    return _NO_COMMAND.search(log) is not None


def listens_elsewhere(log: str) -> bool:
    """Return whether a program ended since its address is another machine's; a client that connects to localhost may end so, too."""
    error = error_line(log)
    return _NO_ADDRESS in error.lower() and "connect" not in f"{last_traceback(log)}\n{error}".lower()


def shows_its_error(log: str) -> bool:
    """Return whether a server that answers wrote that its pages are those of an error."""
    return _UNCAUGHT.search(log) is not None


def workers_started(log: str) -> int:
    """Return how many workers a server has started, those in place of others included; old servers do not say how one ended.

    gunicorn and the uvicorn in its worker both have a line for it.
    """
    return max(Counter(_WORKER.findall(log)).values(), default=0)
