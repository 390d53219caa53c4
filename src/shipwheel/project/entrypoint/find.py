"""The production command of a project, with its ports, volumes and one-time steps, found by reading.

`_FINDERS` is the order of precedence. Dependencies are compared by their exact normalised names.
"""

import re
from dataclasses import replace

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.django import with_static_files
from shipwheel.project.entrypoint.dockerfile_command import find_dockerfile_command, find_dockerfile_script
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.file_servers import find_file_server, find_twisted, find_voila
from shipwheel.project.entrypoint.launch import Finder, Launch
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.pastedeploy import find_pastedeploy
from shipwheel.project.entrypoint.procfile import find_procfile_command
from shipwheel.project.entrypoint.project_paths import find_outside_wheel
from shipwheel.project.entrypoint.scan import Scan, Scanner
from shipwheel.project.entrypoint.scripts import find_console_script, find_script
from shipwheel.project.entrypoint.servers import PROGRAM_PACKAGES
from shipwheel.project.entrypoint.volumes import with_state, with_volumes
from shipwheel.project.entrypoint.web import find_served_web_application, find_web_application
from shipwheel.project.entrypoint.workers import find_worker

__all__ = ["Evidence", "Launch", "find_launch"]

_FINDERS: tuple[Finder, ...] = (
    find_procfile_command,  # a Procfile's `web` line, or its only one
    find_served_web_application,  # a web application whose server is among the dependencies
    find_dockerfile_script,  # the console script that a Dockerfile runs
    find_console_script,  # a package's console script
    find_web_application,  # a web application whose server must be added
    find_file_server,  # Streamlit, Gradio and others that run a file
    find_dockerfile_command,  # any other command in a Dockerfile
    find_pastedeploy,  # PasteDeploy's production.ini
    find_twisted,  # Twisted's .tac file
    find_voila,  # notebooks, if Voilà is among the dependencies
    find_worker,  # Celery and other workers
    find_script,  # main.py, PACKAGE/__main__.py, the only script
)
"""The finders of a command, most reliable first. The settings come before all of them."""
_MAX_PATH = 200


def find_launch(evidence: Evidence, scanner: Scanner | None = None) -> Launch:
    """Return the command that starts a project.

    A `scanner` that several calls share reads the project's source only once. Raises ProjectError, with the settings to add, if there is
    no command or it needs a shell.
    """
    scanner = scanner or Scanner(evidence.root, evidence.single_file)
    launch = _from_settings(evidence)
    if launch is None:
        scan = scanner.scan_project()
        launch = next((found for finder in _FINDERS if (found := finder(evidence, scan)) is not None), None)
    elif _source_matters(evidence, launch):
        scan = Scan(scanner.scan_modules())
    else:
        scan = Scan()
    if launch is None:
        raise _no_command(evidence)
    return _completed(launch, evidence, scan.modules)


def _from_settings(evidence: Evidence) -> Launch | None:
    settings = evidence.settings
    if settings.entrypoint:
        return Launch(settings.entrypoint, True, settings.command, reason="The setting `entrypoint` names it.")
    if settings.command:
        return Launch(settings.command, reason="The setting `command` names it.")
    return None


def _source_matters(evidence: Evidence, launch: Launch) -> bool:
    """Return whether the source can add to a command from the settings: static files, volumes, what the wheel lacks."""
    return evidence.has("whitenoise") or not (launch.is_program or (evidence.settings.volumes and evidence.kind == "app"))


def _completed(launch: Launch, evidence: Evidence, modules: tuple[Module, ...]) -> Launch:
    """Return the launch with static files, ports, volumes and the project's directory where the command needs it."""
    if evidence.has("whitenoise"):
        launch = with_static_files(launch, evidence, modules)
    needs_source = evidence.kind == "app" or launch.needs_source or _names_source(evidence, launch.command)
    is_installed = launch.is_program or launch.command[0] in evidence.scripts
    outside_wheel = () if needs_source or is_installed else find_outside_wheel(evidence, modules)
    ports = evidence.settings.ports or launch.ports
    launch = replace(_with_server(launch, evidence), ports=ports, needs_source=needs_source, outside_wheel=outside_wheel)
    return with_state(with_volumes(launch, evidence, modules), evidence)


def _with_server(launch: Launch, evidence: Evidence) -> Launch:
    """Return the launch with the Python package of a server that its command names and the project does not depend on."""
    package = PROGRAM_PACKAGES.get(launch.command[0])
    if package is None or launch.command[0] in evidence.scripts or evidence.has(package) or package in launch.extra_requirements:
        return launch
    return replace(launch, extra_requirements=(*launch.extra_requirements, package))


def _names_source(evidence: Evidence, command: tuple[str, ...]) -> bool:
    """Return whether a command names a file of the directory, or a module that the wheel lacks: manage.py, main:app."""
    for word in command[1:]:
        if word.startswith("-") or not word or len(word) > _MAX_PATH or "\0" in word:
            continue
        if evidence.has_file(word):
            return True
        top = re.split(r"[.:]", word)[0]
        own = top.isidentifier() and top not in evidence.packaged
        if own and (evidence.has_file(f"{top}.py") or evidence.has_file(f"{top}/__init__.py")):
            return True
    return False


def _no_command(evidence: Evidence) -> ProjectError:
    scripts = sorted(evidence.scripts)
    several = f" among the console scripts {', '.join(scripts)}" if scripts else ""
    where = "[tool.shipwheel]" if evidence.has_file("pyproject.toml") else "shipwheel.toml"
    example = f'["{scripts[0]}"]' if scripts else '["python", "main.py"]'
    return ProjectError(
        f"{evidence.root}: no command to start was found{several}. Looked for a Procfile, a console script, an application of a web"
        " framework (in main.py, app.py, PACKAGE/main.py, …), manage.py, an app of Streamlit, Gradio, Chainlit, Panel, NiceGUI and similar,"
        " a Dockerfile, a worker of Celery and similar, PACKAGE/__main__.py, and a script",
        hint=f"Set it in {where}: command = {example}, and for a service ports = [8000].",
    )
