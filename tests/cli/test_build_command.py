"""What `shipwheel build` and `shipwheel plan` print, offline."""

import gzip
import json
import re
import shlex
from itertools import pairwise

import pytest

from shipwheel.testing.debian import FakeArchive
from shipwheel.testing.package_index import Fault
from shipwheel.testing.world import SUITE, World

SETTINGS = 'ports = [8000, "53/udp"]\nvolumes = ["/data", "/var/lib/x"]\n'


@pytest.fixture
def world(empty_world: World) -> World:
    """What is fetched is the subject of these tests."""
    return empty_world


@pytest.mark.parametrize("name", ["a b.tar", "a b.oci"])
def test_the_next_steps_can_be_pasted_into_a_shell(world: World, name: str) -> None:
    place = world.app("small\n", settings=SETTINGS)
    done = world.run("build", place, "--platform", "linux/amd64", "--no-bytecode", "-o", name)
    assert done.code == 0, done.err
    steps = [shlex.split(line.partition("   (")[0]) for line in done.err.partition("Next:\n")[2].splitlines()]
    assert steps[0] == ["shipwheel", "validate", name]
    assert world.run(*steps[0][1:]).code == 0
    if name.endswith(".tar"):
        assert steps[1] == ["docker", "load", "-i", name]
        flags = "--read-only --tmpfs /tmp -p 8000:8000 -p 53:53/udp -v shop-data:/data -v shop-var-lib-x:/var/lib/x"
        assert steps[2] == ["docker", "run", *flags.split(), "shop:latest"]
    else:
        assert steps[1:] == [["shipwheel", "run", name]], "an engine gives an image from a layout no name"


def test_plan_all_is_a_well_formed_tree(world: World) -> None:
    """Every line continues or ends each branch of the line above."""
    lines = world.run("plan", world.app("small\n"), "--all").out.splitlines()
    assert any(line.endswith(".whl") for line in lines)
    for before, after in pairwise(lines):
        if "├── " in before:
            column = before.index("├── ")
            assert after[column] in "├└│", f"{before}\n{after}"


@pytest.mark.parametrize(("setting", "rule"), [("command", "replace it"), ("entrypoint", "append to it")])
def test_plan_says_what_words_after_the_image_do(world: World, setting: str, rule: str) -> None:
    app = world.app("small\n")
    (app / "shipwheel.toml").write_text((app / "shipwheel.toml").read_text().replace("command", setting))
    assert f"`shipwheel run . -- WORDS` and `docker run IMAGE WORDS` {rule}." in world.run("plan", app).out
    assert world.run("plan", app, "--json").document["program"] == (setting == "entrypoint")


def test_warns_of_a_mirror_that_is_updated_only_if_a_library_was_missed(world: World, archive: FakeArchive) -> None:
    """Once for both platforms, and at the end, where it is seen."""
    contents = [path for path in world.mirror.paths if "Contents-" in path]
    assert contents
    for by_hash in [path for path in world.mirror.paths if "/by-hash/" in path]:
        data = world.mirror.data(by_hash)
        if any(world.mirror.data(path) == data for path in contents):
            world.mirror.fault(by_hash, Fault(status=404))
    for path in contents:
        lines = gzip.decompress(world.mirror.data(path))
        world.mirror.fault(path, Fault(data=gzip.compress(lines + b"usr/lib/other.so.1  libs/other\n")))
    done = world.build(world.app("small\nnative\n"))
    assert done.code == 0, done.err
    assert "warning:" not in done.err, "libfoo.so.1 was found in spite of it"
    for path in contents:
        world.mirror.fault(path, Fault(data=gzip.compress(b"usr/lib/other.so.1  libs/other\n")))
    done = world.build(world.app("small\nnative\n", "again"))
    warnings = [line for line in done.err.splitlines() if "out of date" in line]
    assert len(warnings) == 1
    assert "libfoo.so.1: no package was found" in warnings[0]
    assert f"Debian {SUITE.codename} amd64 and Debian {SUITE.codename} arm64" in warnings[0]
    assert "system " not in done.err.partition("out of date")[2]


def test_verbose_shows_requests_and_programs_without_credentials(world: World) -> None:
    place = world.app("small\n")
    env = {
        "UV_DEFAULT_INDEX": world.index.simple.replace("://", "://someone:s3cr3t-index@"),
        "SHIPWHEEL_DEBIAN_MIRROR": f"{world.mirror.url}/files/debian".replace("://", "://someone:s3cr3t-mirror@"),
    }
    ran = world.build(place, "--verbose", env=env)
    assert ran.code == 0, ran.err
    assert f"  GET {world.index.url}/files/small-1.0-py3-none-any.whl 200" in ran.err
    assert f"  GET {world.mirror.url}/files/debian/dists/{SUITE.codename}/InRelease 200" in ran.err
    assert "uv lock " in ran.err
    assert "s3cr3t" not in ran.err
    details = [line.split()[0] for line in ran.err.splitlines() if re.match(r"  (wheels|packages|lists|layers) +[0-9.]+ s", line)]
    assert {"wheels", "packages", "lists", "layers"} == set(details)
    again = world.build(place, env=env)
    assert "GET" not in again.err


def test_variables_of_the_trial_need_a_trial(world: World) -> None:
    done = world.run("build", world.app("small\n"), "--check-env", "TOKEN=1")
    assert done.code == 2
    assert "--check-env and --check-env-file need --check" in done.err


def test_the_timeline_has_each_stage_and_the_platforms_of_layers(world: World) -> None:
    place = world.app("small\n", settings=SETTINGS)
    done = world.run("build", place, "--platform", "linux/amd64", "-o", "a.oci", "--timeline", world.root / "t.json")
    assert done.code == 0, done.err
    events = [event for event in json.loads((world.root / "t.json").read_text())["traceEvents"] if event["ph"] == "X"]
    wanted = {"start", "lock", "base", "fetch", "wheels", "system", "write", "validate"}
    assert wanted <= {event["name"] for event in events if event["cat"] == "stage"}
    wanted = {"resolve", "plan", "download", "layer", "segment", "bytecode", "prove", "validate layer"}
    assert wanted <= {event["name"] for event in events if event["cat"] == "work"}
    assert {"hash", "compress"} <= {event["name"] for event in events if event["cat"] == "piece"}
    layers = {event["args"]["about"]: event["args"].get("platforms") for event in events if event["name"] == "layer"}
    assert layers["small 1.0"] == ["linux/amd64"]
    system = min(event["ts"] for event in events if event["name"] == "system")
    base = min(event["ts"] for event in events if event["name"] == "layer" and event["args"]["about"].startswith("Debian "))
    assert base < system, "the base that all apps share is made beside the wheels"


def test_an_edit_imports_nothing_that_locks_or_downloads(world: World) -> None:
    project = world.app("small\n")
    (project / "requirements.txt").unlink()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["small"]\n'
    )
    assert world.build(project).code == 0
    (project / "main.py").write_text('print("edited")\n')
    done = world.build(project, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.code == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines() if line.startswith("import time:")}
    assert "shipwheel.pipeline.build" in loaded
    slow = {"configparser", "httpx", "packaging.pylock", "packaging.requirements", "packaging.tags", "pathspec"}
    assert loaded & {*slow, "shipwheel.locking.make", "shipwheel.locking.uv", "shipwheel.locking.uv_output"} == set()
