"""What is asked for: apart from the pipeline, which takes long to import, for commands that do not build."""

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
    """What is asked for. `settings` are the project's with the flags laid over them."""

    path: Path
    settings: Settings
    store: Store
    reporter: Reporter = silent
    workers: int = field(default_factory=lambda: max(2, os.cpu_count() or 1))
    upgrade_base: bool = False

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms, each once, in order."""
        return tuple(dict.fromkeys(Platform.parse(text) for text in self.settings.platforms))
