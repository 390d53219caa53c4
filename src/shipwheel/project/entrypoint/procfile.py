"""The command in a Procfile."""

import re

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.command_line import parse_command
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.scan import Scan

__all__ = ["ProcessType", "find_procfile_command", "parse_procfile"]

ProcessType = tuple[int, str]
"""(line number, command line)"""

_LINE = re.compile(r"^\s*([A-Za-z0-9_-]+)\s*:\s*(.*?)\s*$")
_DEFAULT_PORT = "8000"


def find_procfile_command(evidence: Evidence, scan: Scan) -> Launch | None:
    """Return the command of the `web` process type, or of the only one.

    Raises ProjectError if there are several and none is called web, or if the command needs a shell.
    """
    if scan.procfile is None:
        return None
    path = evidence.root / "Procfile"
    types = {name: found for name, found in parse_procfile(scan.procfile).items() if name != "release"}
    if not types:
        return None
    name = "web" if "web" in types else next(iter(types))
    if name != "web" and len(types) > 1:
        raise ProjectError(
            f"{path} has several process types and none is called web: {', '.join(types)}",
            hint='Choose one in the settings: command = ["...", "..."].',
        )
    port = evidence.port or evidence.settings.env.get("PORT") or _DEFAULT_PORT
    line, text = types[name]
    env, words = parse_command(text, f"{path}, line {line}", {"PORT": port, **evidence.settings.env})
    if name == "web":
        # Some servers, among them gunicorn, read PORT themselves.
        env = {"PORT": port, **env}
    others = [other for other in types if other != name]
    return Launch(
        words,
        ports=(f"{port}/tcp",) if name == "web" else (),
        env=env,
        reason=f"The Procfile names it as {name}" + (f"; it also has {', '.join(others)}." if others else "."),
    )


def parse_procfile(text: str) -> dict[str, ProcessType]:
    """Return process type -> (line number, command line). Lines that define no process type are ignored."""
    found: dict[str, ProcessType] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#") and (match := _LINE.match(line)) and match[2]:
            found.setdefault(match[1], (number, match[2]))
    return found
