"""A build's request, separate from the pipeline, which is slow to import and which some commands do not need."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from shipwheel.events import Reporter, silent
from shipwheel.platform import Platform
from shipwheel.settings import Settings
from shipwheel.store import Store

__all__ = ["Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to build: a project at `path`, and `settings` that already include the flags.

    `workers` is the number of threads; `upgrade_base` takes the newest base instead of the locked one.
    """

    path: Path
    settings: Settings
    store: Store
    reporter: Reporter = silent
    workers: int = field(default_factory=lambda: max(2, os.cpu_count() or 1))
    upgrade_base: bool = False

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms of the settings, without duplicates, in order. Raises UsageError for an unknown one."""
        return tuple(dict.fromkeys(Platform.parse(text) for text in self.settings.platforms))
