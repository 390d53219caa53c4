"""Directories for scratch files: programs of others write there."""

import os
import sys
from pathlib import Path

from shipwheel.cleanup.scratch import scratch_directory


def test_a_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    before = Path.cwd()
    try:
        with scratch_directory() as place:
            (place / "file").write_text("")
            os.chdir(place)
            Path("link").symlink_to(tmp_path)
            for _ in range(sys.getrecursionlimit()):
                Path("deep").mkdir()
                os.chdir("deep")
            os.chdir(before)
    finally:
        os.chdir(before)
    assert not place.exists() and tmp_path.is_dir()
