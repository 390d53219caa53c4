"""Calls of `open` in the lines of tracebacks: a file that is opened to be written is made, and one that is read has to be there."""

from collections.abc import Sequence

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["opens_to_write"]

_OPENS = lazy_pattern(r"\bopen(?:_func)?\((?:(?:[^()]|\([^()]*\))*,\s*(?:mode=)?(?P<mode>['\"][rbt]*[wax]|self\.mode\b))?")
"""A call with its mode, if that makes the file; the standard library's handlers of logs have theirs in a field."""


def opens_to_write(lines: Sequence[str]) -> bool:
    """Return whether lines of a traceback call `open`, and only to write: of several files, any may be the missing one."""
    modes = [found["mode"] for each in lines for found in _OPENS.finditer(each)]
    is_of_logs = any("/logging/" in each for each in lines)
    return bool(modes) and all(mode is not None and (is_of_logs or mode != "self.mode") for mode in modes)
