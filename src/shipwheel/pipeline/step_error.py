"""The output of a step that failed: the variables that it wants, and the error for people."""

from collections.abc import Container

from shipwheel.errors import BuildError, OptionalStepError
from shipwheel.locking.process import Finished
from shipwheel.pipeline.failed_output import last_lines, write_log
from shipwheel.project.project import Project
from shipwheel.signs.output import SignKind, signs_in
from shipwheel.store.store import Store

__all__ = ["step_error", "wanted_variables"]

_START_FAILURES = {126: "it cannot be started", 127: "there is no such program"}


def wanted_variables(finished: Finished, known: Container[str]) -> tuple[str, ...]:
    """Return the environment variables that a step asks for and did not get."""
    signs = signs_in(f"{finished.stdout}\n{finished.stderr}") if finished.code != 0 else ()
    return tuple(dict.fromkeys(sign.subject for sign in signs if sign.kind is SignKind.VARIABLE and sign.subject not in known))


def step_error(shown: str, finished: Finished, store: Store, project: Project) -> BuildError:
    """Return the error for a step that failed; its whole output goes to a file in the store."""
    output = f"{finished.stdout}\n{finished.stderr}"
    log = write_log(store, f"{project.name}-step", output)
    hints = []
    if wanted := wanted_variables(finished, ()):
        values = ", ".join(f'{variable} = "…"' for variable in wanted)
        hints.append(f"It wants {', '.join(wanted)}, for which any value may do: env = {{{values}}} below [[tool.shipwheel.steps]].")
    else:
        hints.append("It sees the image's environment and no network; env and network below [[tool.shipwheel.steps]] change that.")
    if project.settings.steps is None:
        hints.append(
            "The project's files name this step; steps = [] in the settings leaves it out. "
            "Then before-start can run it when a container starts, with a volume for what it writes."
        )
    why = _START_FAILURES.get(finished.code, f"exit status {finished.code}")
    kind = OptionalStepError if project.has_only_optional_steps else BuildError
    return kind(f"the step {shown} failed ({why}):\n  {last_lines(output)}\n  whole output: {log}", hint=" ".join(hints))
