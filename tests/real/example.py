"""The examples as their readers build them, each once a session."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "STORE", "Example", "build", "shipwheel"]

ROOT = Path(__file__).parents[2]
STORE = Path(os.environ.get("SHIPWHEEL_TEST_CACHE", ROOT / ".work" / "test-cache"))


@dataclass(frozen=True)
class Example:
    """A built example: its copy, its archive, what the build said, and the peak memory of its largest process in bytes."""

    project: Path
    archive: Path
    result: dict[str, Any]
    peak: int

    def image(self, platform: str) -> dict[str, Any]:
        """What the build said of one platform."""
        found: dict[str, Any] = next(image for image in self.result["images"] if image["platform"] == platform)
        return found


def shipwheel(*words: str | Path, store: Path = STORE) -> tuple[dict[str, Any], int]:
    """Runs a command with --json in a process of its own: what it said, and its peak memory in bytes."""
    command = [sys.executable, "-m", "shipwheel", *map(str, words), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "SHIPWHEEL_CACHE": str(store)})
    assert process.stdout is not None
    with process.stdout as stream:
        output = stream.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return json.loads(output), usage.ru_maxrss * 1024


def build(name: str, folder: Path) -> Example:
    """Builds a copy of an example with the command line, as its reader would."""
    project, archive = folder / name, folder / f"{name}.tar"
    shutil.copytree(ROOT / "examples" / name, project, ignore=shutil.ignore_patterns("pylock*.toml"))
    result, peak = shipwheel("build", project, "--output", archive, "--tag", f"{name}:test")
    return Example(project, archive, result, peak)
