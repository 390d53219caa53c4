"""The page of the comparison: how many questions, how many agree, and of each difference the reason."""

import datetime
from dataclasses import dataclass

from selection_peers import Where

__all__ = ["Answer", "Run", "page"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One question: a version and a target. Files are names of wheels, empty for none; `why` is our reason for none."""

    name: str
    version: str
    where: Where
    ours: str
    why: str
    theirs: tuple[str, ...] = ()

    @property
    def agreed(self) -> bool:
        """Whether all took the same file, or none."""
        return set(self.theirs) == {self.ours}


@dataclass(frozen=True, slots=True)
class Run:
    """All answers of a day, and the peers' names with their versions, in the order of their files."""

    day: datetime.date
    peers: tuple[str, ...]
    answers: tuple[Answer, ...]


def page(run: Run) -> str:
    return "\n".join(f"{a.where}: {a.name} {a.version}: {a.ours!r} ({a.why}) {a.theirs}" for a in run.answers if not a.agreed)
