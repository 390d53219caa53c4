"""Progress and warnings as frozen values. Only the command line turns them into text."""

from collections.abc import Callable

import msgspec

__all__ = ["Event", "Moved", "Reporter", "StageFinished", "StageStarted", "Warned", "format_size", "silent"]


class StageStarted(msgspec.Struct, frozen=True):
    """A stage has started. `total` is the amount of work in `unit` ("bytes" or "items"), 0 if unknown."""

    stage: str
    total: int = 0
    unit: str = "items"


class Moved(msgspec.Struct, frozen=True):
    """An item of a stage has made progress: `done` of `total` units. `item` is a digest or a file name."""

    stage: str
    item: str
    done: int
    total: int


class StageFinished(msgspec.Struct, frozen=True):
    """A stage has succeeded. `summary` is one short line for the user.

    A `notable` stage changed something outside the store: it is reported even if it took no time.
    """

    stage: str
    summary: str = ""
    notable: bool = False


class Warned(msgspec.Struct, frozen=True):
    """A problem that the user should know about, although the work goes on."""

    message: str
    hint: str = ""


Event = StageStarted | Moved | StageFinished | Warned
Reporter = Callable[[Event], None]
"""A function that receives events, from any thread."""


def silent(_event: Event) -> None:
    """Ignore an event: the default reporter."""


def format_size(size: int) -> str:
    """Return a number of bytes in kB or MB; a few kB are not rounded to 0.0 MB."""
    return f"{size / 1e3:.1f} kB" if 0 < size < 100_000 else f"{size / 1e6:.1f} MB"
