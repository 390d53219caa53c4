"""Lookup in a table of sorted lines without a copy of them: a suite's table has some 20 MB, and a build holds one for each platform."""

import re
from collections.abc import Iterator

__all__ = ["SortedTable"]

_LINE = rb"[^\n]+"


class SortedTable:
    """Lines in the order of their bytes, whose first field, up to a tab, is a name. Several may have the same name."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def __iter__(self) -> Iterator[bytes]:
        """Yield all lines, in order, without their ends."""
        return (match[0] for match in re.finditer(_LINE, self._text))

    def named(self, name: bytes) -> Iterator[bytes]:
        """Yield the lines of a name."""
        return self.starting(name + b"\t")

    def starting(self, prefix: bytes) -> Iterator[bytes]:
        """Yield the lines that start with some bytes."""
        start = self._first_from(prefix)
        while self._text.startswith(prefix, start):
            end = self._text.find(b"\n", start)
            end = end if end >= 0 else len(self._text)
            yield self._text[start:end]
            start = end + 1

    def _first_from(self, prefix: bytes) -> int:
        """Return where the first line that is not before the prefix starts."""
        low, high = 0, len(self._text)
        while low < high:
            # The line around the middle. `low` and `high` are always starts of lines, or the end.
            start = self._text.rfind(b"\n", low, (low + high) // 2) + 1 or low
            if self._text[start : start + len(prefix)] < prefix:
                end = self._text.find(b"\n", start)
                low = end + 1 if end >= 0 else len(self._text)
            else:
                high = start
        return low
