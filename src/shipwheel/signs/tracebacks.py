"""Errors in tracebacks, and last lines: where a program's output tells why it ended."""

from collections.abc import Iterable, Iterator

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.signs.output import plain_lines

__all__ = [
    "TRACEBACK",
    "circular_module",
    "error_line",
    "failed_request",
    "is_at_error",
    "is_of_others",
    "last_line",
    "last_traceback",
    "program_lines",
]

TRACEBACK = "Traceback (most recent call last)"
_OF_SERVER = lazy_pattern(
    r"\[[\d: +-]{20,30}\] \[\d+\] \[[A-Z]+\] |\*{3} |shipwheel: |\[[A-Z]+\] (?:Unexpected exit from|Shutting down|Stopped|Granian) "
)
"""The start of a line that gunicorn, uWSGI, the launcher or granian writes."""
_AT_ERROR = lazy_pattern(r"(?<![./=])\b(?:ERROR|CRITICAL|FATAL)\b(?!\W{0,3}0\b|[./]\w)")
"""The level of a line in a log, and no count, name of a file or value of a setting."""
_BELOW_ERROR = lazy_pattern(r"\b(?:DEBUG|INFO|NOTICE|WARN|WARNING)\b")
_END_OF_SERVER = "gunicorn.errors.HaltServer: "
"""The error with which a server ends because its workers did: they have told why."""
_OF_WEB_SERVER = lazy_pattern(
    r"/site-packages/(?:(?:gunicorn|uvicorn|hypercorn|daphne|waitress|cheroot|sanic)\b|werkzeug/serving\b|gevent/pywsgi\b|eventlet/wsgi\b"
    r"|aiohttp/web|tornado/(?:web|http1connection|httpserver)\b)"
)
"""A frame of a server; aiohttp and Tornado have clients as well, whose errors are those of any program."""
_OF_OTHERS = lazy_pattern(r"/site-packages/|/lib/python3|^<")
_OF_PYDANTIC = lazy_pattern(r"ValidationError: \d+ validation errors? for \w+$")
"""The head of a list of errors, of which the next lines say the first."""
_MAX_LINE = 400
_CIRCLE = lazy_pattern(
    r"ImportError: .*partially initialized module '([\w.]+)' \(most likely due to a circular import\) \((?!\S*/site-packages/)"
)


def program_lines(log: str) -> list[str]:
    """Return the lines of a log without the tracebacks of a server that ends because its workers did."""
    return [line for block in _blocks(plain_lines(log)) if not block[-1].startswith(_END_OF_SERVER) for line in block]


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Yield each traceback with its error, and every other line by itself."""
    block: list[str] = []
    for line in lines:
        block.append(line)
        is_inside = block[0].startswith(TRACEBACK) and (len(block) == 1 or not line.strip() or line[0].isspace())
        if not is_inside:
            yield block
            block = []
    yield from ([line] for line in block)


def last_traceback(log: str) -> str:
    """Return a log from its last traceback on; empty if it has none."""
    lines = program_lines(log)
    start = next((number for number in reversed(range(len(lines))) if TRACEBACK in lines[number]), len(lines))
    return "\n".join(lines[start:])


def failed_request(log: str) -> bool:
    """Return whether the last error is one that a web server met while it handled a request, and not one of TLS."""
    trace = last_traceback(log)
    return _OF_WEB_SERVER.search(trace) is not None and "ssl." not in error_line(log)


def is_of_others(path: str) -> bool:
    """Return whether a path in a traceback is one of Python or of an installed package, and not the project's."""
    return _OF_OTHERS.search(path) is not None


def circular_module(log: str) -> str:
    """Return the module of the application that imports itself in a circle, as the last error in a log says; empty if none does."""
    found = _CIRCLE.search(last_traceback(log))
    return found[1] if found else ""


def error_line(log: str) -> str:
    """Return the error that the last traceback of a log ends with, which servers may follow with lines of their own.

    Without one, return the last line; if that is logged at a lower level, the last that is logged as an error. Lines of a server about its
    processes count only if there are no others. The error below a traceback in a box is wrapped at spaces.
    """
    lines = program_lines(log)
    found, inside, in_box, below_box = "", False, False, False
    for number, line in enumerate(lines):
        if below_box:
            found, below_box = f"{found} {line.strip()}".strip()[:_MAX_LINE], line.endswith(" ")
        elif line.startswith("╭"):
            in_box = TRACEBACK in line
        elif in_box and line.startswith("╰"):
            found, in_box, below_box = "", False, True
        elif line.startswith(TRACEBACK):
            inside = True
        elif inside and line.strip() and not line[0].isspace():
            more = lines[number + 1 : number + 3] if _OF_PYDANTIC.search(line) is not None else ()
            found, inside = " ".join(" ".join((line, *more)).split())[:_MAX_LINE], False
    own = [line for line in lines if not _OF_SERVER.match(line)]
    last = _last(own)
    logged = _last(line for line in own if is_at_error(line)) if _BELOW_ERROR.search(last) else ""
    return found or logged or last or last_line(log)


def is_at_error(line: str) -> bool:
    """Return whether a line is logged as an error: the first level in it is the line's own."""
    found = _AT_ERROR.search(line)
    return found is not None and _BELOW_ERROR.search(line[: found.start()]) is None


def last_line(log: str) -> str:
    """Return the last line of a log with something in it."""
    return _last(plain_lines(log))


def _last(lines: Iterable[str]) -> str:
    return next((line.strip()[:_MAX_LINE] for line in reversed(tuple(lines)) if line.strip()), "")
