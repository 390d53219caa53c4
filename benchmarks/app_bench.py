"""The FastAPI application, built by shipwheel and by its peers in turn: for one platform, and for two."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from measure import Cost, figures, median
from ours import BOTH, NATIVE, Bench, change_dependency, edit, sizes
from peers import PEERS, Inputs, Peer, running, unavailable
from supply import Supply, fresh, relocked, shipwheel_env, warm
from support.engines import Registry
from support.engines.emulation import ensure_binfmt
from table import Section, megabytes, ratio, seconds
from timeline_chart import shortened
from tools import foreign_uv, native_uv

from shipwheel.store.store import Store

__all__ = ["app_sections", "pair_section", "timeline_of"]

HERE = Path(__file__).parent
OLD, NEW = "click==8.1.8", "click==8.2.1"
CACHED = "cold, bytecode cached"
STEPS = ("cold", CACHED, "no-op", "one line edited", "one dependency changed")
ONCE = ("buildah",)
"""Peers that are measured in the first run alone: they take long, and are not the fastest."""
FOREIGN = "x86_64" if NATIVE == "linux/arm64" else "aarch64"

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


def app_sections(root: Path, runs: int, other_runs: int, say: Say) -> Iterator[Section]:
    """Yield the tables of this application: beside the peers, and shipwheel's other builds."""
    root.mkdir(parents=True, exist_ok=True)
    with Supply() as supply:
        say("fetching what is needed; this is not measured")
        prepared = _prepare(root, supply)
        absent = {name: why for name in PEERS if (why := unavailable(name))}
        tools = {"tools": native_uv(root / "tools")}
        with ExitStack() as stack:
            inputs = {
                name: Inputs(prepared.peers, prepared.base, supply.index.simple, root / name, NATIVE, tools)
                for name in PEERS
                if name not in absent
            }
            peers = {name: stack.enter_context(running(name, inputs[name])) for name in inputs}
            results = _side_by_side(prepared, supply, peers, NATIVE, runs, say)
        yield _beside("app", "A FastAPI application, beside the peers", NATIVE, prepared, results, absent)
        yield _alone(prepared, supply, other_runs, say)
        yield _facts(prepared, supply, say)


def pair_section(root: Path, runs: int, say: Say) -> Section:
    """Measure the same application for both platforms. The peer's second one is built by an emulator."""
    root.mkdir(parents=True, exist_ok=True)
    with Supply() as supply:
        say("fetching what is needed for two platforms; this is not measured")
        prepared = _prepare(root, supply, BOTH)
        absent = {name: why for name in PEERS[:1] if (why := unavailable(name))}
        machines = {"amd64": "x86_64", "arm64": "aarch64"}
        contexts = {
            f"tools-{name}": native_uv(root / "tools") if machine != FOREIGN else foreign_uv(root / "foreign", machine)
            for name, machine in machines.items()
        }
        dockerfile = prepared.peers / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text().replace("ARG BASE\n", "ARG BASE\nFROM tools-${TARGETARCH} AS tools\n", 1))
        with ExitStack() as stack:
            stack.callback(ensure_binfmt())
            inputs = Inputs(prepared.peers, prepared.base, supply.index.simple, root / "BuildKit", BOTH, contexts)
            peers = {name: stack.enter_context(running(name, inputs)) for name in PEERS[:1] if name not in absent}
            results = _side_by_side(prepared, supply, peers, BOTH, runs, say)
    return _beside("pair", "The same for amd64 and arm64, the peer's second platform under qemu", BOTH, prepared, results, absent)


def timeline_of(root: Path, path: Path, say: Say) -> None:
    """Write the timeline of one more cold build for both platforms, which ends with a push."""
    with Supply() as supply, Registry() as registry:
        say("a timeline")
        prepared = _prepare(root, supply, BOTH)
        bench = replace(_bench(prepared, supply, "timeline"), platforms=BOTH, registry=registry.host, flags=("--timeline", str(path)))
        bench.start_from(prepared.base_store)
        bench.build()
    # A line for each event, so that it can be read as text.
    document = shortened(json.loads(path.read_text()))
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in document.pop("traceEvents"))
    path.write_text(f'{json.dumps(document)[:-1]}, "traceEvents": [\n{lines}\n]}}\n')


def _prepare(root: Path, supply: Supply, platforms: str = NATIVE) -> Prepared:
    """Download everything for both versions of the dependency. Make the lock and the base image of these platforms."""
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
    warm(base, root / "base-store", root / "base.tar", "--platform", platforms, "--tag", "localhost/bench-base:1")
    return Prepared(root, project, peers, root / "base.tar", root / "base-store", document)


def _image(document: Mapping[str, Any]) -> dict[str, Any]:
    return dict(next(image for image in document["images"] if image["platform"] == NATIVE))


def _requirements(document: Mapping[str, Any]) -> str:
    return "".join(f"{name}=={version}\n" for name, version in sorted(_image(document)["distributions"].items()))


