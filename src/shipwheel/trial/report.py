"""A trial for people and as JSON."""

from collections.abc import Iterator
from typing import Any

import msgspec

from shipwheel.signs.tracebacks import program_lines
from shipwheel.trial.finding import Finding, Verdict
from shipwheel.trial.trial import Trial

__all__ = ["to_json", "to_lines"]

_LOG_LINES = 15


def to_lines(trial: Trial) -> Iterator[str]:
    """Yield the lines of a trial: what it did, every finding with its next step, and the output of one that ends."""
    seen = trial.seen
    yield trial.headline
    for found in seen.sockets:
        yield f"  listens   {found.address} port {found.port}/{found.protocol} after {found.seconds:.1f} s"
    for path in seen.unix if not seen.sockets else ():
        yield f"  listens   Unix socket {path}"
    for answer in (each for each in seen.answers if each.status or seen.ended is None):
        said = f"{answer.status} {answer.type.partition(';')[0]}".strip() if answer.status else answer.error
        yield f"  answers   {answer.path} on port {answer.port}: {said}" + (f" → {answer.location}" if answer.location else "")
    if seen.memory:
        stopped = f", stops in {seen.stop.seconds:.1f} s" if seen.stop is not None and not seen.stop.killed else ""
        yield f"  uses      {seen.memory / 1e6:.0f} MB in {seen.processes} process{'es' if seen.processes != 1 else ''}{stopped}"
    for path in seen.written[:10]:
        yield f"  writes    {path}"
    for finding in trial.findings:
        yield from _finding(finding)
    # One that runs elsewhere has its output there.
    if trial.engine and trial.verdict in (Verdict.FAILS, Verdict.NEEDS, Verdict.ENDS):
        lines = [line for line in program_lines(seen.log) if line.strip()]
        yield from ("  output    the last lines:" if lines else "  output    none", *(f"    {line[:300]}" for line in lines[-_LOG_LINES:]))


def _finding(finding: Finding) -> Iterator[str]:
    yield f"  {'problem ' if finding.blocks else 'note    '}  {finding.message}"
    if finding.evidence:
        yield f"            seen: {finding.evidence[:300]}"
    if finding.hint:
        yield f"            {finding.hint}"


def to_json(trial: Trial) -> dict[str, Any]:
    """Return the trial as the document that `check --json` prints."""
    document: dict[str, Any] = msgspec.to_builtins(trial)
    return {"serves": trial.verdict.is_good, **document}
