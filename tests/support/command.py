"""The shipwheel command, run as a process with the tests' cache as its store."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from shipwheel.testing import forks

__all__ = ["ROOT", "TEST_CACHE", "environment", "shipwheel", "shipwheel_json"]

ROOT = Path(__file__).parents[2]
"""The repository."""

TEST_CACHE = Path(os.environ.get("SHIPWHEEL_TEST_CACHE", ROOT / ".work" / "test-cache"))
"""Kept between test runs: what was downloaded, base images and compiled programs."""


def environment(store: Path = TEST_CACHE) -> dict[str, str]:
    """Return this process's environment with another store."""
    return {**os.environ, "SHIPWHEEL_CACHE": str(store)}


def shipwheel(*arguments: str | Path, store: Path = TEST_CACHE) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, whatever its exit code."""
    words = tuple(map(str, arguments))
    given = forks.without_start_variables(environment(store))
    return subprocess.CompletedProcess(words, *forks.run(forks.Command(None, words, str(Path.cwd()), given, -1)))


def shipwheel_json(*arguments: str | Path, store: Path = TEST_CACHE) -> dict[str, Any]:
    """Run a command with --json, which must succeed. Return its document."""
    done = shipwheel(*arguments, "--json", store=store)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document
