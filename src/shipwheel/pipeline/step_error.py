"""The output of a step that failed: the variables that it wants, and the error for people."""

from collections.abc import Container

from shipwheel.errors import BuildError, FailedStep, OptionalStepError, StepLacksModule
from shipwheel.known_packages import shown_requirement
from shipwheel.locking.process import Finished
from shipwheel.pipeline.failed_output import last_lines, write_log
from shipwheel.pipeline.import_proof import unmade_modules
from shipwheel.project.project import Project
from shipwheel.project.submodules import absent_submodules
from shipwheel.settings.build import StepSettings, stated
from shipwheel.signs.endings import lacks_command
from shipwheel.signs.output import SignKind, signs_in
from shipwheel.signs.tracebacks import error_line
from shipwheel.store.store import Store

__all__ = ["step_error", "wanted_variables"]

_START_FAILURES = {126: "it cannot be started", 127: "there is no such program"}


def wanted_variables(finished: Finished, known: Container[str]) -> tuple[str, ...]:
    """Return the environment variables that a step asks for and did not get."""
    signs = signs_in(f"{finished.stdout}\n{finished.stderr}") if finished.code != 0 else ()
    return tuple(dict.fromkeys(sign.subject for sign in signs if sign.kind is SignKind.VARIABLE and sign.subject not in known))


def step_error(step: StepSettings, finished: Finished, store: Store, project: Project) -> BuildError:
    """Return the error for a step that failed; its whole output goes to a file in the store."""
    shown = f"`{' '.join(step.run)}`"
    place = project.launch.step_places.get(step.run, "") if project.launch is not None and project.settings.steps is None else ""
    output = f"{finished.stdout}\n{finished.stderr}"
    log = write_log(store, f"{project.name}-step", output)
    why = _START_FAILURES.get(finished.code, f"exit status {finished.code}")
    message = f"{place}{': ' if place else ''}the step {shown} failed ({why}):\n  {last_lines(output)}\n  whole output: {log}"
    hints = []
    module = _lacking_module(output, project)
    if module:
        package = shown_requirement(module) or f"the package that brings {module}"
        hints.append(f"Add {package} to the project's dependencies or to the setting `dependencies`, or choose an extra or group with it.")
    elif wanted := wanted_variables(finished, ()):
        values = ", ".join(f'{variable} = "…"' for variable in wanted)
        hints.append(f"It wants {', '.join(wanted)}, for which any value may do: env = {{{values}}} below [[tool.shipwheel.steps]].")
    else:
        hints.append("It sees the image's environment and no network; env and network below [[tool.shipwheel.steps]] change that.")
    if "flask" in shown and lacks_command(output):
        hints.append(
            "Flask also says so of an application that it cannot import: with steps = [], `shipwheel init` finds what that misses."
        )
    if project.settings.steps is None:
        hints.append(
            "The project's files name this step; steps = [] in the settings leaves it out. "
            "Then before-start can run it when a container starts, with a volume for what it writes."
        )
    hint, others = " ".join(hints), tuple(stated(other) for other in project.steps if other != step)
    if project.has_only_optional_steps:
        return OptionalStepError(message, hint=hint)
    if module:
        return StepLacksModule(message, (module,), hint=hint, unlisted=project.unlisted, others=others)
    return FailedStep(message, hint=hint, others=others)


def _lacking_module(output: str, project: Project) -> str:
    """Return the top-level module that the last error of a step misses; empty if its error is another.

    One that the project has, or that a person makes or checks out, is not to be had from the index.
    """
    missing = next((sign.subject for sign in signs_in(error_line(output)) if sign.kind is SignKind.MODULE), "")
    top = missing.partition(".")[0]
    is_own = any((project.root / path).exists() for path in (top, f"{top}.py", f"src/{top}", f"src/{top}.py"))
    is_own = is_own or any(unmade_modules(project, (top,))) or top in absent_submodules(project.root)
    return "" if is_own or top != missing else top
