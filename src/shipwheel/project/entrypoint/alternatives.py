"""Other commands that may serve a project: they are tried if the one that was found has no page, or does nothing."""

from collections.abc import Iterator

from msgspec.structs import replace

from shipwheel.project.entrypoint.declared import needs_server
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch, launch_file
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.reached import modules_by_name, reached_modules
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.entrypoint.scripts import find_console_script
from shipwheel.project.entrypoint.web import find_other_applications

__all__ = ["with_alternatives"]

_MAX_ALTERNATIVES = 3


def with_alternatives(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with the commands of other applications, servers and console scripts, unless a deployment file declares its own."""
    if launch.declared_at:
        return launch
    others = dict.fromkeys(other.command for other in _others(evidence, scan) if other.command != launch.command)
    return replace(launch, alternatives=tuple(others)[:_MAX_ALTERNATIVES])


def _others(evidence: Evidence, scan: Scan) -> Iterator[Launch]:
    yield from find_other_applications(evidence, scan)
    yield from filter(None, [find_console_script(evidence, scan)])
    by_name = modules_by_name(scan.modules)
    for module in scan.modules:
        starts = module.is_script and not module.loopback_only and (module.ports or module.serves)
        if starts and not needs_server(reached_modules(module.name, by_name), scan.modules, evidence):
            yield launch_file(evidence, module, (), "")
    # The pages may be added by what a program calls before it serves.
    packages = {module.top_level for module in scan.modules if module.applications}
    yield from (launch_file(evidence, module, (), "") for module in scan.modules if _is_top_script(module) and module.imports & packages)


def _is_top_script(module: Module) -> bool:
    return module.is_script and "/" not in module.file and ".run" not in module.calls
