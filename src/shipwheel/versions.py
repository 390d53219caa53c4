"""Names and versions of Python packages in their normal forms, and the instant after which an index's files no longer count."""

import re
from datetime import date, timedelta

__all__ = ["end_of_day", "minor_number", "minor_version", "normalized"]


def normalized(name: str) -> str:
    """Return a Python package's name in its normal form: lower case, with single dashes (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
