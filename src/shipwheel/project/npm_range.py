"""Ranges of versions as npm writes them, `^20.19.0 || >=22.12.0`, as pairs of versions: the lowest, and the first that is too high."""

import re
from collections.abc import Iterator, Sequence

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["ANY", "LIMIT", "Interval", "Version", "allows", "intervals", "version_of"]

Version = tuple[int, int, int]
"""Major, minor and patch."""

Interval = tuple[Version, Version]
"""The lowest version, and the first that is too high."""

_FIRST: Version = (0, 0, 0)
LIMIT: Version = (1 << 30, 0, 0)
"""A version above all."""
ANY: Interval = (_FIRST, LIMIT)
"""Every version."""

_PART = r"(\d+|[xX*])"
_VERSION = rf"v?{_PART}(?:\.{_PART})?(?:\.{_PART})?(?:-[\w.-]+)?(?:\+[\w.-]+)?"
_COMPARATOR = lazy_pattern(rf"(\^|~>?|>=|<=|>|<|=|)\s*{_VERSION}")
_HYPHEN = lazy_pattern(rf"\s*{_VERSION}\s+-\s+{_VERSION}\s*")
_SPACE = lazy_pattern(r"[\s,]*")


def version_of(text: str) -> Version | None:
    """Return a version of three numbers, `v20.19.4`; None for another text."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match is not None else None


def allows(text: str, version: Version) -> bool:
    """Return whether a range has a version. One that nobody can read has all."""
    found = intervals(text)
    return found is None or any(low <= version < high for low, high in found)


def intervals(text: str) -> tuple[Interval, ...] | None:
    """Return the intervals of a range, the highest first; None for a text that is no range."""
    found = [_alternative(each) for each in text.split("||")]
    known = [each for each in found if each is not None]
    return tuple(sorted((each for each in known if each[0] < each[1]), reverse=True)) if len(known) == len(found) else None


def _alternative(text: str) -> Interval | None:
    if hyphen := _HYPHEN.fullmatch(text):
        return _padded(_numbers(hyphen.groups()[:3])), _after(_numbers(hyphen.groups()[3:]))
    low, high, at = *ANY, 0
    text = text.strip()
    while at < len(text):
        match = _COMPARATOR.match(text, at)
        if match is None:
            return None
        lowest, limit = _interval(match[1], _numbers(match.groups()[1:]))
        low, high = max(low, lowest), min(high, limit)
        space = _SPACE.match(text, match.end())
        at = space.end() if space is not None else match.end()
    return low, high


def _numbers(parts: Sequence[str | None]) -> tuple[int, ...]:
    """Return the numbers of a version before the first that is left open."""
    return tuple(_until_open(parts))


def _until_open(parts: Sequence[str | None]) -> Iterator[int]:
    for part in parts:
        if part is None or not part.isdecimal():
            return
        yield int(part)


def _interval(operator: str, numbers: tuple[int, ...]) -> Interval:
    low = _padded(numbers)
    match operator:
        case ">=":
            return low, LIMIT
        case ">":
            return _after(numbers), LIMIT
        case "<":
            return _FIRST, low
        case "<=":
            return _FIRST, _after(numbers)
        case "^":
            first = next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)
            return low, _after(numbers[: first + 1])
        case "~" | "~>":
            return low, _after(numbers[:2])
        case _:
            return low, _after(numbers)


def _padded(numbers: tuple[int, ...]) -> Version:
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


def _after(numbers: tuple[int, ...]) -> Version:
    """Return the first version after all that begin with these numbers."""
    return _padded((*numbers[:-1], numbers[-1] + 1)) if numbers else LIMIT
