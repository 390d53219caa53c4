"""Signs in a program's output that it is older than the packages or the Python that it got."""

import re
import sys

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.signs.tracebacks import error_line, is_of_others, last_traceback

__all__ = [
    "AbsentName",
    "Misfit",
    "absent_name",
    "is_outgrown",
    "misfit",
    "outdated_module",
    "own_absent_name",
    "python_2_place",
    "unreadable_module",
    "unreadable_place",
]

_OUTGROWN = (
    r"ImportError: cannot import name (?!'\w+' from '[\w.]+' \((?:/app/|unknown location\)))",
    r"ModuleNotFoundError: No module named '\w+\.[\w.]+'",
    r"AttributeError: (?:module|type object|'(?!NoneType)\w+' object has no attribute)",
    r"ModuleNotFoundError: No module named '(?:imp|cgi|distutils|asynchat|asyncore|smtpd|pipes|telnetlib|[\w.]+\.six\.moves)",
    r"RuntimeError: There is no current event loop",
    r"RuntimeError: __class__ not set defining",
    r"RuntimeError: Working outside of application context",
    r"PydanticUserError: |PydanticImportError: ",
    r"TypeError: .*(?:unexpected keyword argument|positional argument|unhashable type)",
)
"""Errors of programs that are older than the packages or the Python that they got."""
_INSIDE = lazy_pattern(
    r"^(?>[^\n]*?site-packages)[^\n]*\n(?:[^\n]*\n){0,3}[^\n]*(?:AttributeError|ImportError|TypeError|SyntaxError)", re.MULTILINE
)


def is_outgrown(log: str) -> bool:
    """Return whether a program failed inside a package, or by what newer versions no longer have: it is older than they are."""
    if any(re.search(pattern, log) is not None for pattern in _OUTGROWN) or _fails_to_import(log):
        return True
    return _INSIDE.search(log) is not None and not _refuses_a_value(log)


_FRAME = lazy_pattern(r'^ +File "(?P<path>[^"]+)", line \d+, in (?P<function>.+)\n +(?P<line>.+)', re.MULTILINE)


def _refuses_a_value(log: str) -> bool:
    """Return whether a package says itself what is wrong with a value, as Jinja does of templates without a loader."""
    frames = [*_FRAME.finditer(last_traceback(log))]
    return bool(frames) and frames[-1]["line"].startswith("raise TypeError(")


def _fails_to_import(log: str) -> bool:
    """Return whether packages find a wrong value while a program imports them, as pydantic 1.9 and numpy's modules of other versions do."""
    frames = [*_FRAME.finditer(last_traceback(log))]
    own = [number for number, frame in enumerate(frames) if not is_of_others(frame["path"])]
    if not own or own[-1] == len(frames) - 1 or not error_line(log).startswith("ValueError: "):
        return False
    return frames[own[-1]]["line"].startswith(("import ", "from "))


_ABSENT_NAME = lazy_pattern(r"ImportError: cannot import name '(\w+)' from '([\w.]+)' \(\S*/site-packages/")


class AbsentName(msgspec.Struct, frozen=True):
    """A name that a program imports from an installed package, and that the package has not."""

    name: str
    module: str


def absent_name(log: str) -> AbsentName | None:
    """Return the name that the last traceback in a log could not import from an installed package; None if its error is another."""
    found = _ABSENT_NAME.search(error_line(log))
    return AbsentName(found[1], found[2]) if found is not None else None


_OWN_ABSENT_NAME = lazy_pattern(r"ImportError: cannot import name '(\w+)' from '[\w.]+' \(/app/(\S+)\)")


def own_absent_name(log: str) -> tuple[str, str]:
    """Return (name, file of the app) if the last traceback in a log ends since one of its files lacks a name; empty if it does not."""
    found = _OWN_ABSENT_NAME.search(error_line(log))
    return (found[1], found[2]) if found is not None else ("", "")


