"""Modules of a project's directory that its wheel lacks and its application imports: it runs in its directory, and not from a wheel."""

import sys
from collections.abc import Sequence

from shipwheel.known_packages import package_of_module
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch, started_modules
from shipwheel.project.entrypoint.module import Module
from shipwheel.versions import normalized

__all__ = ["imports_beside_wheel"]


def imports_beside_wheel(evidence: Evidence, launch: Launch, modules: Sequence[Module]) -> tuple[str, ...]:
    """Return the sorted names of packages and files at the top of the project that the wheel lacks and the command's modules import.

    A name that the standard library has, or a dependency may bring, is not among them.
    """
    own = [module for module in modules if not module.import_root]
    started = started_modules(launch, evidence.scripts, own)
    required = {name.partition(".")[0] for module in started for name, _ in module.required}
    beside = {module.top_level for module in own} - evidence.packaged - sys.stdlib_module_names
    return tuple(sorted(name for name in required & beside if not evidence.has(normalized(name), normalized(package_of_module(name)))))
