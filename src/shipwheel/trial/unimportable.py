"""Applications that a server cannot import, although Python may well run their file as a program."""

from shipwheel.signs.output import parsing_server
from shipwheel.signs.tracebacks import circular_module
from shipwheel.trial.finding import Finding, FindingKind

__all__ = ["unimportable"]


def unimportable(log: str) -> Finding | None:
    """Return why the import of an application failed, if its own order of imports or its parser of arguments is the cause."""
    if module := circular_module(log):
        message = f"{module} imports itself in a circle when a server imports it"
        hint = "Set `command` to serve the application from the module that makes it, or to run its file: python FILE. `init` tries that."
        return Finding(FindingKind.UNIMPORTABLE, message, hint, module, _line(log, "circular import"), blocks=True)
    if server := parsing_server(log):
        message = f"the application parses the command line when it is imported, and refuses the arguments of {server}"
        hint = 'Parse it below `if __name__ == "__main__":` only; or set `command` to run the file: python FILE. `init` tries that.'
        return Finding(FindingKind.UNIMPORTABLE, message, hint, server, _line(log, f"{server}: error: "), blocks=True)
    return None


def _line(log: str, text: str) -> str:
    return next((line.strip()[:400] for line in reversed(log.splitlines()) if text in line), "")