_SYNTAX = ("SyntaxError: ", "IndentationError: ", "TabError: ")
_PRINT = "SyntaxError: Missing parentheses in call to "
_EXCEPT = "SyntaxError: multiple exception types must be parenthesized"
_NAMED = lazy_pattern(r"^ +except [^,\n]+, *[a-z_]\w*:", re.MULTILINE)
"""An exception with the name that it gets. Of two classes, as in `except TypeError, ValueError:`, Python 3.14 needs no parentheses."""
_PLACE = lazy_pattern(r'^ +File "([^"]+)", line (\d+)$', re.MULTILINE)
"""The place of an error of the syntax itself, which is in no function."""


def unreadable_place(log: str) -> str:
    """Return the file and line of the program which the image's Python cannot parse, by the last traceback in a log; empty without one."""
    found = _PLACE.findall(last_traceback(log)) if error_line(log).startswith(_SYNTAX) else []
    path, line = found[-1] if found else ("", "")
    return f"{path}, line {line}" if path and not is_of_others(path) else ""


def python_2_place(log: str) -> str:
    """Return the file and line of the program which only Python 2 can read, by the last traceback in a log; empty without one."""
    error = error_line(log)
    is_old = error.startswith(_PRINT) or (error.startswith(_EXCEPT) and _NAMED.search(last_traceback(log)) is not None)
    return unreadable_place(log) if is_old else ""


_UNREADABLE = lazy_pattern(
    r'File "\S*/site-packages/([A-Za-z]\w*)[/.][^\n]*\n[^\n]*\n(?:[ ~^]*\n)?(?:SyntaxError|IndentationError|TabError): '
)


def unreadable_module(log: str) -> str:
    """Return the top-level module of an installed package that the image's Python cannot parse, by the last traceback; empty if it can."""
    found = _UNREADABLE.search(last_traceback(log))
    return found[1] if found is not None else ""


_MISSED = lazy_pattern(
    r"(?:ImportError: cannot import name '\w+' from|AttributeError: module) '(?P<module>[A-Za-z]\w*)[\w.]*'"
    r"|ModuleNotFoundError: No module named '(?P<package>[A-Za-z]\w*)\."
)
_INSTALLED = lazy_pattern(r"/site-packages/([A-Za-z]\w*)[/.]")


class Misfit(msgspec.Struct, frozen=True):
    """An installed package that lacks what another one, or the program itself, wants of it, by their top-level modules.

    `user` is empty for the program itself.
    """

    user: str
    module: str


def misfit(log: str) -> Misfit | None:
    """Return the package of which something wants a name that is not there, by the last traceback; None if it has no such error."""
    if (found := _MISSED.match(error_line(log))) is None:
        return None
    # A package may tell by a function of its own that it has no such name.
    frames = (frame for frame in reversed([*_FRAME.finditer(last_traceback(log))]) if frame["function"] != "__getattr__")
    path = next((frame["path"] for frame in frames), "")
    user, module = _INSTALLED.search(path), found["module"] or found["package"]
    if not path or (user[1] == module if user is not None else is_of_others(path)):
        return None
    return Misfit(user[1] if user is not None else "", module)


_UNFIT = (
    "RuntimeError: __class__ not set defining ",
    "TypeError: code() takes ",
    "TypeError: code expected ",
    "TypeError: an integer is required (got type bytes)",
)
"""Errors with which Python 3.8 and newer refuse metaclasses of before 3.6, and code objects that are made as for 3.7."""


def outdated_module(log: str) -> str:
    """Return the top-level module of an installed package that is older than the image's Python, by the last traceback; empty without one.

    Python cannot parse it, or has no longer what it wants of the standard library.
    """
    if module := unreadable_module(log):
        return module
    if (found := misfit(log)) is not None:
        return found.user if found.module in sys.stdlib_module_names else ""
    frames = [*_FRAME.finditer(last_traceback(log))] if error_line(log).startswith(_UNFIT) else []
    user = _INSTALLED.search(frames[-1]["path"]) if frames else None
    return user[1] if user is not None else ""
