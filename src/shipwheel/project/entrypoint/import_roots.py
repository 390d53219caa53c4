"""The directories of a project that its command imports from, beside the one that it starts in."""

import sys
from collections.abc import Sequence

from msgspec.structs import replace

from shipwheel.known_packages import PACKAGE_OF_MODULE
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch, import_roots, started_modules
from shipwheel.project.entrypoint.module import Module
from shipwheel.versions import normalized

__all__ = ["with_import_roots"]


def with_import_roots(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Launch:
    """Return the launch with the directories on its import path that alone have a module which it imports, as PYTHONPATH=../lib does.

    The project's directory has to be in the image.
    """
    if not launch.needs_source:
        return launch
    here = import_roots(launch)
    reached = started_modules(launch, evidence.scripts, modules)
    elsewhere = [module for module in reached if module.import_root and module.import_root not in here]
    roots = dict.fromkeys(module.import_root for module in elsewhere if _is_only_there(module, evidence, modules))
    return replace(launch, python_path=(*launch.python_path, *roots)) if roots else launch


def _is_only_there(module: Module, evidence: Evidence, modules: Sequence[Module]) -> bool:
    """Return whether a module's name stands for nothing else: no module of another directory, of Python, or of a dependency."""
    top = module.top_level
    if (
        top in sys.stdlib_module_names
        or top in evidence.packaged
        or evidence.has(normalized(top), normalized(PACKAGE_OF_MODULE.get(top, top)))
    ):
        return False
    return all(each.import_root == module.import_root for each in modules if each.top_level == top)
