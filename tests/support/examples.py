"""The examples of the repository, built as their readers would."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.command import environment
from support.memory import PeakMemory

__all__ = ["Example", "build_example"]


@dataclass(frozen=True)
class Example:
    """A built example: the directory of its project, its archive, the build's document, and its peak memory in bytes."""

    project: Path
    archive: Path
    result: dict[str, Any]
    peak: int

    def image(self, platform: str) -> dict[str, Any]:
        """Return the part of the build's document for one platform."""
        found: dict[str, Any] = next(image for image in self.result["images"] if image["platform"] == platform)
        return found


def build_example(project: Path, words: Sequence[str], archive: Path) -> Example:
    """Run a command line, without `shipwheel`, that builds an example for both platforms into an archive."""
    command = [sys.executable, "-m", "shipwheel", *words, "--json"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=project, env=environment(), text=True) as process,
        PeakMemory(process.pid) as peak,
    ):
        output, _ = process.communicate()
    assert process.returncode == 0
    return Example(project, archive, json.loads(output), peak.bytes)
