"""The startup time of the command line."""

import sys
from collections import defaultdict
from pathlib import Path

from measure import Cost, median, run
from supply import SHIPWHEEL, environment
from table import Section, ratio

__all__ = ["startup_section"]


def startup_section(root: Path, runs: int) -> Section:
    """Measure `shipwheel --version` and an empty Python program in turn."""
    root.mkdir(parents=True, exist_ok=True)
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "shipwheel --version": [*SHIPWHEEL, "--version"],
        "shipwheel build --help": [*SHIPWHEEL, "build", "--help"],
    }
    costs: dict[str, list[Cost]] = defaultdict(list)
    for number in range(runs + 1):
        for name, argv in commands.items():
            cost = run(argv, env=environment(), cwd=root, log=root / "log")
            if number:  # the first one reads the disk
                costs[name].append(cost)
    medians = {name: median(known) for name, known in costs.items()}
    least = medians["python -c pass"]
    rows = [
        [name, f"{cost.wall * 1e3:.0f}", f"{cost.cpu * 1e3:.0f}", ratio(cost.wall, least.wall), ratio(cost.cpu, least.cpu)]
        for name, cost in medians.items()
    ]
    return Section("Start", ["", "ms", "CPU ms", "times python's", "times its CPU"], rows, [f"Whole processes, medians of {runs}."])
