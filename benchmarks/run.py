"""Measure shipwheel and its peers in one run and print ratios: `make bench`, or run.py --help."""

import argparse
import datetime
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
# The engines in namespaces of their own are those of the tests.
sys.path.insert(0, str(HERE.parent / "tests"))

from app_bench import app_sections  # noqa: E402
from large_bench import large_section  # noqa: E402
from measure import wait_until_idle  # noqa: E402
from startup import startup_section  # noqa: E402
from table import Section  # noqa: E402

IDLE = 0.7


def main() -> None:
    """Wait for an idle machine, measure, print each table when it is complete, and write all tables to a page."""
    options = _parser().parse_args()
    root: Path = options.work.resolve()
    load = wait_until_idle(IDLE, options.wait)
    head = _head(load, options.runs)
    print(head)
    texts = [head]
    for section in _sections(options, root):
        print(f"\n{section.text()}", flush=True)
        texts.append(section.text())
    page: Path | None = options.save or (None if options.only else HERE / "results" / f"{datetime.date.today().isoformat()}.md")
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("\n".join(texts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often everything is measured; medians are shown [3]")
    parser.add_argument("--large", action="store_true", help="also examples/chatchat, which takes long")
    parser.add_argument("--only", choices=("start", "app", "large"), help="one part alone")
    parser.add_argument("--work", type=Path, default=Path(".work/bench"), help="folder for stores, layouts and logs [.work/bench]")
    parser.add_argument("--wait", type=float, default=10, help="minutes to wait until the machine is idle [10]")
    parser.add_argument(
        "--save", type=Path, help="where the tables are also written to [results/DATE.md, unless only one part is measured]"
    )
    return parser


def _sections(options: argparse.Namespace, root: Path) -> Iterator[Section]:
    if options.only in (None, "start"):
        yield startup_section(root / "start", 5 * options.runs)
    if options.only in (None, "app"):
        yield from app_sections(root / "app", options.runs, _say)
    if options.large or options.only == "large":
        yield large_section(root / "large", options.runs, _say)


def _say(text: str) -> None:
    print(f"  … {text}", file=sys.stderr, flush=True)


def _head(load: float, runs: int) -> str:
    idle = "idle" if load < IDLE else f"NOT idle (load {load:.1f} at the start): compare ratios and CPU seconds"
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().partition('-')[0]}"
    return (
        f"# Measured on {datetime.date.today().isoformat()}\n\n"
        f"{machine}, Python {platform.python_version()}; the machine was {idle}.\n"
        f"Medians of {runs} runs; ratios hold, seconds drift from machine to machine.\n"
    )


if __name__ == "__main__":
    main()
