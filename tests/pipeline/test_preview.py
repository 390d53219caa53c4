"""A plan refuses what the build refuses, downloads next to nothing, and says what the layers will hold."""

from pathlib import Path

import pytest
from support.sdist import sdist

from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, World

ONE = ("--platform", "linux/amd64")


@pytest.fixture
def world(empty_world: World) -> World:
    """What is fetched is the subject of these tests."""
    return empty_world


def requested(world: World) -> list[str]:
    """Return the names of the packages that were asked for: wheels, sdists and Debian packages."""
    paths = [request.path for server in (world.index, world.mirror) for request in server.requests]
    return [path.rpartition("/")[2] for path in paths if path.endswith((".whl", ".tar.gz", ".deb"))]


def refused_by_both(world: World, place: Path, code: int, words: str) -> None:
    """Assert that plan and build fail with the same message. The plan comes first."""
    planned = world.run("plan", place, *ONE)
    built = world.build(place, *ONE)
    assert (planned.code, built.code) == (code, code), planned.err
    message = planned.err.partition("error: ")[2]
    assert words in message
    assert message == built.err.partition("error: ")[2]
    assert planned.out == ""


def test_refuses_a_package_that_must_be_compiled(world: World) -> None:
    compiling = sdist("compiled", build="import subprocess\nsubprocess.run(['cc', '--version'], check=True)\n")
    world.index.add("compiled-1.0.tar.gz", compiling)
    refused_by_both(world, world.app("small\ncompiled\n"), 5, "which compiling needs")


def test_refuses_a_package_in_rust_where_there_are_no_compilers(world: World) -> None:
    world.index.add("rusty-1.0.tar.gz", sdist("rusty", build='raise SystemExit("can\'t find Rust compiler")\n'))
    planned = world.run("plan", world.app("small\nrusty\n"), *ONE)
    assert (planned.code, "which compiling needs" in planned.err) == (5, True), planned.err


def test_warns_of_settings_for_the_build_of_a_package_with_a_wheel(world: World) -> None:
    planned = world.run("plan", world.app("small\n", settings='[build.Small]\npackages = ["swig"]\n'), *ONE)
    assert (planned.code, "[tool.shipwheel.build.small] has no effect" in planned.err) == (0, True), planned.err


def test_names_what_the_index_has_in_place_of_a_source_that_cannot_be_built(world: World) -> None:
    world.index.add("rusty-1.0.tar.gz", sdist("rusty", build='raise SystemExit("it is Friday")\n'))
    world.add(SmallWheel("rusty", "0.9"), SmallWheel("rusty_binary", "1.0"))
    planned = world.run("plan", world.app("small\nrusty\n"), *ONE)
    assert (planned.code, "it is Friday" in planned.err) == (7, True), planned.err
    assert "nearest versions with files: 0.9 (older)" in planned.err and "required by: requirements.txt, line 2" in planned.err
    assert 'choose rusty 0.9, or rusty-binary 1.0 ([tool.shipwheel.replace] rusty = "rusty-binary==1.0")' in planned.err
    assert not [name for name in requested(world) if name.startswith(("gcc", "g++"))]


def test_a_project_that_cannot_be_compiled_goes_into_the_image_as_it_is(world: World) -> None:
    place = world.app("small\n")
    backend = "import subprocess\ndef build_wheel(*_):\n    subprocess.run(['cc', 'fast.c'], check=True)\n"
    (place / "backend.py").write_text(backend)
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "shop"\nversion = "1"\n'
    )
    planned = world.run("plan", place, *ONE)
    assert planned.code == 0, planned.err
    assert "the project's wheel cannot be built" in planned.err
    assert "the source of shop" in planned.out


