"""The values that a trial comes to: findings, what to set because of them, and the verdict."""

from enum import Enum
from typing import Any

import msgspec

from shipwheel.settings.build import AssetSettings

__all__ = ["OUTSIDE", "Finding", "FindingKind", "Setting", "Verdict"]


class Verdict(Enum):
    """The result of a trial."""

    SERVES = "serves"
    """Something answers on an address that others can reach."""
    RUNS = "runs"
    """A program without a port runs until it is stopped."""
    ENDS = "ends"
    """A program without a port did its work, or said how to use it, and ended."""
    NEEDS = "needs"
    """It would go on if something outside the image were there: a database, a variable."""
    FAILS = "fails"
    """It does not serve."""

    @property
    def is_good(self) -> bool:
        """True if the image does what it is for, as far as that can be seen alone."""
        return self in (Verdict.SERVES, Verdict.RUNS, Verdict.ENDS)


class FindingKind(Enum):
    """The kinds of findings; the values are those of `check --json`."""

    NOT_STARTED = "not-started"
    ENDED = "ended"
    NO_LISTENER = "no-listener"
    LOOPBACK = "loopback"
    OTHER_PORT = "other-port"
    RANDOM_PORT = "random-port"
    ERROR_ANSWER = "error-answer"
    HOST_REFUSED = "host-refused"
    NO_ANSWER = "no-answer"
    NO_PAGE = "no-page"
    MODULE = "module"
    PACKAGE = "package"
    LIBRARY = "library"
    PROGRAM = "program"
    FILE = "file"
    NOT_WRITABLE = "not-writable"
    LOST_WRITES = "lost-writes"
    VARIABLE = "variable"
    COMPANION = "companion"
    TABLE = "table"
    USAGE = "usage"
    UNIMPORTABLE = "unimportable"
    DEVELOPMENT = "development-server"
    DEBUG = "debug"
    STATIC = "static-files"
    NOT_MADE = "not-made"
    PRIVILEGED_PORT = "privileged-port"
    TERMINAL = "terminal"
    LOCALE = "locale"
    THREAD = "thread"
    REDIRECT = "redirect"
    SLOW_STOP = "slow-stop"
    ZOMBIES = "zombies"


OUTSIDE = frozenset({FindingKind.VARIABLE, FindingKind.COMPANION, FindingKind.NOT_MADE})
"""Findings that explain why a program failed, whatever its packages are."""


class Setting(msgspec.Struct, frozen=True):
    """A value to add to the settings: to a list, to the table `env`, or in place of a value."""

    key: str
    value: str | tuple[str, ...] | dict[str, str] | tuple[AssetSettings, ...] | tuple[dict[str, Any], ...]


class Finding(msgspec.Struct, frozen=True):
    """One finding. `hint` is the next step, `setting` the setting that does it, `evidence` the line that it was read from.

    `blocks` is true if the image does not serve because of it. `subject` is the module, path, address or name that it is about.
    """

    kind: FindingKind
    message: str
    hint: str = ""
    subject: str = ""
    evidence: str = ""
    setting: Setting | None = None
    blocks: bool = False
