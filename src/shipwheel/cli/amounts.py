"""Sizes and times as people write them: 5GB, 30d."""

import re

from shipwheel.errors import UsageError
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["parse_age", "parse_size"]

_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_BYTES = {f"{prefix}{unit}": factor for prefix, factor in _PREFIXES.items() for unit in ("", "b")}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AMOUNT = lazy_pattern(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]*)\s*", re.ASCII | re.IGNORECASE)


def parse_size(text: str, name: str) -> int:
    """Return a size in bytes; `kB`, `MB`, `GB` are decimal, `KiB`, `MiB`, `GiB` binary. Raise UsageError, which calls it `name`."""
    found = _AMOUNT.fullmatch(text)
    factor = _BYTES.get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise UsageError(f"{name}: {text!r} is not a size", hint="Write a number and kB, MB, GB or GiB, for example 5GB.")
    return int(float(found[1]) * factor)


def parse_age(text: str, name: str) -> float:
    """Return a time in seconds from a number and s, m, h, d or w. Raise UsageError, which calls it `name`."""
    found = _AMOUNT.fullmatch(text)
    factor = _SECONDS.get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise UsageError(f"{name}: {text!r} is not a time", hint="Write a number and h, d or w for hours, days or weeks, for example 30d.")
    return float(found[1]) * factor
