"""What happens during long work, as frozen values. Only the command line turns them into text."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Event", "Moved", "Reporter", "StageFinished", "StageStarted", "Warned", "format_size", "silent"]


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage began; `total` is in the unit that its `Moved` events count ("bytes" or "items"), 0 when unknown."""

    stage: str
    total: int = 0
    unit: str = "items"


@dataclass(frozen=True, slots=True)
class Moved:
    """`item` (a digest or a file name) of a stage has `done` of `total` units behind it."""

    stage: str
    item: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage ended well; `summary` is one short line for the user.

    A `notable` stage changed something outside the store: it is reported even if it took no time.
    """

    stage: str
    summary: str = ""
    notable: bool = False


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know that does not stop the work."""

    message: str
    hint: str = ""


Event = StageStarted | Moved | StageFinished | Warned
Reporter = Callable[[Event], None]
"""Takes events from any thread."""


def silent(_event: Event) -> None:
    """The default reporter."""


def format_size(size: int) -> str:
    """Bytes as people read them; a few kB should not look like nothing."""
    return f"{size / 1e3:.1f} kB" if 0 < size < 100_000 else f"{size / 1e6:.1f} MB"
