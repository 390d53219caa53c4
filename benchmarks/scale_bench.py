"""Made projects of 100, 200 and 400 wheels, one in a hundred as large as torch; a store with 100,000 objects; four builds at once.

The wheels are made from numbers, the same on every machine, and served on the loopback interface. Each hundred has the same bytes, so what
grows faster than the project shows in the last columns.
"""

import hashlib
import json
import random
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import deflate
from measure import Cost, Peak, figures, median
from ours import BOTH, NATIVE, Bench, edit
from supply import Supply, relocked, shipwheel_env, warm
from support.engines import Registry
from table import Section, megabytes, ratio, seconds

from shipwheel.store.store import Store
from shipwheel.testing.wheels import Member, SmallWheel, zip_bytes

__all__ = ["scale_sections"]

COUNTS = (100, 200, 400)
EACH, LARGE_MB, SMALL_MB = 100, 500, 2.5
"""Wheels in a group, unpacked MB of its large one, and of each other."""
OBJECTS = 100_000
AT_ONCE = 4
MODULES = 10

_BLOCK = 1 << 19
_PATTERNS = 64
_MIN_FREE = 5.0
"""Room for the wheels, the store, the registry and the rest, as a multiple of the wheels' bytes."""

PYPROJECT = """
[project]
name = "bench-scale"
version = "1"
requires-python = ">=3.13"
dependencies = [{dependencies}]

[tool.shipwheel]
python = "3.13"
command = ["python", "/app/main.py"]
"""

Say = Callable[[str], None]


