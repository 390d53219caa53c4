"""Same input, same bytes: in other surroundings, with other stores, and with all of it at once on a real project."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.command import TEST_CACHE

from shipwheel.oci.layout import read_layout
from shipwheel.testing.world import MINOR, CommandResult, World

PLATFORMS = "linux/amd64,linux/arm64"
EXAMPLES = Path(__file__).parents[2] / "examples"

MODULE = """
NAMES = {"alpha", "beta", None, 3.5, "gamma"}

def hello(name, *, loud=False):
    \"\"\"Greets.\"\"\"
    return (name in NAMES, loud in {1, 2, None}, f"{name!r}")
"""


@dataclass(frozen=True, slots=True)
class Vary:
    """What is otherwise than in the reference build."""

    folder: str = "first/shop"
    env: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o022
    workers: int = 2
    platforms: str = PLATFORMS
    cache: str = ""
    age: int = 0


def project(world: World, vary: Vary) -> Path:
    """The same app in a folder, with files whose order, size and modes could leak."""
    # A day of its own: at midnight, locks of two days would differ.
    folder = world.app("small\nnative\n", vary.folder, 'as-of = "2024-02-01"\n')
    (folder / "pkg").mkdir(exist_ok=True)
    for name in ("zeta", "alpha", "Beta", "ünicode"):
        (folder / "pkg" / f"{name}.py").write_text(MODULE)
    (folder / "data.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    if vary.age:
        for path in folder.rglob("*"):
            os.utime(path, (vary.age, vary.age))
    return folder


def built(world: World, vary: Vary) -> CommandResult:
    """A build with bytecode in a new store, unless `vary` names one that is there."""
    place = project(world, vary)
    cache = world.root / (vary.cache or f"cache-{abs(hash(vary.folder))}-{len(list(world.root.iterdir()))}")
    environment = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8", "SHIPWHEEL_CACHE": str(cache), **vary.env}
    output = place.with_name(f"{cache.name}.oci")
    ran = world.run(
        "build", place, "--platform", vary.platforms, "--json", "-o", output, env=environment, umask=vary.umask, workers=vary.workers
    )
    assert ran.code == 0, ran.err
    return ran


@pytest.fixture(scope="module")
def reference(shared_world: World) -> str:
    """The digest of the first build; its store stays for the warm one."""
    return built(shared_world, Vary(cache="reference")).digest


def test_bytecode_is_in_it(shared_world: World, reference: str) -> None:
    """Else most of what follows would prove little."""
    found = built(shared_world, Vary(cache="reference")).document
    layers = {layer["name"]: layer["size"] for layer in found["images"][0]["layers"]}
    assert found["digest"] == reference
    bare = shared_world.run("build", project(shared_world, Vary(folder="bare/shop")), "--no-bytecode", "--json", "-o", "bare.oci")
    without = {layer["name"]: layer["size"] for layer in bare.document["images"][0]["layers"]}
    assert layers["the source of shop"] > without["the source of shop"]


def config(world: World, place: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The config of the first image that is built of a project."""
    assert world.build(place, env=env).code == 0
    found: dict[str, Any] = json.loads(read_layout(world.output(place)).images().images[0].config)
    return found


def test_images_are_from_the_day_of_the_lock(shared_world: World) -> None:
    place = shared_world.app("small\n", "dated/shop")
    assert shared_world.run("lock", place).code == 0
    lock = place / "pylock.toml"
    day = tomllib.loads(lock.read_text())["tool"]["shipwheel"]["as-of"]
    found = config(shared_world, place)
    assert found["created"] == f"{day}T00:00:00Z"
    assert {line["created"] for line in found["history"]} == {f"{day}T00:00:00Z"}
    lock.write_text(lock.read_text().replace(day, "2024-02-29"))
    assert config(shared_world, place)["created"] == "2024-02-29T00:00:00Z", "the lock decides, not the clock"