def _bench(prepared: Prepared, supply: Supply, name: str) -> Bench:
    root = prepared.root / name
    root.mkdir(exist_ok=True)
    return Bench(fresh(prepared.project, root / "app"), root, supply)


@dataclass(frozen=True, slots=True)
class Results:
    """The costs of each tool's steps, and the bytes of new blobs of its last run: tool -> step -> value."""

    costs: Mapping[str, Costs]
    written: Mapping[str, Mapping[str, int]]


def _side_by_side(prepared: Prepared, supply: Supply, peers: Mapping[str, Peer], platforms: str, runs: int, say: Say) -> Results:
    """Run all steps of all tools in turn, `runs` times."""
    costs: dict[str, Costs] = defaultdict(lambda: defaultdict(list))
    written: dict[str, dict[str, int]] = {}
    for number in range(1, runs + 1):
        say(f"shipwheel, {platforms}, run {number} of {runs}")
        ours = replace(_bench(prepared, supply, "ours"), platforms=platforms)
        with Registry() as registry:
            ours = replace(ours, registry=registry.host)
            ours.start_from(prepared.base_store)
            costs["shipwheel"]["cold"].append(ours.build("cold"))
            _changes(ours, ours.project, costs["shipwheel"])
        with Registry() as registry:
            # Last: this store has what no user's has, bytecode without the layers that it was made for.
            ours = replace(ours, project=fresh(prepared.project, ours.project), registry=registry.host)
            ours.start_from(prepared.base_store, "bytecode.sqlite3", "interpreters")
            costs["shipwheel"][CACHED].append(ours.build(CACHED))
        written["shipwheel"] = ours.written
        for name, peer in peers.items():
            if number > 1 and name in ONCE:
                continue
            say(f"{name}, {platforms}, run {number} of {runs}")
            peer.forget()
            project = fresh(prepared.peers, prepared.root / "peers-app")
            peer.use(project)
            costs[name]["cold"].append(peer.build("cold"))
            _changes(peer, project, costs[name])
            written[name] = peer.written
    return Results(costs, written)


def _changes(side: Side, project: Path, costs: Costs) -> None:
    costs["no-op"].append(side.build("no-op"))
    edit(project)
    costs["one line edited"].append(side.build("one line edited"))
    for name in ("pyproject.toml", "requirements.txt"):
        if (project / name).exists():
            change_dependency(project / name, OLD, NEW)
    costs["one dependency changed"].append(side.build("one dependency changed"))


def _beside(key: str, title: str, platforms: str, prepared: Prepared, results: Results, absent: Mapping[str, str]) -> Section:
    image = _image(prepared.document)
    others = [name for name in PEERS if name in results.costs]
    rows, known = [], dict[str, dict[str, Any]]()
    for step in STEPS:
        ours = median(results.costs["shipwheel"][step])
        row = [step, seconds(ours), megabytes(results.written["shipwheel"][step])]
        known[step] = {"shipwheel": {**figures(ours), "bytes": results.written["shipwheel"][step]}}
        for name in others:
            # The peers keep no bytecode: to them it is a cold build.
            same = "cold" if step == CACHED else step
            theirs, written = median(results.costs[name][same]), results.written[name][same]
            row += [seconds(theirs), ratio(theirs.wall, ours.wall), ratio(theirs.cpu, ours.cpu), megabytes(written)]
            known[step][name] = {**figures(theirs), "bytes": written}
        rows.append(row)
    head = ["", "shipwheel, s (CPU)", "new MB"]
    for name in others:
        head += [f"{name}, s (CPU)", "times ours", "times our CPU", "new MB"]
    notes = [
        f"{len(image['distributions'])} wheels, {image['wheel-bytes'] / 1e6:.1f} MB for {NATIVE}; images for {platforms}.",
        "Wall time: median, least–most, and processor time in parentheses. "
        + ", ".join(f"{name}: {_runs(results, name)}" for name in ("shipwheel", *others))
        + ".",
        "All end with a push to a registry on loopback, which has nothing at first; shipwheel validates what it pushes.",
        "Cold: no cache but the base, which is the same for all and was made before. Wheels come from an index on the loopback interface.",
        "Clients may keep the index's files, but have to ask for its pages each time.",
        "Bytecode cached: the same with the bytecode of the build before. The peers keep none: their cold build is shown again.",
        "One dependency changed: shipwheel makes its lock again within this time; the peers are given a new requirements.txt.",
        *(f"{name} is not measured: {why}" for name, why in absent.items()),
    ]
    return Section(title, head, rows, notes, key, {"wheels": len(image["distributions"]), "steps": known})


def _runs(results: Results, name: str) -> str:
    count = len(results.costs[name]["cold"])
    return f"{count} run{'' if count == 1 else 's'}"


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
    return Section(
        "The same application, shipwheel alone", ["", "s (CPU)", "times the first row", "times its CPU"], rows, [f"Runs: {runs}."]
    )


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
    rows += [[f"of that, the largest process, {name}", megabytes(peak.process)] for name, peak in peaks.items()]
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
