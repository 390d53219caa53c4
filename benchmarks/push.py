"""Push a large image to a local registry with shipwheel, `skopeo copy` and `docker push` in turn, and measure the peak memory.

    python benchmarks/push.py [--megabytes 1000] [--runs 3] [--json FILE]

Needs root and Debian's docker.io, skopeo and docker-registry. Every push goes to a registry that has nothing yet. docker's classic store
keeps layers unpacked and compresses them anew for each push; its containerd store sends what it has, as skopeo and we do.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from measure import Cost, median, peak_memory, run
from supply import SHIPWHEEL
from support.engines import SEARCH_PATH, Dockerd, Registry

from shipwheel.files.entry import file
from shipwheel.oci.image import make_image, make_index
from shipwheel.oci.layout import write_layout
from shipwheel.oci.model import ContainerConfig
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, small_layer

SHARES = (0.35, 0.25, 0.15, 0.1, 0.05, 0.04, 0.03, 0.02, 0.01)
"""The layers' shares of an image's size: a few large ones and some small ones."""


def layout_of(folder: Path, megabytes: int) -> Path:
    """Write an image of layers that compress a little, like layers of compressed libraries."""
    store, chance = Store(folder / "store"), random.Random(4)
    layers = []
    for number, share in enumerate(SHARES):
        source = folder / "data"
        with source.open("wb") as stream:
            for _ in range(int(megabytes * share)):
                stream.write(chance.randbytes(1_000_000))
        layers.append(small_layer(store, [file(f"opt/data{number}", source.read_bytes())], f"data{number}"))
        source.unlink()
    index = make_index([make_image(layers, ContainerConfig(cmd=("/x",)), AMD64, created=0)])
    write_layout(index, folder / "layout", store, name="bench/app:1")
    return folder / "layout"


def main() -> None:
    """Run the pushes and print seconds, processor seconds and megabytes per second as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shipwheel-push-") as name:
        folder = Path(name)
        layout = layout_of(folder, arguments.megabytes)
        size = sum(path.stat().st_size for path in layout.rglob("*") if path.is_file()) / 1e6
        environment = {"PATH": SEARCH_PATH, "HOME": name, "SHIPWHEEL_CACHE": str(folder / "cache")}

        def shipwheel(host: str) -> list[str]:
            return [*SHIPWHEEL, "push", "-q", str(layout), f"{host}/bench/app:1"]

        def skopeo(host: str) -> list[str]:
            return ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:1", f"docker://{host}/bench/app:1"]

        costs: dict[str, list[Cost]] = defaultdict(list)
        commands: dict[str, Callable[[str], list[str]]] = {"shipwheel push": shipwheel, "skopeo copy": skopeo}
        for _ in range(arguments.runs):
            for label, argv in commands.items():
                with Registry() as registry:
                    os.sync()
                    costs[label].append(run(argv(registry.host), env=environment, cwd=folder, log=folder / "log"))
        for label, containerd_store in (("docker push", False), ("docker push (containerd store)", True)):
            with Dockerd(containerd_store=containerd_store) as docker:
                image = docker.load(layout)
                for _ in range(arguments.runs):
                    with Registry() as registry:
                        os.sync()
                        target = f"{registry.host}/bench/app:1"
                        docker.reach(registry.host)
                        docker.cli("tag", image, target)
                        costs[label].append(timed(docker, target))
        with Registry() as registry:
            peak = peak_memory(shipwheel(registry.host), env=environment, cwd=folder)
    report = {
        "megabytes": round(size, 1),
        "runs": arguments.runs,
        "seconds": {label: round(median(known).wall, 2) for label, known in costs.items()},
        "each": {label: [round(cost.wall, 2) for cost in known] for label, known in costs.items()},
        "cpu-seconds": {label: round(median(known).cpu, 2) for label, known in costs.items() if "docker" not in label},
        "megabytes-a-second": {label: round(size / median(known).wall, 1) for label, known in costs.items()},
        "peak-memory-mb": round(peak.tree / 1e6, 1),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def timed(docker: Dockerd, target: str) -> Cost:
    """Time a push of docker. The daemon's processor time is not counted."""
    import time

    started = time.perf_counter()
    docker.cli("push", "-q", target)
    return Cost(time.perf_counter() - started, 0.0)


if __name__ == "__main__":
    main()
