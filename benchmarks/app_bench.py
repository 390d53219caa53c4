"""The FastAPI application, built by shipwheel and by its peers in turn."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from measure import Cost, median
from ours import BOTH, NATIVE, Bench, change_dependency, edit, sizes
from peers import PEERS, Inputs, Peer, running, unavailable
from supply import Supply, fresh, relocked, shipwheel_env, warm
from support.engines import Registry
from table import Section, megabytes, ratio, seconds

from shipwheel.store import Store

__all__ = ["app_sections"]

HERE = Path(__file__).parent
OLD, NEW = "click==8.1.8", "click==8.2.1"
STEPS = ("cold", "no-op", "one line edited", "one dependency changed")

Costs = dict[str, list[Cost]]
Say = Callable[[str], None]


class Side(Protocol):
    """A tool that is measured: shipwheel or a peer."""

    written: dict[str, int]

    def build(self, name: str = "") -> Cost:
        """Build into a layout. Record in `written`, under the name, how many bytes of blobs were added."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The project with its lock, for shipwheel and for the peers; the base image as an archive, and the store that composed it."""

    root: Path
    project: Path
    peers: Path
    base: Path
    base_store: Path
    document: dict[str, Any]


def app_sections(root: Path, runs: int, say: Say) -> Iterator[Section]:
    """Yield the tables of this application."""
    root.mkdir(parents=True, exist_ok=True)
    with Supply() as supply:
        say("fetching what is needed; this is not measured")
        prepared = _prepare(root, supply)
        absent = {name: why for name in PEERS if (why := unavailable(name))}
        with ExitStack() as stack:
            inputs = {name: Inputs(prepared.peers, prepared.base, supply.index.simple, root / name) for name in PEERS if name not in absent}
            peers = {name: stack.enter_context(running(name, inputs[name])) for name in inputs}
            costs, written = _side_by_side(prepared, supply, peers, runs, say)
        yield _beside(prepared, costs, written, absent)
        yield _alone(prepared, supply, runs, say)
        yield _facts(prepared, supply, say)


def _prepare(root: Path, supply: Supply) -> Prepared:
    """Download everything for both versions of the dependency. Make the lock and the base image."""
    store = root / "warm"
    document: dict[str, Any] = {}
    for new in (NEW, OLD):
        project = fresh(HERE / "app", root / "app")
        change_dependency(project / "pyproject.toml", OLD, new)
        document = warm(project, store, root / "warm.oci", "--no-bytecode", "--platform", BOTH)
        supply.add(project / "pylock.toml", Store(store))
    relocked(project, shipwheel_env(root / "lock", supply), root)
    peers = fresh(project, root / "peers")
    (peers / "requirements.txt").write_text(_requirements(document))
    base = fresh(HERE / "base", root / "base")
    warm(base, root / "base-store", root / "base.tar", "--platform", NATIVE, "--tag", "localhost/bench-base:1")
    return Prepared(root, project, peers, root / "base.tar", root / "base-store", document)


def _image(document: Mapping[str, Any]) -> dict[str, Any]:
    return dict(next(image for image in document["images"] if image["platform"] == NATIVE))


def _requirements(document: Mapping[str, Any]) -> str:
    return "".join(f"{name}=={version}\n" for name, version in sorted(_image(document)["distributions"].items()))


def _bench(prepared: Prepared, supply: Supply, name: str) -> Bench:
    root = prepared.root / name
    root.mkdir(exist_ok=True)
    return Bench(fresh(prepared.project, root / "app"), root, supply)


def _side_by_side(
    prepared: Prepared, supply: Supply, peers: Mapping[str, Peer], runs: int, say: Say
) -> tuple[dict[str, Costs], dict[str, dict[str, int]]]:
    """Run all steps of all tools in turn, `runs` times."""
    costs: dict[str, Costs] = defaultdict(lambda: defaultdict(list))
    written: dict[str, dict[str, int]] = {}
    for number in range(1, runs + 1):
        say(f"shipwheel, run {number} of {runs}")
        with Registry() as registry:
            ours = replace(_bench(prepared, supply, "ours"), registry=registry.host)
            ours.start_from(prepared.base_store)
            _steps(ours, ours.project, costs["shipwheel"])
            written["shipwheel"] = ours.written
        for name, peer in peers.items():
            say(f"{name}, run {number} of {runs}")
            peer.forget()
            project = fresh(prepared.peers, prepared.root / "peers-app")
            peer.use(project)
            _steps(peer, project, costs[name])
            written[name] = peer.written
    return costs, written


