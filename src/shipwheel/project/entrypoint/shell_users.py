"""Programs that cannot do without a shell: they call functions that hand a command line to one, whatever it is."""

from collections.abc import Mapping, Sequence

from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.reached import entry_module, reached_modules

__all__ = ["shell_call"]

_CALLS = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"})
"""Functions that start `/bin/sh`. Without one, `os.system` returns 127 and says nothing."""


def shell_call(launch: Launch, scripts: Mapping[str, str], modules: Sequence[Module]) -> str:
    """Return "FILE calls os.system" of a module that the command runs, or that is imported with it; empty if none starts a shell."""
    by_name = {module.name: module for module in modules}
    reached = reached_modules(entry_module(launch.source_command, launch.directory, scripts, by_name), by_name)
    return next((f"{module.file} calls {min(calls)}" for module in reached if (calls := module.calls & _CALLS)), "")
