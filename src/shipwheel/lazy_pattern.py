"""Regular expressions that are compiled when they are first used.

Compiling those of all modules would take a tenth of a second at each start, and most commands use a few of them.
"""

import re
from typing import Any, AnyStr, cast

__all__ = ["LazyPattern", "lazy_pattern"]


class LazyPattern:
    """A pattern that is compiled when one of its methods or attributes is first used."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self._pattern: Any = pattern
        self._flags = flags

    def compiled(self) -> re.Pattern[Any]:
        """Return the compiled pattern. `re` keeps those that were compiled last."""
        return re.compile(self._pattern, self._flags)

    def __getattr__(self, name: str) -> Any:
        # Once for each method: the instance then has it.
        value = getattr(self.compiled(), name)
        setattr(self, name, value)
        return value


def lazy_pattern(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Return what has the methods and attributes of `re.compile(pattern, flags)`. An error in the pattern shows when it is first used."""
    return cast(re.Pattern[AnyStr], LazyPattern(pattern, flags))