def _steps(side: Side, project: Path, costs: Costs) -> None:
    costs["cold"].append(side.build("cold"))
    costs["no-op"].append(side.build("no-op"))
    edit(project)
    costs["one line edited"].append(side.build("one line edited"))
    for name in ("pyproject.toml", "requirements.txt"):
        if (project / name).exists():
            change_dependency(project / name, OLD, NEW)
    costs["one dependency changed"].append(side.build("one dependency changed"))


def _beside(prepared: Prepared, costs: Mapping[str, Costs], written: Mapping[str, Mapping[str, int]], absent: Mapping[str, str]) -> Section:
    image = _image(prepared.document)
    others = [name for name in PEERS if name not in absent]
    rows = []
    for step in STEPS:
        ours = median(costs["shipwheel"][step])
        row = [step, seconds(ours), megabytes(written["shipwheel"][step])]
        for name in others:
            theirs = median(costs[name][step])
            row += [seconds(theirs), ratio(theirs.wall, ours.wall), ratio(theirs.cpu, ours.cpu), megabytes(written[name][step])]
        rows.append(row)
    head = ["", "shipwheel, s (CPU)", "new MB"]
    for name in others:
        head += [f"{name}, s (CPU)", "times ours", "times our CPU", "new MB"]
    notes = [
        f"{len(image['distributions'])} wheels, {image['wheel-bytes'] / 1e6:.1f} MB, {NATIVE}.",
        "All end with a push to a registry on loopback, which has nothing at first; shipwheel validates what it pushes.",
        "Cold: no cache but the base, which is the same for all and was made before. Wheels come from an index on the loopback interface.",
        "One dependency changed: shipwheel makes its lock again within this time; the peers are given a new requirements.txt.",
        *(f"{name} is not measured: {why}" for name, why in absent.items()),
    ]
    return Section("A FastAPI application, beside the peers", head, rows, notes)


def _alone(prepared: Prepared, supply: Supply, runs: int, say: Say) -> Section:
    """Measure builds that the peers do not offer."""
    costs: Costs = defaultdict(list)
    for number in range(1, runs + 1):
        say(f"shipwheel's other builds, run {number} of {runs}")
        bench = _bench(prepared, supply, "alone")
        bench.clean()
        costs["cold, empty disk, base composed too"].append(bench.build())
        bench.clean("bytecode.sqlite3", "interpreters")
        costs["the same, bytecode cached"].append(bench.build())
        bench.clean()
        costs["the same, without bytecode"].append(replace(bench, flags=("--no-bytecode",)).build())
        both = replace(bench, platforms=BOTH)
        both.clean()
        costs["cold, empty disk, amd64 + arm64"].append(both.build())
        costs["no-op, amd64 + arm64"].append(both.build())
        edit(both.project)
        costs["one line edited, amd64 + arm64"].append(both.build())
        with Registry() as registry:
            pushed = replace(both, registry=registry.host)
            pushed.build()
            pushed.clean()
            costs["empty disk, unchanged, the registry has it"].append(pushed.build())
            edit(pushed.project)
            pushed.clean()
            costs["empty disk, one line edited, the registry has the rest"].append(pushed.build())
    medians = {name: median(known) for name, known in costs.items()}
    first = medians["cold, empty disk, base composed too"]
    rows = [[name, seconds(cost), ratio(cost.wall, first.wall), ratio(cost.cpu, first.cpu)] for name, cost in medians.items()]
    return Section("The same application, shipwheel alone", ["", "s (CPU)", "times the first row", "times its CPU"], rows)


def _facts(prepared: Prepared, supply: Supply, say: Say) -> Section:
    say("peak memory, sizes")
    bench = _bench(prepared, supply, "facts")
    bench.clean()
    peaks = {NATIVE: bench.memory()}
    found = sizes(json.loads(bench.build().output))
    bench.clean()
    plain = sizes(json.loads(replace(bench, flags=("--no-bytecode",)).build().output))
    bench.clean()
    peaks["amd64 + arm64"] = replace(bench, platforms=BOTH).memory()
    rows = [[f"peak memory, cold, {name}", megabytes(peak.tree)] for name, peak in peaks.items()]
    rows += [
        ["base, compressed", megabytes(found["base"])],
        ["of that, bytecode of the standard library", megabytes(found["base"] - plain["base"])],
        ["wheels' layers, compressed", megabytes(found["wheels"])],
        ["of that, bytecode", megabytes(found["wheels"] - plain["wheels"])],
        ["the wheels themselves", megabytes(_image(prepared.document)["wheel-bytes"])],
        ["the app's layers, compressed", megabytes(found["app"])],
        ["all, unpacked", megabytes(found["unpacked"])],
    ]
    notes = ["Peak memory is of all processes together, shared pages counted once (PSS), sampled in a build that is not timed."]
    return Section(f"Memory and sizes, {NATIVE}", ["", "MB"], rows, notes)
