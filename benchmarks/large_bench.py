"""The large example, examples/chatchat, compared with an installation of the same wheels by uv."""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from measure import Cost, Peak, median, run
from ours import BOTH, NATIVE, Bench, sizes
from supply import Supply, environment, fresh, locked_files, warm
from table import Section, megabytes, ratio, seconds
from uv import find_uv_bin

from shipwheel.digest import Digest
from shipwheel.store import Store
from shipwheel.wheels.built_wheels import BuiltWheel

__all__ = ["large_section"]

PROJECT = Path(__file__).parents[1] / "examples" / "chatchat"
FLOOR = "uv pip install, bytecode compiled"


def large_section(root: Path, runs: int, say: Callable[[str], None]) -> Section:
    """Measure a cold build with all downloads in the store, a no-op, and an edit of one setting."""
    root.mkdir(parents=True, exist_ok=True)
    say("chatchat: fetching what is needed; this is not measured")
    project = fresh(PROJECT, root / "project")
    document = warm(project, root / "warm", root / "warm.oci", "--platform", BOTH)
    wheels = _wheels(project / "pylock.toml", Store(root / "warm"), root / "wheels")
    costs: dict[str, list[Cost]] = defaultdict(list)
    with Supply() as supply:
        bench = Bench(project, root, supply)
        for number in range(1, runs + 1):
            say(f"chatchat, run {number} of {runs}")
            _measure(bench, document, wheels, costs)
        say("chatchat: peak memory")
        _downloads_only(bench, root / "warm")
        peak = replace(bench, platforms=BOTH).memory()
    medians = {name: median(known) for name, known in costs.items()}
    floor = medians[FLOOR]
    rows = [[name, seconds(cost), ratio(cost.wall, floor.wall), ratio(cost.cpu, floor.cpu)] for name, cost in medians.items()]
    return Section("Langchain-Chatchat", ["", "s (CPU)", "times uv's", "times its CPU"], rows, _notes(document, peak))


def _measure(bench: Bench, document: Mapping[str, Any], wheels: Path, costs: dict[str, list[Cost]]) -> None:
    warm_store = bench.root / "warm"
    costs[FLOOR].append(_floor(bench.root, document, wheels))
    _downloads_only(bench, warm_store)
    costs[f"cold, {NATIVE}"].append(bench.build())
    costs[f"no-op, {NATIVE}"].append(bench.build())
    both = replace(bench, platforms=BOTH)
    _downloads_only(both, warm_store)
    costs["cold, amd64 + arm64"].append(both.build())
    costs["no-op, amd64 + arm64"].append(both.build())
    edited = replace(both, flags=("--env", "EDITED=1"))
    costs["one setting edited, amd64 + arm64"].append(edited.build())


def _downloads_only(bench: Bench, warm_store: Path) -> None:
    """Make a store with the files of the lock and the wheels built from sdists, but without anything derived from them."""
    bench.clean()
    source, target = Store(warm_store), Store(bench.store)
    if (warm_store / "records" / "built").exists():
        shutil.copytree(warm_store / "records" / "built", bench.store / "records" / "built")
    for digest in {*(item.digest for item in locked_files(bench.project / "pylock.toml")), *_built(source)}:
        if source.has(digest):
            target.path(digest).parent.mkdir(parents=True, exist_ok=True)
            os.link(source.path(digest), target.path(digest))


def _built(store: Store) -> dict[Digest, str]:
    """Return digest -> file name of the wheels built from sdists, whose builds would need an index."""
    records = (path.read_text().partition("\n")[2] for path in (store.root / "records" / "built").glob("*/*"))
    return {found.digest: found.filename for found in (msgspec.json.decode(record, type=BuiltWheel) for record in records)}


def _wheels(lock: Path, store: Store, folder: Path) -> Path:
    """Write the wheels under their names, for uv."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    locked = {item.digest: item.name for item in locked_files(lock) if item.name.endswith(".whl")}
    for digest, name in {**locked, **_built(store)}.items():
        if store.has(digest):
            os.link(store.path(digest), folder / name)
    return folder


def _floor(root: Path, document: Mapping[str, Any], wheels: Path) -> Cost:
    """Install with uv, an empty cache and local wheels: no tar, no compression, no digests. No tool can do less."""
    image = next(image for image in document["images"] if image["platform"] == NATIVE)
    available = {path.name.partition("-")[0].replace("_", "-").replace(".", "-").lower() for path in wheels.iterdir()}
    wanted = [f"{name}=={version}" for name, version in image["distributions"].items() if name in available]
    venv = root / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    shutil.rmtree(root / "uv-cache", ignore_errors=True)
    env = {**environment(), "UV_CACHE_DIR": str(root / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    uv = str(find_uv_bin())
    run([uv, "venv", "--quiet", "--python", "3.11", str(venv)], env=env, cwd=root, log=root / "log")
    argv = [uv, "pip", "install", "--quiet", "--python", str(venv), "--no-deps", "--offline", "--no-index", "--compile-bytecode"]
    return run([*argv, "--find-links", str(wheels), *wanted], env=env, cwd=root, log=root / "log")


def _notes(document: Mapping[str, Any], peak: Peak) -> list[str]:
    notes = []
    for image in document["images"]:
        found = sizes({"images": [image]}, image["platform"])
        parts = ", ".join(f"{name} {megabytes(size)}" for name, size in found.items())
        notes.append(
            f"{image['platform']}: {len(image['distributions'])} distributions, wheels {megabytes(image['wheel-bytes'])} MB; "
            f"image {megabytes(image['size'])} MB compressed; {parts} (MB)."
        )
    return [
        *notes,
        f"Peak memory, cold, amd64 + arm64: {megabytes(peak.tree)} MB, the largest process {megabytes(peak.process)}.",
        "Cold: downloads and wheels built of sdists are in the store, and nothing that is made of them.",
        "shipwheel composes the base, compiles the bytecode and validates all layers in that time.",
        "uv installs the same wheels from this disk with an empty cache, for one platform, and makes no image: the floor to compare with.",
    ]
