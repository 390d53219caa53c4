"""Time, processor time and memory of a command and its children."""

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CommandFailed", "Cost", "Peak", "cpu_of_tree", "figures", "median", "peak_memory", "run", "wait_until_idle"]

_TICK = os.sysconf("SC_CLK_TCK")


class CommandFailed(Exception):
    """A measured command failed; the message contains the end of its output."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall time and of processor time (user and system, with children), and the output."""

    wall: float
    cpu: float
    output: str = ""
    low: float = 0.0
    high: float = 0.0
    """Of a median: the least and the most wall time."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The most bytes that all processes held together at one time, and that one process held. Shared pages count once (PSS)."""

    tree: int
    process: int


def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Cost:
    """Run a command to its end. Its error output goes to the log."""
    with log.open("w+b") as errors, log.with_suffix(".out").open("w+b") as output:
        started = time.perf_counter()
        process = subprocess.Popen(argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        # Not `wait`: only wait4 tells what this one process and its children used.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read().decode("utf-8", "replace")
    if process.returncode:
        tail = log.read_text("utf-8", "replace")[-2000:]
        raise CommandFailed(f"{' '.join(argv)}\nended with {process.returncode}:\n{printed[-500:]}{tail}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, printed)


def median(costs: Iterable[Cost]) -> Cost:
    """Return the median of each figure."""
    known = list(costs)
    walls = [cost.wall for cost in known]
    return Cost(statistics.median(walls), statistics.median(cost.cpu for cost in known), low=min(walls), high=max(walls))


def figures(cost: Cost) -> dict[str, float]:
    """Return a median as the committed results have it: seconds."""
    return {key: round(value, 3) for key, value in (("s", cost.wall), ("low", cost.low), ("high", cost.high), ("cpu", cost.cpu))}


def peak_memory(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Peak:
    """Run a command. Return the peak of its memory and that of its children.

    Memory is sampled, which takes time: do not time the same run.
    """
    process = subprocess.Popen(
        argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = Peak(0, 0)
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.wait(0.03):
            sizes = [_proportional(pid) for pid in _tree([process.pid])]
            peak = Peak(max(peak.tree, sum(sizes)), max(peak.process, *sizes))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        _, errors = process.communicate()
    finally:
        ended.set()
        sampler.join()
    if process.returncode:
        raise CommandFailed(f"{' '.join(argv)}\nended with {process.returncode}:\n{errors[-2000:]}")
    return peak


def cpu_of_tree(roots: Iterable[int]) -> float:
    """Return the seconds of processor time that processes, their descendants and ended children have used."""
    total = 0
    for pid in _tree(roots):
        with suppress(OSError):
            # proc(5): the name may hold anything; fields 14 to 17 are utime, stime, cutime, cstime.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / _TICK


def wait_until_idle(limit: float, minutes: float) -> float:
    """Wait until the machine's load is below a limit, or some minutes are over. Return the load."""
    deadline = time.monotonic() + 60 * minutes
    while (load := os.getloadavg()[0]) >= limit and time.monotonic() < deadline:
        time.sleep(5)
    return load


def _tree(roots: Iterable[int]) -> list[int]:
    """Return the processes and their descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, ())
    return found


def _proportional(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return 0
