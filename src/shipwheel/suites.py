"""The Debian suites that give an interpreter."""

from dataclasses import dataclass, replace

from shipwheel.errors import UsageError
from shipwheel.versions import minor_version

__all__ = ["SUITES", "Suite", "suite_by_name", "suite_for", "without_python"]


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite by its codename, with the minor version of Python that it brings; empty where that is not taken from it.

    `settled` is false for the suite in testing, which may have no updates or security archive. `facts` are Python's full version and
    libc's as the suite was first known with them: what counts where its packages have not been asked for.
    """

    codename: str
    python: str
    settled: bool = True
    facts: tuple[str, tuple[int, int]] = ("3.0.0", (2, 17))

    def releases(self) -> tuple[tuple[str, str], ...]:
        """(archive, codename of the release) of all that is merged: the suite, its updates, its security updates."""
        return (
            ("debian", self.codename),
            ("debian", f"{self.codename}-updates"),
            ("debian-security", f"{self.codename}-security"),
        )


SUITES = (
    Suite("bullseye", "3.9", facts=("3.9.2", (2, 31))),
    Suite("bookworm", "3.11", facts=("3.11.2", (2, 36))),
    Suite("trixie", "3.13", facts=("3.13.5", (2, 41))),
    Suite("forky", "3.14", settled=False, facts=("3.14.0", (2, 41))),
)


def suite_for(python: str) -> Suite:
    """The suite that brings this version (`3.11`; of `3.11.2` the last part is not looked at); raises UsageError."""
    minor = minor_version(python)
    for suite in SUITES:
        if suite.python == minor:
            return suite
    known = ", ".join(f"{suite.python} ({suite.codename})" for suite in SUITES)
    raise UsageError(f"no Debian suite has Python {python}", hint=f"Versions that can be had: {known}.")


def without_python(suite: Suite | None = None) -> Suite:
    """A suite, else the newest that is settled, for bases whose interpreter comes from elsewhere."""
    return replace(suite or next(suite for suite in reversed(SUITES) if suite.settled), python="")


def suite_by_name(codename: str) -> Suite:
    """The suite of that codename; raises UsageError."""
    for suite in SUITES:
        if suite.codename == codename:
            return suite
    raise UsageError(f"the Debian suite {codename!r} is not known", hint=f"Known are: {', '.join(suite.codename for suite in SUITES)}.")
