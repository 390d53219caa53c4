"""Procfiles: a process type and its command in each line."""

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["ProcessType", "parse_procfile"]

ProcessType = tuple[int, str]
"""(line number, command line)"""

_LINE = lazy_pattern(r"\s*([A-Za-z0-9_-]+)\s*:(.*)")


def parse_procfile(text: str) -> dict[str, ProcessType]:
    """Return process type -> (line number, command line). Lines that define no process type are ignored."""
    found: dict[str, ProcessType] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#") and (match := _LINE.match(line)) and (command := match[2].strip()):
            found.setdefault(match[1], (number, command))
    return found
