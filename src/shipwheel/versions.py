"""Names and versions of Python packages in their normal forms, and the instant after which an index's files no longer count."""

import operator
import re
from collections.abc import Callable
from datetime import date, timedelta

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["end_of_day", "minor_number", "minor_version", "normalized", "requirement_name", "satisfies_plainly"]

_NAME = lazy_pattern(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_RELEASE = lazy_pattern(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")
_CLAUSE = lazy_pattern(r"(<=|>=|==|!=|~=|<|>)\s*([0-9]{1,9}(?:\.[0-9]{1,9})*)(\.\*)?")
_COMPARED: dict[str, Callable[[list[int], list[int]], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


def normalized(name: str) -> str:
    """Return a Python package's name in its normal form: lower case, with single dashes (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(text: str) -> str:
    """Return the normalized name that a requirement begins with (PEP 508); empty for a text that begins with none."""
    found = _NAME.match(text)
    return normalized(found[1]) if found is not None else ""


def minor_version(version: str) -> str:
    """Return a version without its micro part: "3.11" for "3.11.2" and for "3.11"."""
    return ".".join(version.strip().split(".")[:2])


def minor_number(version: str) -> int:
    """Return the second part of a version: 11 for "3.11.2". Python versions sort by it."""
    return int(version.split(".")[1])


def end_of_day(day: date) -> str:
    """Return the end of a day in UTC as uv's `--exclude-newer` takes it (RFC 3339).

    uv itself reads a bare date as the end of that day in the local time zone.
    """
    return f"{(day + timedelta(days=1)).isoformat()}T00:00:00Z"


def satisfies_plainly(version: str, specifier: str) -> bool | None:
    """Return whether a release ("3.11.2") satisfies a version specifier (PEP 440) that names releases alone, None for any other.

    Nearly all of Python's are such, as in ">=3.11,<4". What reads all of them takes longer to import than a build to choose its Python.
    """
    clauses = [_CLAUSE.fullmatch(clause.strip()) for clause in specifier.split(",") if clause.strip()]
    if not _RELEASE.fullmatch(version):
        return None
    found = [_holds(_release(version), *clause.groups()) if clause is not None else None for clause in clauses]
    return None if None in found else all(found)


def _holds(version: list[int], sign: str, text: str, any_rest: str | None) -> bool | None:
    """Return whether a release satisfies a clause; None if the clause is not valid."""
    bound = _release(text)
    length = max(len(version), len(bound))
    ours, theirs = _padded(version, length), _padded(bound, length)
    if any_rest:
        return _COMPARED[sign](ours[: len(bound)], bound) if sign in ("==", "!=") else None
    if sign == "~=":
        return ours >= theirs and ours[: len(bound) - 1] == bound[:-1] if len(bound) > 1 else None
    return _COMPARED[sign](ours, theirs)


def _release(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


def _padded(release: list[int], length: int) -> list[int]:
    return [*release, *[0] * (length - len(release))]
