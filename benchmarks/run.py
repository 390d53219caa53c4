"""Measure shipwheel and its peers in one run and print ratios: `make bench`, or run.py --help."""

import argparse
import datetime
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# The engines in namespaces of their own are those of the tests.
sys.path.insert(0, str(HERE.parent / "tests"))

from app_bench import app_sections, pair_section, timeline_of  # noqa: E402
from compile_bench import PEER_LIMIT_S, compile_section  # noqa: E402
from compile_cases import CASES  # noqa: E402
from dev_bench import dev_section  # noqa: E402
from large_bench import large_section  # noqa: E402
from measure import wait_until_idle  # noqa: E402
from scale_bench import scale_sections  # noqa: E402
from startup import startup_section  # noqa: E402
from table import Section  # noqa: E402

IDLE = 0.7
PARTS = ("start", "app", "pair", "compile", "large", "scale", "dev")


def main() -> None:
    """Wait for an idle machine, measure, print each table when it is complete, and write all of them as a page and as JSON."""
    options = _parser().parse_args()
    # A run that is stopped takes back what it registered with the kernel, and ends its daemons.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    root: Path = options.work.resolve()
    load = wait_until_idle(IDLE, options.wait)
    began = datetime.datetime.now()
    texts = [_head(load, options.runs)]
    print(texts[0])
    result: dict[str, Any] = {
        "date": f"{began:%Y-%m-%d}",
        "cores": os.cpu_count(),
        "runs": options.runs,
        "idle": load < IDLE,
        "sections": {},
    }
    page: Path | None = options.save or (None if options.only else HERE / "results" / f"{began:%Y-%m-%d}.md")
    # Builds start in another directory.
    page = page and page.resolve()
    for section in _sections(options, root):
        print(f"\n{section.text()}", flush=True)
        texts.append(section.text())
        if section.figures:
            result["sections"][section.key] = section.figures
        if page is not None:
            # After each table, so that an interruption loses none.
            _save(page, texts, result, root)
    _say(f"this took {(datetime.datetime.now() - began).total_seconds() / 60:.0f} minutes; load {os.getloadavg()[0]:.1f} at the end")


def _save(page: Path, texts: list[str], result: dict[str, Any], root: Path) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    if "pair" in result["sections"] and "timeline" not in result:
        result["timeline"] = _timeline(root, page.with_name(f"{page.stem}-timeline.json"))
    page.write_text("\n".join(texts))
    page.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


def _timeline(root: Path, path: Path) -> str:
    """Record a build. Return the name of its timeline, "" if that fails."""
    try:
        timeline_of(root / "pair", path, _say)
    except Exception:
        traceback.print_exc()
        return ""
    return path.stem


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        default=3,
        help="how often the FastAPI application is measured, for two platforms once less; medians are shown [3]",
    )
    parser.add_argument("--large-runs", type=int, default=1, help="how often everything else is measured [1]")
    parser.add_argument("--shrink", type=float, default=1.0, help="make the data of the made projects smaller, to try the benchmark [1.0]")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; repeatable")
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append", help="this source alone to compile; repeatable")
    parser.add_argument(
        "--peer-limit", type=float, default=PEER_LIMIT_S, help=f"seconds after which an emulated compilation is ended [{PEER_LIMIT_S}]"
    )
    parser.add_argument("--work", type=Path, default=Path(".work/bench"), help="folder for stores, layouts and logs [.work/bench]")
    parser.add_argument("--wait", type=float, default=10, help="minutes to wait until the machine is idle [10]")
    parser.add_argument(
        "--save", type=Path, help="page that the tables are also written to, beside their figures as JSON [results/DATE.md, unless --only]"
    )
    return parser


def _sections(options: argparse.Namespace, root: Path) -> Iterator[Section]:
    """Yield the tables of all parts. One that fails is noted, and the others are measured."""
    others = options.large_runs
    parts: dict[str, Callable[[], Iterable[Section]]] = {
        "start": lambda: [startup_section(root / "start", 5 * options.runs)],
        "app": lambda: app_sections(root / "app", options.runs, others, _say),
        "pair": lambda: [pair_section(root / "pair", max(1, options.runs - 1), _say)],
        "compile": lambda: [compile_section(root / "compile", _say, options.case or (), options.peer_limit)],
        "large": lambda: [large_section(root / "large", others, _say)],
        "scale": lambda: scale_sections(root / "scale", others, options.shrink, _say),
        "dev": lambda: [dev_section(root / "dev", 5 * others, _say)],
    }
    for name, part in parts.items():
        if name in (options.only or PARTS):
            try:
                yield from part()
            except (Exception, SystemExit) as error:
                traceback.print_exc()
                yield Section(f"Not measured: {name}", ["", ""], [], [(str(error) or repr(error)).splitlines()[0]])


def _say(text: str) -> None:
    print(f"  … {text}", file=sys.stderr, flush=True)


def _head(load: float, runs: int) -> str:
    idle = "idle" if load < IDLE else f"NOT idle (load {load:.1f} at the start): compare ratios and CPU seconds"
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().partition('-')[0]}"
    return (
        f"# Measured on {datetime.date.today().isoformat()}\n\n"
        f"{machine}, Python {platform.python_version()}; the machine was {idle}.\n"
        f"Medians of {runs} runs unless a table says otherwise; ratios hold, seconds drift from machine to machine.\n"
    )


if __name__ == "__main__":
    main()
