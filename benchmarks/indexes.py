"""Measure downloads and builds through four package indexes, three of them bad, against the good one alone.

    python benchmarks/indexes.py [--runs 3] [--large 3]

Needs a package index, for the index server (pypiserver). Each order of the four is tried that begins with another one; every run with an
empty cache of its own, the good one alone right before each.
"""

import argparse
import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from table import Section

from shipwheel.download.mirrors import Choice, save_choice
from shipwheel.locking import uv
from shipwheel.testing.mirrors import KINDS, MirrorProxy, run_mirrors
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World, fill, make_archive

SMALL = 16
LARGE_BYTES = 20_000_000

FETCH = """
import json, sys, time
from pathlib import Path
import httpx
from shipwheel.download.fetch import Download, fetch
from shipwheel.store.store import Store
downloads = [Download(tuple(urls), *rest) for urls, *rest in json.load(sys.stdin)]
started = time.perf_counter()
fetch(downloads, Store(Path(sys.argv[1])))
print(time.perf_counter() - started)
"""
"""Runs the download stage. Its time does not include the start of Python."""


def made_wheels(folder: Path, large: int) -> list[SmallWheel]:
    """Write small wheels of about 100 kB, and large ones that cannot be compressed."""
    folder.mkdir()
    chance = random.Random(1)
    small = [SmallWheel(f"small{n}", files={f"small{n}.py": "".join(map(hex, range(30_000 + n)))}) for n in range(SMALL)]
    big = [SmallWheel(f"large{n}", files={f"large{n}.bin": chance.randbytes(LARGE_BYTES)}) for n in range(large)]
    for wheel in (*small, *big):
        (folder / wheel.filename).write_bytes(wheel.content())
    return [*small, *big]


def fetched(wheels: Path, mirrors: Sequence[MirrorProxy], root: Path) -> float:
    """Return the seconds of the download stage through these mirrors, the preferred one first."""
    wanted = []
    for path in sorted(wheels.iterdir()):
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        place = f"packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{path.name}"
        wanted.append(([f"{mirror.url}/{place}" for mirror in mirrors], f"sha256:{digest}", len(data), path.name))
    with tempfile.TemporaryDirectory(dir=root) as store:
        done = subprocess.run([sys.executable, "-c", FETCH, store], input=json.dumps(wanted), capture_output=True, text=True, check=True)
    return float(done.stdout)


def built(world: World, mirrors: Sequence[MirrorProxy], root: Path) -> tuple[float, str]:
    """Return the seconds and the digest of a build with its lock."""
    with tempfile.TemporaryDirectory(dir=root) as place:
        cache = Path(place) / "cache"
        save_choice(cache, Choice(tuple(mirror.simple.rstrip("/") for mirror in mirrors), (), "9999-12-31"))
        record = {"index": uv.default_index(), "files": "http://127.0.0.1:9/packages"}
        (cache / "package-index.json").write_text(json.dumps(record))
        app = world.root / "shop"
        (app / "pylock.toml").unlink(missing_ok=True)
        env = {"UV_DEFAULT_INDEX": "", "XDG_CONFIG_HOME": place, "XDG_CONFIG_DIRS": place, "SHIPWHEEL_CACHE": str(cache)}
        started = time.perf_counter()
        ran = world.build(app, env={**env, "UV_CACHE_DIR": f"{place}/uv", "UV_HTTP_RETRIES": "3"})
        return time.perf_counter() - started, ran.digest


def orders() -> Mapping[str, Sequence[str]]:
    """Return the kinds in four orders, each of them first once."""
    return {f"{first} first": (first, *(kind for kind in KINDS if kind != first)) for first in KINDS}


def section(root: Path, runs: int, large: int) -> Section:
    """Measure and return the table."""
    wheels = made_wheels(root / "wheels", large)
    (root / "world").mkdir()
    rows = []
    with World(root / "world") as world, run_mirrors(root / "wheels", root / "said") as mirrors:
        fill(world, make_archive(root / "archive"))
        world.app("".join(f"{wheel.name}\n" for wheel in wheels))
        quick = [mirrors["fast"]]
        built(world, quick, root)
        for name, order in orders().items():
            four = [mirrors[kind] for kind in order]
            stage, whole = [], []
            for _ in range(runs):
                stage.append((fetched(root / "wheels", quick, root), fetched(root / "wheels", four, root)))
                alone, together = built(world, quick, root), built(world, four, root)
                assert alone[1] == together[1], "the same image"
                whole.append((alone[0], together[0]))
            rows.append([name, *_cells(stage), *_cells(whole)])
    head = ["", "fetch: quick alone", "all four", "ratio", "build: quick alone", "all four", "ratio"]
    return Section("Four package indexes", head, rows, [f"Seconds, medians of {runs}; {SMALL} small wheels, {large} of 20 MB."])


def _cells(pairs: Sequence[tuple[float, float]]) -> list[str]:
    alone, together = (statistics.median(side) for side in zip(*pairs, strict=True))
    return [f"{alone:.2f}", f"{together:.2f}", f"{statistics.median(b / a for a, b in pairs):.1f}×"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(section(Path(folder), arguments.runs, arguments.large).text())


if __name__ == "__main__":
    main()