def test_images_are_from_source_date_epoch(shared_world: World) -> None:
    place = shared_world.app("small\n", "epoch/shop")
    assert config(shared_world, place, {"SOURCE_DATE_EPOCH": "1700000000"})["created"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize("day", ["yesterday", "2024-02-30", "0000-01-01"])
def test_a_lock_of_no_day_is_an_error(shared_world: World, day: str) -> None:
    place = shared_world.app("small\n", "odd/shop")
    assert shared_world.run("lock", place).code == 0
    lock = place / "pylock.toml"
    lock.write_text(re.sub(r'as-of = "[^"]*"', f'as-of = "{day}"', lock.read_text()))
    done = shared_world.build(place)
    assert done.code == 4
    assert f"as-of is '{day}', which is not a day" in done.err


OTHERWISE = {
    "place, time zone, language, hash seed, workers": Vary(
        folder="another place/with spaces/shop",
        env={
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "tr_TR.ISO-8859-9",
            "LANG": "tr_TR.ISO-8859-9",
            "PYTHONUTF8": "0",
            "PYTHONHASHSEED": "4711",
        },
        workers=7,
    ),
    "umask, no language, one worker, times": Vary(
        folder="masked/shop", umask=0o077, env={"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}, workers=1, age=1_000_000_000
    ),
}
"""Builds that differ from the reference in several ways each: one build for each way would take ten seconds more."""


@pytest.mark.parametrize("vary", OTHERWISE.values(), ids=OTHERWISE)
def test_surroundings(shared_world: World, reference: str, vary: Vary) -> None:
    home = shared_world.root / "someone's home"
    home.mkdir(exist_ok=True)
    person = {"HOME": str(home), "USER": "someone", "LOGNAME": "someone"}
    assert built(shared_world, replace(vary, env={**person, **vary.env})).digest == reference
    modes = {path.name: path.stat().st_mode & 0o777 for path in (shared_world.root / vary.folder / "pkg").iterdir()}
    assert set(modes.values()) == {0o644}, "written by this process, not the build"


def test_umask_of_whoever_made_the_files(shared_world: World, reference: str) -> None:
    before = os.umask(0o007)
    try:
        assert built(shared_world, Vary(folder="own/shop", umask=0)).digest == reference
    finally:
        os.umask(before)


def test_warm_store(shared_world: World, reference: str) -> None:
    assert built(shared_world, Vary(cache="reference")).digest == reference


def test_store_that_another_project_warmed(shared_world: World, reference: str) -> None:
    built(shared_world, Vary(folder="first/shop", platforms="linux/arm64", cache="half-warm"))
    assert built(shared_world, Vary(folder="later/shop", cache="half-warm")).digest == reference


def test_four_builds_at_once_on_one_new_store(shared_world: World, reference: str) -> None:
    projects = [Vary(folder=f"at-once-{number}/shop", cache="at-once") for number in range(4)]
    with ThreadPoolExecutor(len(projects)) as pool:
        done = [*pool.map(lambda vary: built(shared_world, vary), projects)]
    assert {each.digest for each in done} == {reference}
    assert built(shared_world, Vary(folder="at-once-0/shop", cache="at-once")).digest == reference


def test_order_of_the_platforms(shared_world: World, reference: str) -> None:
    """The images are the same ones; the image index lists them as they were asked for."""
    there = built(shared_world, Vary(cache="reference")).document
    back = built(shared_world, Vary(folder="back/shop", platforms="linux/arm64,linux/amd64")).document
    digests = [{image["platform"]: image["digest"] for image in found["images"]} for found in (there, back)]
    assert digests[0] == digests[1]
    assert back["digest"] == reference


@pytest.mark.online
def test_everything_at_once_on_a_real_project(tmp_path: Path) -> None:
    """Two builds of examples/fastapi on the real base, with real bytecode: the second with the lock of the first, and an empty store.

    The first has what other tests have made of the base: a second cold build would take twenty seconds of a processor.
    """
    first = tmp_path / "a" / "fastapi"
    shutil.copytree(EXAMPLES / "fastapi", first, ignore=shutil.ignore_patterns(".*"))
    digests = [_real(first, TEST_CACHE, {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"}, umask=0o022, workers=1)]
    second = tmp_path / "somewhere else" / "fastapi"
    shutil.copytree(first, second)
    for path in second.rglob("*"):
        os.utime(path, (1_234_567_890, 1_234_567_890))
    variation = {"TZ": "Asia/Kathmandu", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "77", "PYTHONUTF8": "0"}
    digests.append(_real(second, tmp_path / "empty", variation, umask=0o077, workers=5))
    assert digests[0] == digests[1]


def _real(place: Path, store: Path, env: Mapping[str, str], *, umask: int, workers: int) -> str:
    program = f"import os, sys; os.cpu_count = lambda: {workers}; from shipwheel.cli import main; main()"
    command = [sys.executable, "-c", program, "build", str(place), "--platform", PLATFORMS, "--python", MINOR, "-q"]
    done = subprocess.run(
        [*command, "-o", str(place.with_name("out.oci"))],
        env={**os.environ, "SHIPWHEEL_CACHE": str(store), **env},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        umask=umask,
    )
    return done.stdout.strip()
