"""Modules of a project's directory that its wheel lacks and its application imports: it runs in its directory, and not from a wheel."""

import sys
from collections.abc import Sequence

from shipwheel.known_packages import requirement_of_module
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.reached import entry_module, reached_modules
from shipwheel.versions import normalized

__all__ = ["imports_beside_wheel"]


def imports_beside_wheel(evidence: Evidence, launch: Launch, modules: Sequence[Module]) -> tuple[str, ...]:
    """Return the sorted names of packages and files at the top of the project that the wheel lacks and the command's modules import.

    A name that the standard library has, or a dependency may bring, is not among them.
    """
    by_name = {module.name: module for module in modules if not module.import_root}
    reached = reached_modules(entry_module(launch.command, launch.directory, evidence.scripts, by_name), by_name)
    required = {name.partition(".")[0] for module in reached for name, _ in module.required}
    beside = {module.top_level for module in by_name.values()} - evidence.packaged - sys.stdlib_module_names
    return tuple(sorted(name for name in required & beside if not evidence.has(normalized(name), _package_of(name))))


def _package_of(module: str) -> str:
    return normalized((requirement_of_module(module) or module).partition("<")[0])
