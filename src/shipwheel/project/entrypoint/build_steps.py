"""Steps that make files for the image from the project's own: those that deployment files run, and those that it cannot do without."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from shipwheel.project.deployment.build_steps import is_build_step, makes_files
from shipwheel.project.deployment.process import ProcessFiles
from shipwheel.project.deployment.script import ShellCommand
from shipwheel.project.entrypoint.django import missing_static_files
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.protobuf import COMPILER, PROTOC, generated_modules, output_directories, protoc_steps
from shipwheel.project.entrypoint.runnable import Runnable
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.settings.build import StepSettings

__all__ = ["runs_maker", "with_build_steps"]


def with_build_steps(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with the steps that deployment files run, or without which the app lacks its static files or generated modules."""
    if evidence.settings.steps is not None:
        return launch
    if launch.is_program and not launch.declared_at:
        return _with_generated(launch, evidence, scan)
    found: dict[tuple[str, ...], StepSettings] = {}
    places: dict[tuple[str, ...], str] = {}
    for step, place in _declared(_runs(scan), launch, evidence):
        places.setdefault(found.setdefault(_key(step), step).run, place)
    built = tuple(found.values())
    for step, place in _declared(_starts(evidence, scan), launch, evidence):
        places.setdefault(found.setdefault(_key(step), step).run, place)
    missing = missing_static_files(launch, evidence, scan.modules) if evidence.has("whitenoise") else ()
    if missing and not any("collectstatic" in step.run for step in found.values()):
        found[missing] = StepSettings(missing)
    steps = tuple(found.values())
    launch = replace(launch, notes=(*launch.notes, *_makers(launch, evidence, scan)))
    return _with_generated(replace(launch, steps=steps, step_places=places, optional_steps=steps[len(built) :]), evidence, scan)


def runs_maker(words: Sequence[str], directory: str | None, evidence: Evidence) -> bool:
    """Return whether translated words run a file of the project that makes files, such as a model that the app reads."""
    file = posixpath.join(directory or "", words[1]) if words[0] == "python" and len(words) > 1 else ""
    return file.endswith(".py") and evidence.has_file(file) and makes_files(evidence.read_text(file))


def _makers(launch: Launch, evidence: Evidence, scan: Scan) -> Iterator[str]:
    """Yield a note about each file of the project that the Dockerfile runs, and the build does not: it may want a network, or data."""
    for files, command in _runs(scan) if launch.needs_source else ():
        runnable = Runnable(evidence, files)
        if runs_maker(runnable.words(command), runnable.directory(command), evidence):
            yield (
                f"{command.place}: the build does not run `{command.text}`: if the app needs the files that it makes,"
                " name it in [[tool.shipwheel.steps]], or run it before the build."
            )


def _with_generated(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with the steps that generate the modules which the source imports and lacks.

    Generated modules import each other from the directory that protoc writes to, also if that is a package.
    """
    if evidence.kind != "app" or generated_modules(launch.steps):
        return launch
    steps = protoc_steps(evidence, scan.modules, launch.directory)
    extra = () if evidence.has(COMPILER) or not steps else (COMPILER,)
    roots = {launch.directory, *(module.import_root for module in scan.modules)}
    made = (posixpath.normpath(posixpath.join(launch.directory, folder)) for folder in output_directories(steps))
    python_path = tuple(dict.fromkeys((*launch.python_path, *(folder for folder in made if folder.strip(".") not in roots))))
    more = (*launch.extra_requirements, *extra)
    return replace(launch, steps=(*steps, *launch.steps), extra_requirements=more, python_path=python_path)


def _key(step: StepSettings) -> tuple[str, ...]:
    return tuple(word for word in step.run if not word.startswith("-"))


def _declared(
    commands: Iterable[tuple[ProcessFiles, ShellCommand]], launch: Launch, evidence: Evidence
) -> Iterator[tuple[StepSettings, str]]:
    for files, command in commands:
        runnable = Runnable(evidence, files)
        words = runnable.words(command)
        if not is_build_step(words) or command.doubt or command.background or runnable.directory(command) != launch.directory:
            continue
        is_compiler = words[:3] == PROTOC and evidence.has(COMPILER)
        if is_compiler or not runnable.obstacle(words, launch.directory):
            yield StepSettings(words, {name: runnable.value(value) for name, value in command.env}), command.place


def _runs(scan: Scan) -> Iterator[tuple[ProcessFiles, ShellCommand]]:
    """Yield the commands of the Dockerfile's production stage."""
    dockerfile = scan.deployment.dockerfile
    if dockerfile is not None:
        yield from ((dockerfile.files, command) for command in dockerfile.stage.runs)


def _starts(evidence: Evidence, scan: Scan) -> Iterator[tuple[ProcessFiles, ShellCommand]]:
    """Yield the commands that containers run when they start."""
    for process in scan.deployment.processes:
        yield from ((process.files, command) for command in process.commands(evidence.settings.env))
