"""Run the steps of a GitHub action or of a workflow's job as a runner does: those with a command, each in a shell of its own."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.engines import Sandbox

__all__ = ["run_steps"]

_EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")


def run_steps(
    sandbox: Sandbox, steps: Sequence[Mapping[str, Any]], folder: Path, env: Mapping[str, str], values: Mapping[str, str]
) -> dict[str, str]:
    """Run the commands of steps in a directory, and return what they write to GITHUB_OUTPUT.

    `values` are those of expressions, also of conditions, of which "true" holds: one that is not there is a KeyError. The outputs of steps
    before are there.
    """
    output, known = folder.parent / "output", dict(values)
    output.touch()
    for step in steps:
        if "run" not in step or known[step.get("if", "always()")] != "true":
            continue
        own = {name: _filled(str(text), known) for name, text in step.get("env", {}).items()}
        script = _filled(step["run"], known)
        variables = {**env, **own, "GITHUB_OUTPUT": str(output), "RUNNER_TEMP": str(folder.parent)}
        words = [f"{name}={value}" for name, value in variables.items()]
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", f"cd {shlex.quote(str(folder))}\n{script}"]
        sandbox.run(["env", *words, *shell])
        written = dict(line.split("=", 1) for line in output.read_text().splitlines())
        known |= {f"steps.{step.get('id')}.outputs.{name}": value for name, value in written.items()}
    return written


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda found: values[found[1]], text)
