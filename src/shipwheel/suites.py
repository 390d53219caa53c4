"""The Debian suites that bases are composed of, and the Python that each ships."""

from datetime import date

import msgspec
from msgspec.structs import replace

from shipwheel.errors import UsageError
from shipwheel.versions import minor_version

__all__ = ["SUITES", "SUITES_BY_PREFERENCE", "Suite", "python_released", "suite_by_name", "suite_for", "without_python"]


class Suite(msgspec.Struct, frozen=True):
    """A Debian suite by its codename.

    `python` is the minor version that the suite ships ("3.11"), empty where the interpreter comes from elsewhere. `full_python` is the
    version, with its micro part, that the suite had when it was added here; `libc` is glibc's version at that time. Both serve as long as
    the suite's packages are not known. `python_released` is the day on which that minor version first came out. `released` is False for
    testing, which may lack an archive for updates or for security. `supported_until` is the last day of Debian's long-term support:
    some time later, mirrors have no security updates of the suite any more, although the signed release still lists them.
    """

    codename: str
    python: str
    full_python: str
    python_released: date
    libc: tuple[int, int]
    released: bool = True
    supported_until: date = date.max

    def releases(self) -> tuple[tuple[str, str], ...]:
        """Return (archive, codename of the release) for the suite, its updates and its security updates."""
        return (
            ("debian", self.codename),
            ("debian", f"{self.codename}-updates"),
            ("debian-security", f"{self.codename}-security"),
        )


_BULLSEYE = Suite("bullseye", "3.9", "3.9.2", date(2020, 10, 5), libc=(2, 31), supported_until=date(2026, 8, 31))
_BOOKWORM = Suite("bookworm", "3.11", "3.11.2", date(2022, 10, 24), libc=(2, 36))
_TRIXIE = Suite("trixie", "3.13", "3.13.5", date(2024, 10, 7), libc=(2, 41))
_FORKY = Suite("forky", "3.14", "3.14.0", date(2025, 10, 7), libc=(2, 41), released=False)

SUITES = (_BULLSEYE, _BOOKWORM, _TRIXIE, _FORKY)
"""All suites, the oldest first."""

SUITES_BY_PREFERENCE = (_TRIXIE, _BOOKWORM, _FORKY, _BULLSEYE)
"""The suites in the order in which their Pythons are tried for a project that accepts several."""


_PYTHONS_RELEASED = {
    **{suite.python: suite.python_released for suite in SUITES},
    "3.7": date(2018, 6, 27),
    "3.8": date(2019, 10, 14),
    "3.10": date(2021, 10, 4),
    "3.12": date(2023, 10, 2),
}
"""Minor version of Python -> the day on which it first came out."""


def python_released(minor: str) -> date:
    """Return the day on which a minor version of Python ("3.12") first came out; for an unknown one, a day before all."""
    return _PYTHONS_RELEASED.get(minor, date.min)


def suite_for(python: str) -> Suite:
    """Return the suite that ships a Python version ("3.11" or "3.11.2": the micro part is ignored). Raise UsageError if there is none."""
    minor = minor_version(python.strip())
    for suite in SUITES:
        if suite.python == minor:
            return suite
    available = ", ".join(f"{suite.python} ({suite.codename})" for suite in SUITES)
    raise UsageError(f"no Debian suite has Python {python}", hint=f"Available versions: {available}.")


def without_python(suite: Suite | None = None) -> Suite:
    """Return the suite, by default the newest released one, for a base whose interpreter comes from elsewhere."""
    return replace(suite or next(suite for suite in reversed(SUITES) if suite.released), python="")


def suite_by_name(codename: str) -> Suite:
    """Return the suite of that codename. Raise UsageError if it is unknown."""
    for suite in SUITES:
        if suite.codename == codename:
            return suite
    raise UsageError(f"unknown Debian suite {codename!r}", hint=f"Known suites: {', '.join(suite.codename for suite in SUITES)}.")
