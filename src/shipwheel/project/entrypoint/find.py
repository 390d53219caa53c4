"""The production command of a project, with its ports, volumes and one-time steps, found by reading.

`_FINDERS` is the order of precedence. Dependencies are compared by their exact normalised names.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from shipwheel.errors import NoCommand, ProjectError
from shipwheel.project.deployment.process import DeploymentFile
from shipwheel.project.entrypoint.aliases import with_aliases
from shipwheel.project.entrypoint.alternatives import with_alternatives
from shipwheel.project.entrypoint.build_steps import with_build_steps
from shipwheel.project.entrypoint.command_address import tool_of
from shipwheel.project.entrypoint.copies import with_copies
from shipwheel.project.entrypoint.declared import (
    declared_finder,
    declared_steps,
    directory_notes,
    embedding_finder,
    own_command_finder,
    own_program_finder,
    unused_commands,
)
from shipwheel.project.entrypoint.django import (
    refuse_own_template,
    refuse_template,
    with_settings_module,
    with_static_files,
    with_static_front,
    without_static_volume,
    without_templates,
)
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.file_servers import (
    find_file_server,
    find_reflex,
    find_twisted,
    find_voila,
    with_chainlit_files,
    with_framework_settings,
    with_reflex_files,
)
from shipwheel.project.entrypoint.flask_steps import with_flask_steps
from shipwheel.project.entrypoint.front_ends import with_front_ends
from shipwheel.project.entrypoint.image_settings import with_argument_volumes, with_image_settings
from shipwheel.project.entrypoint.import_roots import with_import_roots
from shipwheel.project.entrypoint.launch import Finder, Launch, launch_file, with_server
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.near_misses import find_near_miss
from shipwheel.project.entrypoint.open_address import with_open_address
from shipwheel.project.entrypoint.pastedeploy import find_pastedeploy
from shipwheel.project.entrypoint.processes import with_processes
from shipwheel.project.entrypoint.project_paths import find_outside_wheel, is_within
from shipwheel.project.entrypoint.protocol_servers import chooses_transport
from shipwheel.project.entrypoint.python_2 import refuse_python_2
from shipwheel.project.entrypoint.scan import Scan, Scanner
from shipwheel.project.entrypoint.scripts import find_console_script, find_installed_file, find_only_file, find_script, list_programs
from shipwheel.project.entrypoint.servers import GUNICORN_SETTINGS
from shipwheel.project.entrypoint.volumes import check_volumes, with_state, with_volumes
from shipwheel.project.entrypoint.web import (
    find_run_object,
    find_served_web_application,
    find_surrounding_program,
    find_unrequired_web_application,
    find_web_application,
)
from shipwheel.project.entrypoint.workers import find_worker
from shipwheel.project.entrypoint.working_directory import in_named_directory, with_working_directory

__all__ = ["Evidence", "Launch", "find_launch"]


_DEPLOYED = tuple(kind for kind in DeploymentFile if kind is not DeploymentFile.TASK)
"""The files that say how the app runs in production."""


def _unless_declared(finder: Finder) -> Finder:
    """Return a finder that finds nothing if a deployment file declares a command that the image can run."""
    declared = [own_command_finder(kind) for kind in _DEPLOYED]

    def find(evidence: Evidence, scan: Scan) -> Launch | None:
        return None if any(other(evidence, scan) is not None for other in declared) else finder(evidence, scan)

    return find


_FINDERS: tuple[Finder, ...] = (
    refuse_own_template,  # no command: a template of Django projects is none itself
    own_command_finder(DeploymentFile.PROCFILE),  # a Procfile's `web` line, or its only one
    declared_finder(DeploymentFile.COMPOSE),  # the server, worker or console script that a compose file's service runs,
    declared_finder(DeploymentFile.DOCKERFILE),  # a Dockerfile,
    declared_finder(DeploymentFile.PLATFORM),  # fly.toml, render.yaml, app.yaml, railway.toml,
    declared_finder(DeploymentFile.SYSTEMD),  # or a systemd unit
    find_reflex,  # no command: a Reflex app wants node
    _unless_declared(find_surrounding_program),  # a program that runs a web application beside its own work
    *map(embedding_finder, _DEPLOYED),  # a file of the project that one of these runs, with a server in its own event loop
    find_served_web_application,  # a web application whose server is among the dependencies
    find_pastedeploy,  # PasteDeploy's production.ini: the console scripts beside it make its tables
    *map(own_program_finder, _DEPLOYED),  # a file of the project that one of these runs, if that is no application without a server
    _unless_declared(find_console_script),  # a package's console script, unless one of these files runs something else
    find_web_application,  # a web application whose server must be added
    find_file_server,  # Streamlit, Gradio and others that run a file
    *map(own_command_finder, DeploymentFile),  # any other file that one of these runs, or a project manager's task
    find_twisted,  # Twisted's .tac file
    find_voila,  # notebooks, if Voilà is among the dependencies
    find_worker,  # Celery and other workers
    find_installed_file,  # a file that setup.py installs as a command
    find_script,  # main.py, PACKAGE/__main__.py, the only script
    find_unrequired_web_application,  # a web application of a package that does not require its framework
    refuse_template,  # no command: there is nothing but a template of Django projects
    find_only_file,  # a script without a main guard
)
"""The finders of a command, most reliable first. The settings come before all of them."""
_MAX_PATH = 200
_MAX_PROGRAMS = 6
_ANY = ("PROGRAM", "ARGUMENT")
_TRANSLATORS = ("django", "flask-babel", "flask-babelex", "flask-babelplus", "fastapi-babel", "quart-babel")


def find_launch(evidence: Evidence, scanner: Scanner | None = None) -> Launch:
    """Return the command that starts a project.

    A `scanner` that several calls share reads the project's source only once. Raises ProjectError, with the settings to add, if there is
    no command or it needs a shell, UsageError if a volume of the settings would hide what the image runs.
    """
    scanner = scanner or Scanner(evidence.root, evidence.single_file)
    deployment = scanner.scan_deployment()
    evidence = replace(evidence, declared_port=deployment.port)
    launch = _from_settings(evidence)
    if launch is None:
        scan = _with_transport(without_templates(scanner.scan_project()), evidence)
        launch = _find(evidence, scan)
        if launch is None and evidence.kind == "app":
            other = _with_transport(scanner.scan_named_as_tests(), evidence)
            if other.modules != scan.modules:
                scan, launch = other, _find(evidence, other)
        if launch is not None:
            launch = with_alternatives(_with_application(launch, evidence, scan), evidence, scan)
            launch = with_working_directory(launch, evidence, scan)
    elif _source_matters(evidence, launch):
        scan = _with_transport(Scan(scanner.scan_modules(), deployment), evidence)
    else:
        scan = Scan((), deployment)
    if not evidence.settings.command:
        refuse_python_2(launch, evidence.scripts, scan.modules)
    if launch is None:
        raise _no_command(evidence, scan)
    if evidence.settings.command:
        launch = in_named_directory(launch, evidence, scan)
    if not evidence.settings.command and not evidence.settings.entrypoint:
        launch = replace(launch, notes=(*launch.notes, *unused_commands(evidence, scan, launch), *directory_notes(evidence, scan, launch)))
    return _completed(launch, evidence, scan)


def _find(evidence: Evidence, scan: Scan) -> Launch | None:
    return next((found for finder in _FINDERS if (found := finder(evidence, scan)) is not None), None)


def _with_transport(scan: Scan, evidence: Evidence) -> Scan:
    """Return the scan without the ports of servers that are spoken to over their standard input, as nothing chooses another transport."""
    settings = evidence.settings
    words = [*settings.command, *settings.entrypoint, *settings.env.values(), *settings.processes.get("web", ())]
    for process in scan.deployment.processes:
        words += (*process.words, *process.arguments, *process.text.split(), *process.variables.values())
    return scan if chooses_transport(words) else replace(scan, modules=tuple(module.over_input() for module in scan.modules))


def _with_application(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return a command-line program, or a script, with the command that would serve the project's web application, if it has one."""
    if launch.is_program and launch.ports:
        return launch
    with suppress(ProjectError):
        other = find_web_application(evidence, scan) if launch.is_program else find_run_object(launch, evidence, scan)
        if other is not None:
            return replace(launch, application=other.command, application_reason=other.reason)
    return launch


