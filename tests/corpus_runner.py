"""`make corpus`: check and init every application of tests/corpus, and compare the results with tests/corpus/corpus.toml.

Each application is copied, and locked as of one day, so that new releases change nothing. `shipwheel check` says what it does untouched;
if it does not serve, `shipwheel init` mends it. The table goes to standard output; the exit status is 1 if a result is unexpected.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["CORPUS", "Expected", "Result", "expectations", "main", "try_app"]

CORPUS = Path(__file__).parent / "corpus"
AS_OF = "2026-11-01"
"""The day that every application is locked for."""

_GOOD = ("serves", "runs", "ends")


@dataclass(frozen=True)
class Expected:
    """An application's line of corpus.toml."""

    cause: str
    """What keeps applications of this shape from serving."""
    built: str
    """The verdict without `init`: serves, runs, ends, needs, fails, or refused."""
    after: str
    """The verdict with the settings that `init` wrote."""
    path: str = ""
    """The project's folder in a repository; empty if it is the whole application."""
    below: str = ""
    """The folder of the project that is built where another, which has no settings of its own, is named."""
    settings: tuple[str, ...] = ()
    """The keys that `init` writes."""
    says: tuple[str, ...] = ()
    """Words of the output that tell the person what is wanted."""
    reason: str = ""
    """Why it does not serve after `init`."""


@dataclass(frozen=True)
class Result:
    """The outcome of an application. `output` is what the last command printed."""

    built: str
    after: str
    settings: tuple[str, ...]
    findings: tuple[str, ...]
    output: str
    build: float
    """Seconds of `check` without its trial, of which there is none if it was refused."""
    trial: float
    init: float = 0.0
    """Seconds of `init`, 0 if it was not needed."""
    rounds: int = 0
    """The images that `init` tried."""
    elsewhere: str = ""
    """The verdict on another platform, with the same settings; empty if none was asked for."""

    def differences(self, expected: Expected) -> list[str]:
        """Return what is not as expected."""
        pairs = [("built", self.built, expected.built), ("after", self.after, expected.after)]
        pairs += [("elsewhere", self.elsewhere, expected.after)] if self.elsewhere else []
        found = [f"{name}: {now}, expected {then}" for name, now, then in pairs if now != then]
        if set(self.settings) != set(expected.settings):
            found.append(f"settings: {list(self.settings)}, expected {list(expected.settings)}")
        return found + [f"does not say {words!r}" for words in expected.says if words not in self.output]


def expectations() -> dict[str, Expected]:
    """Return what each application is expected to do, by the name of its folder."""
    return msgspec.toml.decode((CORPUS / "corpus.toml").read_text(encoding="utf-8"), type=dict[str, Expected])


def try_app(name: str, options: Sequence[str] = (), store: Path | None = None, platform: str = "") -> Result:
    """Check an application's copy, and run `init` if it does not serve; then check it on another platform.

    `options` are those of all commands.
    """
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        project = Path(folder) / name
        shutil.copytree(CORPUS / name, project)
        expected = expectations()[name]
        if expected.path:
            subprocess.run(["git", "init", "--quiet", str(project)], check=True)
            project /= expected.path
        (project / expected.below / "shipwheel.toml").write_text(f"as-of = {AS_OF}\n", encoding="utf-8")
        built, output, checked = _shipwheel("check", project, options, store)
        document: dict[str, Any] = {"trial": built}
        mended = 0.0
        if _verdict(built) != "serves":
            document, output, mended = _shipwheel("init", project, options, store)
        elsewhere = _verdict(_shipwheel("check", project, (*options, "--platform", platform), store)[0]) if platform else ""
    trial = document.get("trial", document)
    return Result(
        built=_verdict(built),
        after=_verdict(trial),
        settings=tuple(dict.fromkeys(change["key"] for change in document.get("changes", ()))),
        findings=tuple(dict.fromkeys(finding["kind"] for finding in trial.get("findings", ()))),
        output=output,
        build=checked - built.get("seconds", 0.0),
        trial=built.get("seconds", 0.0),
        init=mended,
        rounds=document.get("rounds", 0),
        elsewhere=elsewhere,
    )


def _shipwheel(command: str, project: Path, options: Sequence[str], store: Path | None) -> tuple[dict[str, Any], str, float]:
    """Return the document, all output and the seconds of a command."""
    environment = os.environ if store is None else {**os.environ, "SHIPWHEEL_CACHE": str(store)}
    line = [sys.executable, "-m", "shipwheel", command, str(project), *options, "--json"]
    begun = time.monotonic()
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    return json.loads(done.stdout or "{}"), done.stdout + done.stderr, time.monotonic() - begun


def _verdict(trial: dict[str, Any]) -> str:
    return str(trial.get("verdict", "refused"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if an application differs from its expectation."""
    parser = argparse.ArgumentParser(prog="make corpus", description=__doc__)
    parser.add_argument("apps", nargs="*", help="names of folders [all]")
    parser.add_argument("--engine", default="bwrap")
    parser.add_argument("--platform", default="", help="also check with what init wrote on this platform, for example linux/arm64")
    parser.add_argument("--output", action="store_true", help="print what the last command said")
    chosen = parser.parse_args(arguments)
    known = expectations()
    names = chosen.apps or sorted(known)
    head = f"{'build s':>7} {'trial s':>7} {'init s':>6} {'rounds':>6}"
    print(f"{'application':32} {'as built':8} {'after init':10} {head}  settings; findings")
    results = {name: _report(name, chosen, known.get(name)) for name in names}
    served, mended = (sum(getattr(result, at) in _GOOD for result in results.values()) for at in ("built", "after"))
    differ = sum(name not in known or bool(result.differences(known[name])) for name, result in results.items())
    every = list(results.values())
    trials = sorted(result.trial for result in every if result.built in _GOOD)
    total = f"{sum(result.build for result in every):.0f} s of builds, {sum(result.trial for result in every):.0f} s of trials"
    median = f", the median of one that works {trials[len(trials) // 2]:.1f} s" if trials else ""
    print(f"{total}{median}; {sum(result.init for result in every):.0f} s of init")
    print(f"{len(names)} applications: {served} work as built, {mended} after init; {differ} differ from what is expected")
    return 1 if differ else 0


def _report(name: str, chosen: argparse.Namespace, expected: Expected | None) -> Result:
    """Try an application, and print its line."""
    result = try_app(name, ("--engine", chosen.engine), platform=chosen.platform)
    rest = "; ".join(filter(None, (", ".join(result.settings), ", ".join(result.findings))))
    rest = "; ".join(filter(None, (f"{result.elsewhere} on {chosen.platform}" if chosen.platform else "", rest)))
    times = f"{result.build:7.1f} {result.trial:7.1f} {result.init:6.1f} {result.rounds:6}"
    print(f"{name:32} {result.built:8} {result.after:10} {times}  {rest}", flush=True)
    for line in ["has no line in corpus.toml"] if expected is None else result.differences(expected):
        print(f"  DIFFERS  {line}", flush=True)
    if expected is not None and expected.reason:
        print(f"  {expected.reason}", flush=True)
    if chosen.output:
        print(result.output, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
