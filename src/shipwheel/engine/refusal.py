"""Why an engine's program failed. docker, podman, nerdctl and ctr give no error codes, so their messages are searched, and only here.

The messages are in English: `program` runs the engines with the C locale.
"""

from enum import Enum, auto

from shipwheel.engine.program import Answer

__all__ = ["Refusal", "refusal"]


class Refusal(Enum):
    """Why an engine did not do what it was asked for, as far as its message says."""

    NAME_TAKEN = auto()
    """A container of that name exists."""
    NO_PERMISSION = auto()
    """The user may not use the engine."""
    NOT_RUNNING = auto()
    """The engine's daemon, or its virtual machine, does not answer."""
    OTHER = auto()


_SIGNS = (
    (Refusal.NAME_TAKEN, ("already in use", "already exists")),
    # Podman's advice about its virtual machine can follow a "permission denied" of the connection to it.
    (Refusal.NOT_RUNNING, ("connect to podman", "machine")),
    (Refusal.NO_PERMISSION, ("permission denied", "newuidmap")),
    (Refusal.NOT_RUNNING, ("cannot connect", "daemon running")),
)


def refusal(answer: Answer) -> Refusal:
    """Return why a program failed, from its standard error."""
    text = answer.errors.lower()
    return next((kind for kind, signs in _SIGNS if any(sign in text for sign in signs)), Refusal.OTHER)
