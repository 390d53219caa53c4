"""Measure pushes to registries with the habits of real ones and write the table: `python scripts/registries.py docs/registries.md`."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.registry_table import make_app, measure, page

from shipwheel.testing.real_registries import REAL_REGISTRIES
from shipwheel.testing.world import World, fill, make_archive


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)) as world:
        fill(world, make_archive(Path(folder, "archive")))
        project = make_app(world)
        Path(sys.argv[1]).write_text(page([measure(world, project, real) for real in REAL_REGISTRIES]), encoding="utf-8")


if __name__ == "__main__":
    main()
