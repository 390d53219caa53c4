"""Builds that must not change the lock: --locked checks it, --frozen takes it as it is."""

import json
import shutil
from pathlib import Path

import pytest

from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World

ONE = ("--platform", "linux/amd64")


@pytest.fixture
def built(world: World) -> Path:
    """A project with a lock that one platform's build completed."""
    place = world.app("small\n")
    assert world.build(place, *ONE).code == 0
    return place


def unchanged(world: World, place: Path, *flags: str, code: int = 0, words: tuple[str, ...] = ()) -> None:
    """Assert that a build ends with this exit code and these words, leaves the lock as it was, and resolves nothing."""
    lock = place / "pylock.toml"
    before, asked = lock.read_bytes() if lock.exists() else None, len(world.index.requests)
    ran = world.build(place, *ONE, *flags)
    assert ran.code == code, ran.err
    assert [word for word in words if word not in ran.err] == [], ran.err
    assert (lock.read_bytes() if lock.exists() else None) == before
    assert not [request.path for request in world.index.requests[asked:] if "/simple/" in request.path]


@pytest.mark.parametrize("flag", ["--locked", "--frozen"])
def test_builds_with_a_current_lock(world: World, built: Path, flag: str) -> None:
    unchanged(world, built, flag)


@pytest.mark.parametrize("flag", ["--locked", "--frozen"])
def test_fails_without_a_lock(world: World, flag: str) -> None:
    unchanged(world, world.app("small\n"), flag, code=4, words=("there is no pylock.toml", "shipwheel lock", flag))


def test_locked_fails_if_the_project_changed(world: World, built: Path) -> None:
    (built / "requirements.txt").write_text("small\nnative\n")
    unchanged(world, built, "--locked", code=4, words=("pylock.toml is out of date: requirements.txt changed", "leave out --locked"))
    assert world.build(built, *ONE).code == 0
    unchanged(world, built, "--locked")


def test_frozen_builds_the_locked_packages_whatever_changed(world: World, built: Path) -> None:
    world.add(SmallWheel("small", "2.0"))
    (built / "requirements.txt").write_text("small>=2\nnative\n")
    ran = world.build(built, *ONE, "--frozen")
    assert ran.document["images"][0]["distributions"] == {"small": "1.0", "tiny": "1.0"}
    unchanged(world, built, "--frozen")


def test_frozen_takes_the_python_of_the_lock(world: World) -> None:
    place = world.app("small\n")
    settings = (place / "shipwheel.toml").read_text()
    assert world.build(place, *ONE).code == 0
    (place / "shipwheel.toml").write_text("\n".join(line for line in settings.splitlines() if not line.startswith("python")))
    unchanged(world, place, "--frozen")


@pytest.mark.parametrize("flag", ["--locked", "--frozen"])
def test_fails_if_the_lock_has_no_base(world: World, flag: str) -> None:
    place = world.app("small\n")
    assert world.run("lock", place).code == 0
    unchanged(world, place, flag, code=4, words=("pylock.toml does not have the whole base for linux/amd64", flag))


def test_fails_if_the_base_lacks_a_named_package(world: World, built: Path) -> None:
    unchanged(world, built, "--locked", "--package", "libfoo1", code=4, words=("does not have the whole base for linux/amd64",))


@pytest.mark.parametrize("flags", [("--locked", "--frozen"), ("--locked", "--upgrade-base"), ("--frozen", "--upgrade-base")])
def test_contradictions_are_usage_errors(world: World, built: Path, flags: tuple[str, ...]) -> None:
    unchanged(world, built, *flags, code=2, words=("cannot be combined",))


def test_plan_writes_no_lock_either(world: World) -> None:
    place = world.app("small\n")
    ran = world.run("plan", place, "--locked")
    assert (ran.code, "there is no pylock.toml" in ran.err) == (4, True)
    assert not (place / "pylock.toml").exists()


def test_makes_the_layers_of_a_locked_base_beside_those_of_wheels(world: World, built: Path, tmp_path: Path) -> None:
    shutil.rmtree(world.cache / "records")
    ran = world.build(built, *ONE, "--timeline", tmp_path / "t.json")
    assert ran.code == 0, ran.err
    events = [event for event in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if event["ph"] == "X"]
    made = {event["args"]["about"]: event["ts"] for event in events if event["name"] == "layer"}
    wheels = next(event for event in events if (event["name"], event["cat"]) == ("wheels", "stage"))
    later = [name for name, begin in made.items() if begin > wheels["ts"] + wheels["dur"]]
    assert "system files" in made
    assert later == []
