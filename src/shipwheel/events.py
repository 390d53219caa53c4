"""Progress and warnings as frozen values. Only the command line turns them into text."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

__all__ = ["Event", "Moved", "Reporter", "StageFinished", "StageStarted", "Warned", "format_size", "silent", "stage"]


class StageStarted(msgspec.Struct, frozen=True):
    """A stage has started. `total` is the amount of work in `unit` ("bytes" or "items"), 0 if unknown.

    A `detail` is part of another stage, such as its downloads: the command line shows it while it lasts, and leaves no line for it.
    """

    stage: str
    total: int = 0
    unit: str = "items"
    detail: bool = False


class Moved(msgspec.Struct, frozen=True):
    """An item of a stage has made progress: `done` of `total` units. `item` is a digest or a file name."""

    stage: str
    item: str
    done: int
    total: int


class StageFinished(msgspec.Struct, frozen=True):
    """A stage has succeeded. `summary` is one short line for the user; if it is empty, the summaries of the stage's details are shown.

    A `notable` stage changed something outside the store: it is reported even if it took no time.
    """

    stage: str
    summary: str = ""
    notable: bool = False


class Warned(msgspec.Struct, frozen=True):
    """A problem that the user should know about, although the work goes on.

    A `lasting` one is of the project or its settings, so that every build tells it, and not of what this one met on its way.
    """

    message: str
    hint: str = ""
    lasting: bool = False


Event = StageStarted | Moved | StageFinished | Warned
Reporter = Callable[[Event], None]
"""A function that receives events, from any thread."""


def silent(_event: Event) -> None:
    """Ignore an event: the default reporter."""


@contextmanager
def stage(reporter: Reporter, name: str) -> Iterator[None]:
    """Report the block as a stage, whose details tell what was done."""
    reporter(StageStarted(name))
    yield
    reporter(StageFinished(name))


def format_size(size: int) -> str:
    """Return a number of bytes in kB or MB; a few kB are not rounded to 0.0 MB."""
    return f"{size / 1e3:.1f} kB" if 0 < size < 100_000 else f"{size / 1e6:.1f} MB"
