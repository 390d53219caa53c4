"""Containers in the background of each real engine: what a caller sees of them, and that nothing of them stays."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from support.engines import UNPRIVILEGED
from support.examples import Example
from support.run_target import RunTarget

STEPS = Path(__file__).parent.parent / "support" / "container_steps.py"


@pytest.fixture(scope="module")
def seen(target: RunTarget, fastapi: Example) -> dict[str, Any]:
    """What the program STEPS saw of the engine's containers."""
    done = target.sandbox.run([sys.executable, str(STEPS), target.name, str(fastapi.archive)])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_running_container_can_be_watched(seen: dict[str, Any]) -> None:
    for mode, user in (("read-only", UNPRIVILEGED), ("writable", 0)):
        each = seen[mode]
        assert each["running"] is True
        assert each["logs"].endswith("up\n")
        assert each["late logs"] is True
        assert each["look"] == [user, "/app", "a=b c", 8123], "a program inside sees the container's user, environment and network"
        assert each["status"] == 5
        assert each["missing"] in (1, 126, 127)


def test_a_container_ends_on_its_stop_signal(seen: dict[str, Any]) -> None:
    assert [seen[mode][key] for mode in ("read-only", "writable") for key in ("stop", "end")] == [7] * 4


def test_a_container_that_ignores_the_stop_signal_is_killed(seen: dict[str, Any]) -> None:
    assert seen["killed"] == 128 + signal.SIGKILL


def test_written_paths_are_listed(seen: dict[str, Any]) -> None:
    assert "cannot write /app/made/deep" in seen["read-only"]["logs"]
    assert seen["read-only"]["changes"] == []
    assert "cannot write" not in seen["writable"]["logs"]
    assert seen["writable"]["changes"] == ["/app/made/deep"]


def test_a_container_that_ended_by_itself_is_reported(seen: dict[str, Any]) -> None:
    assert seen["ends"] == [9, "no config\n", 9, []]


def test_a_missing_program_is_reported(seen: dict[str, Any]) -> None:
    assert "/no/such/program" in str(seen["missing"])


def test_nothing_stays(target: RunTarget, seen: dict[str, Any]) -> None:
    assert seen
    assert target.left() == ""
    assert not list(target.sandbox.folder("tmp").glob("shipwheel-*"))
    files = [Path(path) for mode in ("read-only", "writable") for path in seen[mode]["files"]]
    assert bool(files) == (target.name in ("containerd", "bwrap"))
    assert not [path for path in files if path.exists()]
