"""The trial of an image: one run as production has it, and, if that does not serve, one with a root that can be written."""

import time
from collections.abc import Iterator, Sequence

import msgspec

from shipwheel.engine.interface import Engine
from shipwheel.errors import EngineError, TrialError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.signs.tracebacks import TRACEBACK
from shipwheel.trial.finding import Finding, FindingKind, Verdict
from shipwheel.trial.findings import find, verdict_of
from shipwheel.trial.observation import Observation
from shipwheel.trial.observe import Conditions, Subject, observe
from shipwheel.trial.write_findings import with_lost_writes, with_refused_writes

__all__ = ["Trial", "require_good", "try_image"]

STAGE = "check"

_SECOND_PATIENCE_S = 5.0
"""The second run only has to show what is written."""

_HOPELESS = {
    FindingKind.NOT_STARTED,
    FindingKind.MODULE,
    FindingKind.LIBRARY,
    FindingKind.USAGE,
    FindingKind.LOOPBACK,
    FindingKind.OTHER_PORT,
    FindingKind.HOST_REFUSED,
}
"""Findings that a writable root cannot change."""


class Trial(msgspec.Struct, frozen=True):
    """The result of a trial. `seen` is the run as production has it, `writable` one with a root that could be written, if there was one."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    seen: Observation
    writable: Observation | None = None
    engine: str = ""
    seconds: float = 0.0

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that keep the image from serving."""
        return tuple(finding for finding in self.findings if finding.blocks)

    @property
    def headline(self) -> str:
        """The verdict in one line, for people."""
        if self.verdict is Verdict.SERVES and (answer := self.seen.answer) is not None:
            return f"serves: {answer.path} on port {answer.port} answers {answer.status} after {self.seen.ready or 0:.1f} s"
        if self.verdict is Verdict.SERVES:
            where = ", ".join(dict.fromkeys(f"{found.port}/{found.protocol}" for found in self.seen.reachable))
            answers = sorted(self.seen.answers, key=lambda answer: not answer.declared)
            said = next((f", and answers {answer.path} with {answer.status}" for answer in answers if answer.status), "")
            return f"serves: it listens on {where}{said}"
        if self.verdict is Verdict.RUNS:
            return f"runs: no port, alive after {self.seen.seconds:.0f} s"
        if self.verdict is Verdict.ENDS:
            return f"ends: status {self.seen.ended} after {self.seen.seconds:.1f} s"
        return f"{self.verdict.value}: " + "; ".join(finding.message for finding in self.blocking[:2])


def try_image(engine: Engine, subject: Subject, conditions: Conditions, reporter: Reporter, *, is_brief: bool = False) -> Trial:
    """Run the trial. Raises EngineError if the engine cannot run the image. A brief one reports its verdict alone."""
    started = time.monotonic()
    reporter(StageStarted(STAGE))
    seen = _with_errors(engine, subject, conditions, observe(engine, subject, conditions))
    config = msgspec.structs.replace(subject.config, environment={**subject.config.environment, **conditions.env})
    findings = find(seen, config, conditions.source)
    verdict = verdict_of(seen, findings)
    writable = None
    refused = bool(seen.answers) and all(answer.status == 400 for answer in seen.answers)
    if not verdict.is_good and not refused and not _HOPELESS.intersection(finding.kind for finding in findings if finding.blocks):
        writable = _second_run(engine, subject, conditions)
    if writable is not None and _progress(writable, subject) > _progress(seen, subject):
        findings = with_lost_writes(findings, writable, subject.config, conditions.source)
        verdict = verdict_of(seen, findings)
    findings = with_refused_writes(findings, subject.config)
    trial = Trial(verdict, findings, seen, writable, engine.name, time.monotonic() - started)
    reporter(StageFinished(STAGE, verdict.value if is_brief else trial.headline, notable=True))
    return trial


def _with_errors(engine: Engine, subject: Subject, conditions: Conditions, seen: Observation) -> Observation:
    """Return what was seen of a page that fails in silence with what another run prints when it makes its loggers speak."""
    if seen.ended is not None or TRACEBACK in seen.log or all(answer.status < 500 for answer in seen.answers):
        return seen
    try:
        spoken = observe(engine, subject, msgspec.structs.replace(conditions, speaks=True))
    except EngineError:
        return seen
    return msgspec.structs.replace(seen, log=f"{seen.log}\n{spoken.log}") if TRACEBACK in spoken.log else seen


def _second_run(engine: Engine, subject: Subject, conditions: Conditions) -> Observation | None:
    try:
        shorter = min(conditions.patience, _SECOND_PATIENCE_S)
        return observe(engine, subject, msgspec.structs.replace(conditions, writable=True, patience=shorter))
    except EngineError:
        # An old bubblewrap cannot.
        return None


def _progress(seen: Observation, subject: Subject) -> tuple[bool, bool, int, bool, bool]:
    """Return how far a program came: it does what it is for, it answers, it listens, it runs, it could write."""
    findings = find(seen, subject.config)
    could_write = all(finding.kind is not FindingKind.NOT_WRITABLE for finding in findings)
    return verdict_of(seen, findings).is_good, seen.answer is not None, len(seen.reachable), seen.ended is None, could_write


_VARIABLES_HINT = "Give them values where the container runs: -e NAME=…; values that are no secrets can be in the setting `env`."


def require_good(trials: Sequence[Trial], name: str) -> None:
    """Raise TrialError, with every finding that blocks, unless all trials are good."""
    bad = [trial for trial in trials if not trial.verdict.is_good]
    if not bad:
        return
    lines = (line for trial in bad for finding in trial.blocking for line in _lines(finding))
    blocking = [finding for trial in bad for finding in trial.blocking]
    names = dict.fromkeys(finding.subject for finding in blocking if finding.kind is FindingKind.VARIABLE)
    hints = dict.fromkeys(_VARIABLES_HINT if len(names) > 1 and it.kind is FindingKind.VARIABLE else it.hint for it in blocking if it.hint)
    if names:
        hints["For the trial alone: --check-env NAME=VALUE."] = None
    hint = " ".join((*hints, "See more with: shipwheel check."))
    raise TrialError(f"{name} was built, and does not serve:\n" + "\n".join(dict.fromkeys(lines)), hint=hint)


def _lines(finding: Finding) -> Iterator[str]:
    yield f"  {finding.message}"
    if finding.evidence:
        yield f"    {finding.evidence}"
