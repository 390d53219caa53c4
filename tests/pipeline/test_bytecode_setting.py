"""The setting `bytecode`: all modules, those that a start imported, or none."""

import json
import tarfile
from pathlib import Path

import pytest

from shipwheel.locking.pylock import read_lock
from shipwheel.oci.layout import read_layout
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World

FILES = dict.fromkeys(("many/__init__.py", "many/used.py", "many/unused.py", "many/deep/more.py"), "X = 1\n")
ONE, BOTH = ("--platform", "linux/amd64"), ("--platform", "linux/amd64,linux/arm64")


@pytest.fixture(scope="module")
def many_world(shared_world: World) -> World:
    """A world with a package of four modules."""
    shared_world.add(SmallWheel("many", files=FILES), SmallWheel("other", files={"other.py": "X = 1\n"}))
    return shared_world


def layer_paths(layout: Path) -> list[str]:
    """Return the paths of all files in the layers of all images of a layout."""
    found: list[str] = []
    for layer in (layer for image in read_layout(layout).images().images for layer in image.layers):
        with tarfile.open(layout / "blobs" / layer.descriptor.digest.replace(":", "/")) as archive:
            found += archive.getnames()
    return found


def compiled(world: World, place: Path, *flags: str) -> tuple[list[str], str, str]:
    """Build, and return the modules below site-packages that have bytecode, the digest, and the error output."""
    done = world.run("build", place, "--json", "-o", world.output(place), *ONE, *flags)
    assert done.code == 0, done.err
    found = [path for path in layer_paths(world.output(place)) if path.endswith(".pyc") and "site-packages" in path]
    names = sorted(name.partition("site-packages/")[2].replace("__pycache__/", "").partition(".cpython")[0] for name in found)
    return names, done.digest, done.err


ALL = ["many/__init__", "many/deep/more", "many/unused", "many/used"]


def record(place: Path, imports: dict[str, list[str]]) -> None:
    lock = read_lock(place / "pylock.toml")
    assert lock is not None
    lock.with_imports(imports).write()


def test_compiles_what_the_setting_says(many_world: World) -> None:
    place = many_world.app("many\n", "shop-used", 'bytecode = "used"\n')
    names, every, err = compiled(many_world, place)
    assert names == ALL, "no start was recorded"
    assert "does not say which modules a start imports" in err
    assert "shipwheel startup --record" in err
    record(place, {"many": ["many", "many.used", "many.of_an_older_version"]})
    names, used, err = compiled(many_world, place)
    assert names == ["many/__init__", "many/used"]
    assert used != every
    assert "shipwheel startup" not in err
    assert compiled(many_world, place, "--bytecode", "all")[:2] == (ALL, every)
    assert compiled(many_world, place, "--bytecode")[0] == ALL
    assert compiled(many_world, place, "--no-bytecode")[0] == []
    assert compiled(many_world, place, "--bytecode", "none")[0] == []


def test_a_new_lock_keeps_what_was_recorded_and_compiles_all_of_a_new_package(many_world: World) -> None:
    place = many_world.app("many\n", "shop-later", 'bytecode = "used"\n')
    compiled(many_world, place)
    record(place, {"many": ["many.used"]})
    (place / "requirements.txt").write_text("many\nother\n")
    assert compiled(many_world, place)[0] == ["many/used", "other"]
    lock = read_lock(place / "pylock.toml")
    assert lock is not None
    assert lock.imports == {"many": ("many.used",)}
    record(place, {"many": [], "other": []})
    assert compiled(many_world, place)[0] == []


def test_a_wrong_kind_of_bytecode_says_what_there_is(many_world: World) -> None:
    place = many_world.app("many\n", "shop-wrong")
    done = many_world.run("build", place, "--bytecode", "some")
    assert done.code == 2
    assert 'Write "all", "used" or "none".' in done.err


def test_each_module_is_compiled_once_for_both_platforms(world: World) -> None:
    """Also if it is in a wheel for each: the layers of both are made at a time."""
    place, timeline = world.app("small\nnative\n"), world.root / "timeline.json"
    done = world.run("build", place, "-o", world.output(place), *BOTH, "--timeline", timeline)
    assert done.code == 0, done.err
    events = [event for event in json.loads(timeline.read_text())["traceEvents"] if event["name"] == "bytecode"]
    compiled = sum(int(event["args"]["about"].split()[0]) for event in events)
    paths = [path for path in layer_paths(world.output(place)) if path.endswith(".pyc")]
    assert len(paths) == 2 * len(set(paths)), "both platforms have all of them"
    assert compiled == len(set(paths)) > 5
