"""The examples of the repository, built as their readers would."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.command import ROOT, environment
from support.memory import PeakMemory

__all__ = ["Example", "build_example"]


@dataclass(frozen=True)
class Example:
    """A built example: the copy of its project, its archive, the build's document, and its peak memory in bytes."""

    project: Path
    archive: Path
    result: dict[str, Any]
    peak: int

    def image(self, platform: str) -> dict[str, Any]:
        """Return the part of the build's document for one platform."""
        found: dict[str, Any] = next(image for image in self.result["images"] if image["platform"] == platform)
        return found


def build_example(name: str, folder: Path) -> Example:
    """Build a copy of an example for both platforms with the command line."""
    project, archive = folder / name, folder / f"{name}.tar"
    shutil.copytree(ROOT / "examples" / name, project, ignore=shutil.ignore_patterns("pylock*.toml"))
    command = [sys.executable, "-m", "shipwheel", "build", str(project), "-o", str(archive), "-t", f"{name}:test", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as process, PeakMemory(process.pid) as peak:
        output, _ = process.communicate()
    assert process.returncode == 0
    return Example(project, archive, json.loads(output), peak.bytes)
