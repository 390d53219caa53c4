"""The large example, examples/chatchat, beside a Dockerfile like its project's own, and beside a mere installation of its wheels by uv."""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from measure import Cost, Peak, figures, median, run
from ours import BOTH, NATIVE, Bench, sizes
from peers import Inputs, Peer, running, unavailable
from supply import Supply, environment, fresh, locked_files, warm
from support.engines import Registry
from table import Section, megabytes, ratio, seconds
from tools import pip_wheel
from uv import find_uv_bin

from shipwheel.digest import Digest
from shipwheel.store.store import Store
from shipwheel.wheels.built_wheels import BuiltWheel

__all__ = ["large_section"]

PROJECT = Path(__file__).parents[1] / "examples" / "chatchat"
FLOOR = "uv pip install, bytecode compiled"
PEER = "BuildKit"
COLD, NO_OP, EDITED = "cold", "no-op", "one line edited"

Costs = dict[str, list[Cost]]


def large_section(root: Path, runs: int, say: Callable[[str], None]) -> Section:
    """Measure cold builds with all downloads in the store, a no-op and an edit, each with a push, and the peer's."""
    root.mkdir(parents=True, exist_ok=True)
    say("chatchat: fetching what is needed; this is not measured")
    project = fresh(PROJECT, root / "project")
    document = warm(project, root / "warm", root / "warm.oci", "--platform", BOTH)
    shutil.rmtree(root / "warm.oci")
    wheels = _wheels(project / "pylock.toml", Store(root / "warm"), root / "wheels")
    base = _base(root, document)
    costs: dict[str, Costs] = defaultdict(lambda: defaultdict(list))
    why = unavailable(PEER)
    with Supply() as supply, ExitStack() as stack:
        for path in wheels.iterdir():
            supply.index.add(path.name, path.read_bytes())
        peer_project = _peer_project(root, document, wheels)
        inputs = Inputs(peer_project, base, supply.index.simple, root / PEER, NATIVE, {"tools": pip_wheel(root / "tools")})
        peer = None if why else stack.enter_context(running(PEER, inputs))
        for number in range(1, runs + 1):
            say(f"chatchat, run {number} of {runs}")
            bench = Bench(fresh(project, root / "app"), root, supply)
            _measure(bench, document, wheels, costs)
            if peer is not None:
                say(f"chatchat, {PEER}, run {number} of {runs}")
                _measure_peer(peer, fresh(peer_project, root / "peer-app"), costs[PEER])
        say("chatchat: peak memory")
        bench = Bench(project, root, supply, platforms=BOTH)
        _downloads_only(bench, root / "warm")
        peak = bench.memory()
        bench.clean()
    return _section(costs, document, peak, why)


def _section(costs: Mapping[str, Costs], document: Mapping[str, Any], peak: Peak, why: str) -> Section:
    medians = {tool: {name: median(known) for name, known in steps.items()} for tool, steps in costs.items()}
    peers = medians.get(PEER, {})
    rows = []
    for platforms in (NATIVE, BOTH):
        for step, ours in medians[platforms].items():
            theirs = peers.get(step)
            beside = [seconds(theirs), ratio(theirs.wall, ours.wall)] if theirs is not None and platforms == NATIVE else ["", ""]
            rows.append([f"{step}, {platforms}", seconds(ours), *beside])
    floor = medians[FLOOR][FLOOR]
    rows.append([FLOOR, seconds(floor), "", ""])
    notes = [*_notes(document, peak), *([f"{PEER} is not measured: {why}"] if why else [])]
    numbers = {tool: {step: figures(cost) for step, cost in steps.items()} for tool, steps in medians.items()}
    head = ["", "s (CPU)", f"{PEER}, s (CPU)", "times ours"]
    memory = {"tree": peak.tree, "process": peak.process}
    return Section("Langchain-Chatchat", head, rows, notes, "large", {"steps": numbers, "memory": memory})


def _base(root: Path, document: Mapping[str, Any]) -> Path:
    """Return an archive with the same Python and Debian packages as the example's image, but nothing above."""
    image = next(image for image in document["images"] if image["platform"] == NATIVE)
    packages = ", ".join(f'"{name}"' for name in image["packages"])
    folder = root / "base"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "main.py").write_text("")
    text = '[project]\nname = "bench-large-base"\nversion = "1"\nrequires-python = "==3.11.*"\ndependencies = []\n'
    settings = f'[tool.shipwheel]\npackages = [{packages}]\npython = "3.11"\ncommand = ["python"]\n'
    (folder / "pyproject.toml").write_text(text + settings)
    warm(folder, root / "warm", root / "base.tar", "--platform", NATIVE, "--tag", "localhost/bench-base:1")
    return root / "base.tar"


def _peer_project(root: Path, document: Mapping[str, Any], wheels: Path) -> Path:
    """Return the directory that the peer builds: the example's files, a Dockerfile, and the locked versions."""
    folder = root / "peer"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("pylock*"))
    shutil.copy2(Path(__file__).parent / "large" / "Dockerfile", folder / "Dockerfile")
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in _wanted(document, wheels)))
    return folder


def _measure(bench: Bench, document: Mapping[str, Any], wheels: Path, costs: dict[str, Costs]) -> None:
    warm_store = bench.root / "warm"
    costs[FLOOR][FLOOR].append(_floor(bench.root, document, wheels))
    for platforms in (NATIVE, BOTH):
        with Registry() as registry:
            side = replace(bench, platforms=platforms, registry=registry.host)
            _downloads_only(side, warm_store)
            costs[platforms][COLD].append(side.build())
            costs[platforms][NO_OP].append(side.build())
            _edit(side.project)
            costs[platforms][EDITED].append(side.build())


def _measure_peer(peer: Peer, project: Path, costs: Costs) -> None:
    peer.forget()
    peer.use(project)
    costs[COLD].append(peer.build())
    costs[NO_OP].append(peer.build())
    _edit(project)
    costs[EDITED].append(peer.build())


def _edit(project: Path) -> None:
    with (project / "serve.py").open("a") as stream:
        stream.write("\nEDITED = True\n")


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
    venv = root / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    shutil.rmtree(root / "uv-cache", ignore_errors=True)
    env = {**environment(), "UV_CACHE_DIR": str(root / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    uv = str(find_uv_bin())
    run([uv, "venv", "--quiet", "--python", "3.11", str(venv)], env=env, cwd=root, log=root / "log")
    argv = [uv, "pip", "install", "--quiet", "--python", str(venv), "--no-deps", "--offline", "--no-index", "--compile-bytecode"]
    return run([*argv, "--find-links", str(wheels), *_wanted(document, wheels)], env=env, cwd=root, log=root / "log")


def _wanted(document: Mapping[str, Any], wheels: Path) -> list[str]:
    """Return the requirements of this machine's image that have a wheel."""
    image = next(image for image in document["images"] if image["platform"] == NATIVE)
    available = {path.name.partition("-")[0].replace("_", "-").replace(".", "-").lower() for path in wheels.iterdir()}
    return [f"{name}=={version}" for name, version in image["distributions"].items() if name in available]


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
        "All end with a push to a registry on loopback, which has nothing at first.",
        "Cold: downloads and wheels built of sdists are in the store, and nothing that is made of them.",
        "BuildKit has its base, and fetches all wheels from an index on the loopback interface, which takes it a few seconds.",
        "shipwheel composes the base, compiles the bytecode and validates all layers in that time.",
        "uv installs the same wheels from this disk with an empty cache, for one platform, and makes no image: the floor to compare with.",
    ]