def _from_settings(evidence: Evidence) -> Launch | None:
    settings = evidence.settings
    if settings.entrypoint:
        return Launch(settings.entrypoint, True, settings.command, reason="The setting `entrypoint` names it.")
    if settings.command:
        return with_server(Launch(settings.command, reason="The setting `command` names it."), evidence)
    if web := settings.processes.get("web"):
        return with_server(Launch(web, reason="The setting `processes.web` names it."), evidence)
    return None


def _source_matters(evidence: Evidence, launch: Launch) -> bool:
    """Return whether the source can add to a command from the settings: static files, volumes, what the wheel lacks."""
    return evidence.has("whitenoise") or not (launch.is_program or (evidence.settings.volumes and evidence.kind == "app"))


def _completed(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with what deployment files say, static files, ports, volumes and the project's directory if it needs that."""
    modules = scan.modules
    if not launch.is_program:
        steps, notes = declared_steps(evidence, scan, launch.before_start)
        launch = replace(launch, before_start=steps, every_start=steps, notes=(*launch.notes, *notes))
    launch = with_chainlit_files(with_open_address(launch, evidence, modules), evidence)
    launch = with_framework_settings(with_reflex_files(launch, evidence), evidence, modules)
    if evidence.has("whitenoise"):
        launch = with_static_files(launch, evidence, modules)
    started = (*([launch.command] if launch.declared_at else []), *launch.before_start)
    needs_source = evidence.kind == "app" or launch.needs_source or _names_source(evidence, launch)
    needs_source = needs_source or any(_reads_directory(evidence, words) for words in started) or _reads_own_files(evidence, modules)
    launch = replace(launch, needs_source=needs_source)
    launch = with_image_settings(launch, evidence, scan.deployment.settings)
    needs_source = needs_source or _has_files_in_variables(evidence, launch)
    launch = replace(launch, needs_source=needs_source)
    launch = with_flask_steps(with_settings_module(launch, evidence, scan.modules), evidence)
    launch = with_argument_volumes(launch, evidence)
    launch = with_copies(with_aliases(_with_surroundings(launch, evidence, scan), evidence, scan), evidence, scan)
    is_installed = launch.is_program or launch.command[0] in evidence.scripts
    outside_wheel = () if needs_source or is_installed else find_outside_wheel(evidence, launch, modules)
    ports = evidence.settings.ports or launch.ports
    launch = with_build_steps(replace(launch, ports=ports, outside_wheel=outside_wheel), evidence, scan)
    launch = without_static_volume(launch, evidence, modules)
    launch = with_front_ends(launch, evidence, scan)
    launch = with_import_roots(launch, evidence, modules)
    if _from_settings(evidence) is None:
        launch = with_static_front(launch, evidence, modules)
    launch = with_volumes(with_processes(launch, evidence, scan), evidence, modules)
    launch = with_state(with_flask_steps(launch, evidence), evidence)
    # Steps such as Django's migrations name a file that no wheel has.
    steps = (*launch.before_start, *(step.run for step in evidence.settings.steps or launch.steps))
    in_source = any(_names_source(evidence, replace(launch, command=step)) for step in steps)
    launch = replace(launch, needs_source=launch.needs_source or in_source)
    check_volumes(launch, evidence)
    return launch


def _translator(evidence: Evidence) -> str:
    """Return the package that reads compiled translations, and compiles none itself; empty if there is none."""
    return next((name for name in _TRANSLATORS if evidence.has(name)), "")


def _with_surroundings(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with the app's companions and health check."""
    deployment = scan.deployment
    notes = list(deployment.notes)
    if deployment.companions:
        notes.append(f"The app is deployed together with {', '.join(deployment.companions)}: give it their addresses when it starts.")
    return replace(
        launch,
        companions=deployment.companions,
        health=deployment.health,
        translations=deployment.translations or _translator(evidence),
        notes=(*launch.notes, *notes),
    )


def _names_source(evidence: Evidence, launch: Launch) -> bool:
    """Return whether a command reads a file of the directory, or names a module that the wheel lacks: manage.py, main:app."""
    prefix = f"{launch.directory}/" if launch.directory else ""
    if tool_of(launch.command) == "gunicorn" and evidence.has_file(prefix + GUNICORN_SETTINGS):
        return True
    for option in launch.command[1:]:
        word = option.partition("=")[2] if option.startswith("-") else option
        if not word or len(word) > _MAX_PATH or "\0" in word:
            continue
        if evidence.has_file(prefix + word):
            return True
        top = re.split(r"[.:]", word)[0]
        own = top.isidentifier() and top not in evidence.packaged
        if own and (evidence.has_file(f"{prefix}{top}.py") or evidence.has_file(f"{prefix}{top}/__init__.py")):
            return True
    return False


def _reads_directory(evidence: Evidence, words: tuple[str, ...]) -> bool:
    """Return whether a program of a dependency names nothing of the wheel: `fastapi run`, `alembic upgrade head`.

    It finds what it runs, or its configuration, in the directory that it starts in.
    """
    named = (re.split(r"[.:]", word.rpartition("=")[2])[0] for word in words[1:])
    return words[0] not in evidence.scripts and evidence.packaged.isdisjoint(named)


def _has_files_in_variables(evidence: Evidence, launch: Launch) -> bool:
    """Return whether a variable names a file or directory of the project, which is where the image has its directory: /app/plugins."""
    values = (part for value in {**launch.env, **evidence.settings.env}.values() for part in value.split(":"))
    inside = (part[len(evidence.workdir) + 1 :] for part in values if is_within(part, [evidence.workdir]) and part != evidence.workdir)
    return evidence.workdir not in ("", "/") and any(evidence.exists(path) for path in inside)


def _reads_own_files(evidence: Evidence, modules: Sequence[Module]) -> bool:
    """Return whether the package reads files of the project by paths from the working directory, as `open("data/names.txt")` does."""
    own = (module for module in modules if module.top_level in evidence.packaged)
    return any(evidence.exists(path) for module in own for path in module.paths.here)


def _no_command(evidence: Evidence, scan: Scan) -> NoCommand:
    scripts = sorted(evidence.scripts)
    several = f" among the console scripts {', '.join(scripts)}" if scripts else ""
    where = "[tool.shipwheel]" if evidence.has_file("pyproject.toml") else "shipwheel.toml"
    programs = list_programs(evidence, scan)
    first = next((module for module in scan.modules if module.file in programs[:1]), None)
    words = launch_file(evidence, first, (), "").command if first is not None else ("python", *programs[:1]) if programs else _ANY
    example = json.dumps([scripts[0]] if scripts else words)
    shown = f" Its programs are {', '.join(programs[:_MAX_PROGRAMS])}{' and more' if programs[_MAX_PROGRAMS:] else ''}." if programs else ""
    if (near := find_near_miss(evidence, scan)) is not None:
        return NoCommand(f"{evidence.root}: no command to start was found: {near.reason}", hint=near.hint)
    hint = f"Set it in {where}: command = {example}, and for a service ports = [8000].{shown}"
    if evidence.kind == "package" and not (programs or scripts):
        hint = f"{evidence.name} may be a library: build the project that requires it. If it starts something itself, set that in {where}:"
        hint += f" command = {json.dumps(_ANY)}, and for a service ports = [8000]."
    if reasons := unused_commands(evidence, scan, Launch(())):
        return NoCommand(f"{evidence.root}: no command to start was found{several}. {' '.join(reasons)}", hint=hint)
    return NoCommand(
        f"{evidence.root}: no command to start was found{several}. Looked for a Procfile, a console script, an application of a web"
        " framework (in main.py, app.py, PACKAGE/main.py, …), manage.py, an app of Streamlit, Gradio, Chainlit, Panel, NiceGUI and similar,"
        " a Dockerfile, a worker of Celery and similar, PACKAGE/__main__.py, and a script",
        hint=hint,
    )