class Blocks:
    """Blocks of half random bytes, with their deflate data, from which files of any size are put together without compressing them."""

    def __init__(self) -> None:
        chance = random.Random(5)
        self._plain = [chance.randbytes(_BLOCK // 2) + chance.randbytes(64) * (_BLOCK // 128) for _ in range(_PATTERNS)]
        self._packed = [_packed(block) for block in self._plain]

    def member(self, name: str, size: int, seed: int) -> Member:
        """Return a member of about `size` bytes, which differs from those of other seeds."""
        chance = random.Random(seed)
        order = [chance.randrange(_PATTERNS) for _ in range(max(1, size // _BLOCK))]
        first = chance.randbytes(512)
        packed = b"".join([_packed(first), *(self._packed[number] for number in order), b"\x03\x00"])
        crc = deflate.crc32(first)
        for number in order:
            crc = deflate.crc32(self._plain[number], crc)
        return Member(name, packed=packed, crc=crc, size=len(first) + _BLOCK * len(order))


def _packed(data: bytes) -> bytes:
    engine = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush(zlib.Z_FULL_FLUSH)


def made_wheel(number: int, blocks: Blocks, shrink: float) -> tuple[str, bytes]:
    """Return the file name and the bytes of a wheel. `shrink` makes all files of data smaller, to try the benchmark."""
    name = f"made{number:03}"
    size = (LARGE_MB if number % EACH == 0 else SMALL_MB) * 1e6 * shrink
    modules = {f"{name}/m{each}.py": f"NAME = {name!r}\n\n\ndef value(): return {number + each}\n" for each in range(MODULES)}
    wheel = SmallWheel(name, files={f"{name}/__init__.py": "", **modules})
    members = [Member(path, data) for path, data in wheel._all()]
    return wheel.filename, zip_bytes([blocks.member(f"{name}/data.bin", int(size), number), *members])


def scale_sections(root: Path, runs: int, shrink: float, say: Say) -> Iterator[Section]:
    """Yield the tables. Nothing is measured if the disk is too small."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    total = int(COUNTS[-1] / EACH * (LARGE_MB + (EACH - 1) * SMALL_MB) * 1e6 * 0.52 * shrink)
    free = min(shutil.disk_usage(root).free, shutil.disk_usage(tempfile.gettempdir()).free)
    if free < total * _MIN_FREE + 1e9:
        why = f"Not measured: {total * _MIN_FREE / 1e9 + 1:.1f} GB must be free, and {free / 1e9:.1f} are."
        yield Section("Made projects", ["", ""], [], [why], "scale", {})
        return
    try:
        yield from _sections(root, runs, shrink, say)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _sections(root: Path, runs: int, shrink: float, say: Say) -> Iterator[Section]:
    say("making wheels")
    blocks, sizes = Blocks(), list[int]()
    with Supply() as supply:
        for number in range(COUNTS[-1]):
            name, data = made_wheel(number, blocks, shrink)
            supply.index.add(name, data)
            sizes.append(len(data))
        base = _project(root / "base", 0)
        warm(base, root / "base-store", root / "base.oci", "--platform", BOTH)
        supply.add(base / "pylock.toml", Store(root / "base-store"))
        results = [_measured(root, count, supply, runs, say) for count in COUNTS]
        yield _growth(results, sizes, runs)
        yield _crowded(root, supply, runs, say)


def _project(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_text("print('made')\n")
    names = ", ".join(f'"made{number:03}"' for number in range(count))
    (folder / "pyproject.toml").write_text(PYPROJECT.format(dependencies=names))
    return folder


def _lock(project: Path, base: Path, store: Path, supply: Supply) -> None:
    """Lock the made wheels, which is uv's work and not measured, with the base of another project."""
    shutil.copy2(base / "pylock.toml", project / "pylock.toml")
    relocked(project, shipwheel_env(store, supply), project)


class Measured:
    """The costs of one size of project by their names, and the peak memory of its build."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.costs: dict[str, list[Cost]] = {"build": [], "no-op": [], "edit": []}
        self.peak = Peak(0, 0)


def _measured(root: Path, count: int, supply: Supply, runs: int, say: Say) -> Measured:
    measured = Measured(count)
    project = _project(root / f"project{count}", count)
    _lock(project, root / "base", root / "base-store", supply)
    bench = Bench(project, root, supply)
    for number in range(1, runs + 1):
        say(f"{count} made wheels, run {number} of {runs}")
        with Registry() as registry:
            pushed = replace(bench, registry=registry.host)
            pushed.start_from(root / "base-store")
            measured.costs["build"].append(pushed.build())
            measured.costs["no-op"].append(pushed.build())
            edit(project)
            measured.costs["edit"].append(pushed.build())
    say(f"{count} made wheels, peak memory")
    with Registry() as registry:
        pushed = replace(bench, registry=registry.host)
        pushed.start_from(root / "base-store")
        measured.peak = pushed.memory()
    bench.clean()
    return measured


def _growth(results: list[Measured], sizes: list[int], runs: int) -> Section:
    rows, known = [], dict[str, Any]()
    first = {name: median(costs) for name, costs in results[0].costs.items()}
    for each in results:
        size = sum(sizes[: each.count])
        medians = {name: median(costs) for name, costs in each.costs.items()}
        growth = each.count / results[0].count
        rows.append(
            [
                str(each.count),
                megabytes(size),
                *(seconds(cost) for cost in medians.values()),
                megabytes(each.peak.tree),
                megabytes(each.peak.process),
                *(ratio(medians[name].cpu / growth, first[name].cpu) for name in ("build", "no-op")),
            ]
        )
        memory = {"tree": each.peak.tree, "process": each.peak.process}
        known[str(each.count)] = {**{name: figures(cost) for name, cost in medians.items()}, "wheel-bytes": size, "memory": memory}
    head = ["wheels", "MB", "build, s (CPU)", "no-op", "edit", "peak MB", "largest process", "CPU a wheel: build", "no-op"]
    notes = [
        f"Made wheels: each hundred has one of {LARGE_MB} MB and {EACH - 1} of {SMALL_MB} MB, unpacked; {NATIVE}; {runs} run(s).",
        "Each build ends with a push to an empty registry on loopback. The base is in the store, and the lock was made before.",
        "Peak memory is of all processes together, shared pages counted once (PSS), sampled in a build that is not timed.",
        "Last columns: processor time for each wheel, compared with the first row. More than 1.0 is growth faster than the project's.",
    ]
    return Section("Growth", head, rows, notes, "scale", known)


def _crowded(root: Path, supply: Supply, runs: int, say: Say) -> Section:
    """Measure a store with many objects of others, and several builds at once on one store."""
    costs: dict[str, list[Cost]] = {}
    bench = Bench(_project(root / f"project{COUNTS[0]}", COUNTS[0]), root, supply)
    bench.start_from(root / "base-store")
    for number in range(1, runs + 1):
        say(f"a crowded store, run {number} of {runs}")
        bench.build()
        _note(costs, "no-op, small store", bench.build())
        edit(bench.project)
        _note(costs, "edit, small store", bench.build())
        if number == 1:
            say(f"filling the store with {OBJECTS} objects")
            _fill(bench.store, OBJECTS)
        _note(costs, f"no-op, {OBJECTS:,} more objects", bench.build())
        edit(bench.project)
        _note(costs, f"edit, {OBJECTS:,} more objects", bench.build())
    bench.clean()
    small = Bench(_project(root / "project99", 0), root, supply)
    say(f"{AT_ONCE} builds at once")
    (small.project / "pyproject.toml").write_text(PYPROJECT.format(dependencies=", ".join(f'"made{each:03}"' for each in range(1, 60))))
    _lock(small.project, root / "base", root / "base-store", supply)
    for _ in range(runs):
        small.start_from(root / "base-store")
        _note(costs, "one cold build", small.build())
        small.start_from(root / "base-store")
        _note(costs, f"{AT_ONCE} cold builds at once", _at_once(small))
    medians = {name: median(known) for name, known in costs.items()}
    rows = [[name, seconds(cost)] for name, cost in medians.items()]
    notes = ["Builds at once write four layouts from one store; all have the digest of the single build. Layouts, nothing is pushed."]
    return Section("A crowded store", ["", "s (CPU)"], rows, notes, "crowded", {name: figures(cost) for name, cost in medians.items()})


def _note(costs: dict[str, list[Cost]], name: str, cost: Cost) -> None:
    costs.setdefault(name, []).append(cost)


def _fill(store: Path, count: int) -> None:
    """Add blobs and records as a store of many projects has them: half of the objects each."""
    for number in range(count // 2):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        for folder in (store / "blobs" / "sha256" / name[:2], store / "records" / "segment" / name[:2]):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"")


def _at_once(bench: Bench) -> Cost:
    """Run builds at the same time on one store. Return the time until the last one ends, and the processor time of all."""
    sides = []
    for number in range(AT_ONCE):
        folder = bench.root / f"side{number}"
        folder.mkdir()
        (folder / "store").symlink_to(bench.store)
        sides.append(replace(bench, root=folder, written={}))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        costs = list(pool.map(Bench.build, sides))
    digests = {json.loads(cost.output)["digest"] for cost in costs}
    assert len(digests) == 1, digests
    for side in sides:
        shutil.rmtree(side.root)
    return Cost(max(cost.wall for cost in costs), sum(cost.cpu for cost in costs))
