"""Facts of a project's source for a trial of its image."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shipwheel.pipeline.build import Built
    from shipwheel.project.entrypoint.module import Module
    from shipwheel.project.project import Project
    from shipwheel.trial.source_facts import HostRule, SourceFacts

__all__ = ["source_facts"]

_DEVELOPMENT = re.compile(r"(^|[/._-])(tests?|dev|development|local|ci)([/._-]|$)")


def source_facts(built: "Built") -> "SourceFacts":
    """Return the facts of a project that was built, from the modules that were read to find its command, and from its wheel."""
    from shipwheel.project.entrypoint.config_addresses import find_config_addresses
    from shipwheel.trial.source_facts import SourceFacts

    project = built.resolution.project
    modules = project.scanner.scan_modules() if project.scanner is not None else ()
    production = [module for module in modules if not _DEVELOPMENT.search(module.file)]
    binds = tuple((f"{module.file}, line {module.bind_line}", module.bind) for module in production if module.bind)
    binds += find_config_addresses(project.root, project.files) if not project.only else ()
    files = project.scanner.scan_deployment().built if project.scanner is not None else ()
    unmade = tuple((it.path, it.instruction, it.place) for it in files if not it.is_there and not it.is_made)
    unpackaged = tuple(file for wheel in built.wheels for file in wheel.unpackaged)
    prefixes = tuple(prefix for module in production for prefix in module.prefixes)
    hosts = tuple(rule for module in production for rule in _rules(module))
    return SourceFacts(hosts, binds, unmade, unpackaged, prefixes, _serving(project))


def _serving(project: "Project") -> str:
    """Return why a project is a server although its command is a command-line program; empty if nothing says so."""
    launch = project.launch
    if launch is None or not launch.is_program or launch.ports:
        return ""
    if launch.application:
        return f"the project has a web application, which `{' '.join(launch.application)}` would serve"
    deployment = project.scanner.scan_deployment() if project.scanner is not None else None
    exposing = next((each for each in deployment.settings if each.ports), None) if deployment is not None else None
    return f"{exposing.place} exposes port {exposing.ports[0]}" if exposing is not None else ""


def _rules(module: "Module") -> "Iterator[HostRule]":
    from shipwheel.trial.source_facts import HostRule

    for found in module.allowed_hosts:
        yield HostRule(f"{module.file}, line {found.line}", found.name, found.hosts, found.variables)
