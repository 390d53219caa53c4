"""`shipwheel check` with real engines: each says the same of the same image, and an interruption leaves nothing behind."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.command import shipwheel, shipwheel_json
from support.engines import Registry, wait_until
from support.made_once import made_once
from support.process import HANG_S
from support.run_target import SEES_EMULATORS, RunTarget
from support.trial_projects import PROJECTS

TRIED = ("server", "module", "write")
"""Projects whose verdicts need all that an engine is asked: sockets, output and an exit code, a root file system.

tests/trial has the others, and all of them in bubblewrap; test_containers.py asks each engine alone.
"""

OBSERVER = "Run an image.s command, watch it from inside"
"""The observer's first line, which is in the list of processes."""


@dataclass(frozen=True)
class Archives:
    """Built projects, each built when it is first needed."""

    factory: pytest.TempPathFactory

    def of(self, name: str, platform: str = "linux/amd64") -> Path:
        """Return the archive of a project for a platform."""

        def make(folder: Path) -> None:
            shipwheel_json("build", PROJECTS[name].write(folder / "shop"), "--platform", platform, "-o", folder / "image.tar")

        return made_once(self.factory, f"{name}-{platform.replace('/', '-')}", make) / "image.tar"


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """The archives of the small projects."""
    return Archives(tmp_path_factory)


def check(target: RunTarget, subject: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Run `shipwheel check --json`. Return its exit code and its document."""
    words = ("check", str(subject), "--engine", target.name, "--json", *more)
    if "--platform" in more:
        done = target.sandbox.run([*SEES_EMULATORS, sys.executable, "-m", "shipwheel", *words], check=False)
    else:
        done = target.shipwheel(*words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def observers(target: RunTarget) -> str:
    """Return the processes of the observer."""
    return target.sandbox.run(["pgrep", "-f", OBSERVER], check=False).stdout


@pytest.mark.parametrize("name", TRIED)
@pytest.mark.parametrize("target", ["docker", "podman", "containerd"], indirect=True)
def test_every_engine_says_the_same_of_an_image(target: RunTarget, archives: Archives, name: str) -> None:
    expected = PROJECTS[name]
    status, document = check(target, archives.of(name))
    found = {finding["kind"] for finding in document["findings"] if finding["blocks"]}
    assert (document["verdict"], found, status) == (expected.verdict, expected.blocking, expected.exit_code), document
    if name == "server":
        assert [(found["address"], found["port"]) for found in document["seen"]["sockets"]] == [("0.0.0.0", 8000)]
        assert document["seen"]["memory"] > 1 << 20
        assert document["seen"]["stop"]["killed"] is False
    if name == "write":
        assert [finding["setting"] for finding in document["findings"] if finding["setting"]] == [{"key": "state", "value": ["var/"]}]
    assert target.left() == ""


@pytest.mark.parametrize("target", ["docker", "bwrap"], indirect=True)
def test_an_image_of_another_platform_is_tried_by_emulation(target: RunTarget, archives: Archives, arm64: str) -> None:
    """With an engine and without one. test_run.py has how each of the others gets the image of the platform."""
    status, document = check(target, archives.of("server", arm64), "--platform", arm64)
    assert (status, document["verdict"]) == (0, "serves"), document
    assert [(found["address"], found["port"]) for found in document["seen"]["sockets"]] == [("0.0.0.0", 8000)]
    assert target.left() == ""


def test_an_interruption_leaves_no_container(target: RunTarget, archives: Archives) -> None:
    """The whole process group gets the signal, as from a terminal."""
    pid = target.sandbox.root / "check.pid"
    argv = [sys.executable, "-m", "shipwheel", "check", str(archives.of("worker")), "--engine", target.name, "--timeout", "3600"]
    process = target.sandbox.spawn(
        ["setsid", "--wait", "sh", "-c", 'echo $$ >"$0" && exec "$@"', str(pid), *argv], target.sandbox.root / "check.log"
    )

    def has_started() -> bool:
        return target.left() != "" if target.listing else observers(target) != ""

    wait_until(has_started, "the start of the container")
    target.sandbox.run(["kill", "-INT", "--", f"-{pid.read_text().strip()}"])
    assert process.wait(HANG_S) == 130, (target.sandbox.root / "check.log").read_text()
    assert target.left() == ""
    assert observers(target) == ""


def test_a_checked_build_of_a_broken_app_pushes_no_tag(registry: Registry, tmp_path: Path) -> None:
    project, repository = PROJECTS["server"].write(tmp_path), f"{registry.host}/checked/shop"
    arguments = ("build", project, "--platform", "linux/amd64", "--push", "--check", "bwrap", "-t")
    good = shipwheel(*arguments, f"{repository}:1")
    assert good.returncode == 0, good.stderr
    before = shipwheel_json("tags", repository)["tags"]
    PROJECTS["variable"].write(project)
    for tag in ("1", "2"):
        bad = shipwheel(*arguments, f"{repository}:{tag}")
        assert bad.returncode == 12, bad.stderr
    assert shipwheel_json("tags", repository)["tags"] == before
    (reference,) = good.stdout.split()
    assert shipwheel_json("inspect", f"{repository}:1")["digest"] == reference.rpartition("@")[2]
