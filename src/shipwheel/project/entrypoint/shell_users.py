"""Programs that cannot do without a shell: they call functions that hand a command line to one, whatever it is."""

from collections.abc import Mapping, Sequence

from shipwheel.project.entrypoint.launch import Launch, started_modules
from shipwheel.project.entrypoint.module import Module

__all__ = ["shell_call"]

_CALLS = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"})
"""Functions that start `/bin/sh`. Without one, `os.system` returns 127 and says nothing."""


def shell_call(launch: Launch, scripts: Mapping[str, str], modules: Sequence[Module]) -> str:
    """Return "FILE calls os.system" of a module that the command runs, or that is imported with it; empty if none starts a shell."""
    reached = started_modules(launch, scripts, modules)
    return next((f"{module.file} calls {min(calls)}" for module in reached if (calls := module.calls & _CALLS)), "")