def test_says_why_the_wheel_that_might_have_a_module_was_not_built(world: World) -> None:
    place = world.app("small\n")
    (place / "backend.py").write_text("def build_wheel(*_):\n    raise SystemExit('fast.c:2: error: it is Friday')\n")
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "shop"\nversion = "1"\n'
    )
    (place / "main.py").write_text("import fast\n")
    (place / "shipwheel.toml").write_text(f'python = "{MINOR}"\ncommand = ["python", "main.py"]\n')
    built = world.build(place, *ONE)
    assert built.code == 8
    assert "main.py, line 1: fast\nThe project's own wheel might have them, but was not built: " in built.err
    assert "fast.c:2: error: it is Friday" in built.err.partition("error: ")[2]


def test_refuses_a_command_that_is_not_in_the_image(world: World) -> None:
    place = world.app("small\n")
    (place / "shipwheel.toml").write_text(f'python = "{MINOR}"\ncommand = ["serveit", "main:app"]\n')
    refused_by_both(world, place, 8, "serveit is not in it")


def test_refuses_a_script_of_the_project_that_is_not_there(world: World) -> None:
    place = world.app("small\n")
    (place / "shipwheel.toml").write_text(f'python = "{MINOR}"\ncommand = ["./start.sh"]\n')
    refused_by_both(world, place, 8, "./start.sh is not in it")
    (place / "start.sh").write_text("#!/bin/sh\n")
    assert world.run("plan", place, *ONE).code == 0


def test_fetches_only_the_wheel_that_has_the_command(world: World) -> None:
    scripts = {"serveit.py": "def main(): ...\n", "serveit-1.0.dist-info/entry_points.txt": "[console_scripts]\nserveit = serveit:main\n"}
    world.add(SmallWheel("serveit", files=scripts))
    place = world.app("small\nserveit\n")
    (place / "shipwheel.toml").write_text(f'python = "{MINOR}"\ncommand = ["serveit"]\n')
    planned = world.run("plan", place, *ONE)
    assert planned.code == 0, planned.err
    assert sorted(requested(world)) == ["serveit-1.0-py3-none-any.whl", "tini_1.0-1_amd64.deb"]


def test_python_is_in_every_image(world: World) -> None:
    planned = world.run("plan", world.app("small\nnative\n"), "--no-init", *ONE)
    assert planned.code == 0, planned.err
    assert requested(world) == []


def test_a_command_in_a_debian_package_is_found(world: World) -> None:
    place = world.app("small\n")
    (place / "shipwheel.toml").write_text(f'python = "{MINOR}"\ncommand = ["tini-static", "-V"]\npackages = ["tini"]\n')
    planned = world.run("plan", place, *ONE)
    assert planned.code == 0, planned.err


def test_says_whether_it_wrote_the_lock(world: World) -> None:
    place = world.app("small\n")
    first, second = world.run("plan", place, *ONE), world.run("plan", place, *ONE)
    assert "(written just now)" in first.out
    assert "(not changed)" in second.out
    assert world.run("plan", place, *ONE, "--json").document["lock_written"] is False


def test_shows_what_the_layers_hold(world: World) -> None:
    place = world.app("small\nnative\n")
    before = world.run("plan", place, *ONE, "--no-bytecode")
    assert "at least" in before.out
    assert "%  virtual environment" in before.out
    assert "tiny" in before.out
    assert world.build(place, *ONE).code == 0
    after = world.run("plan", place, *ONE, "--no-bytecode", "--json").document["platforms"][0]["layers"]
    layout = world.run("inspect", world.output(place), "--json").document["images"][0]["layers"]
    assert [(layer["name"], layer["size"]) for layer in after] == [(layer["name"], layer["size"]) for layer in layout]
    assert all(layer["made"] for layer in after)


def test_the_build_reuses_what_the_plan_built(world: World) -> None:
    world.index.add("sourced-1.0.tar.gz", sdist("sourced"))
    place = world.app("small\nsourced\n")
    assert "s  sourced 1.0" in world.run("plan", place, *ONE).err
    assert "s  sourced 1.0" not in world.build(place, *ONE).err
