"""Programs that a file of another kind than Python's describes: PasteDeploy's ini, Twisted's tac, a notebook for Voilà."""

import configparser
import re
from pathlib import Path

from shipwheel.errors import ProjectError
from shipwheel.project.entrypoint.launch import Evidence, Launch
from shipwheel.project.entrypoint.scan import Module, parse_module
from shipwheel.project.entrypoint.servers import EVERYWHERE
from shipwheel.settings import read_text

__all__ = ["launch_described"]

_INI = ("production.ini", "prod.ini")
"""Not development.ini, whose application has a debugger that runs what a visitor types."""


def launch_described(evidence: Evidence, _modules: tuple[Module, ...]) -> Launch | None:
    """What an ini, a tac file or a notebook in the project's directory starts."""
    return None if evidence.only else _paste(evidence) or _twisted(evidence) or _notebook(evidence)


def _paste(evidence: Evidence) -> Launch | None:
    """Pyramid's own program where the file lets its server listen everywhere, else gunicorn, which reads the application from it."""
    if not evidence.has("pyramid", "pastedeploy", "plaster-pastedeploy"):
        return None
    for name in _INI:
        found = _sections(evidence.root / name)
        if found is None or not any(re.match(r"(app|composite|pipeline):main$", section) for section in found.sections()):
            continue
        listening = _listening(found)
        if evidence.has("pyramid") and listening is not None and evidence.port in (None, listening):
            return Launch(
                ("pserve", name), ports=(f"{listening}/tcp",), needs_source=True, reason=f"{name} is PasteDeploy's, served as it says."
            )
        port = evidence.port or "8000"
        command = ("gunicorn", "--bind", f"{EVERYWHERE}:{port}", "--paste", name)
        extra = () if evidence.has("gunicorn") else ("gunicorn",)
        reason = f"{name} is PasteDeploy's, served by gunicorn."
        return Launch(command, ports=(f"{port}/tcp",), needs_source=True, extra_requirements=extra, reason=reason)
    return None


def _sections(path: Path) -> configparser.RawConfigParser | None:
    if not path.is_file():
        return None
    found = configparser.RawConfigParser(strict=False)
    try:
        found.read_string(read_text(path))
    except (configparser.Error, ProjectError):
        return None
    return found


def _listening(found: configparser.RawConfigParser) -> str | None:
    """The port of [server:main], if it is open to others than this machine."""
    section = found["server:main"] if found.has_section("server:main") else None
    if section is None:
        return None
    for address in section.get("listen", "").split() or [f"{section.get('host', '127.0.0.1')}:{section.get('port', '6543')}"]:
        host, _, port = address.rpartition(":")
        if host in ("*", EVERYWHERE, "[::]", "") and re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) < 1 << 16:
            return port
    return None


def _twisted(evidence: Evidence) -> Launch | None:
    files = sorted(evidence.root.glob("*.tac"))
    if len(files) != 1 or not evidence.has("twisted"):
        return None
    name = files[0].name
    module = parse_module(evidence.root, name)
    ports = tuple(f"{port}/tcp" for port in module.ports) if module is not None else ()
    command = ("twistd", "--nodaemon", "--pidfile=", "--logfile=-", "--python", name)
    return Launch(command, ports=ports, needs_source=True, reason=f"{name} is Twisted's.")


def _notebook(evidence: Evidence) -> Launch | None:
    if not evidence.has("voila"):
        return None
    notebooks = sorted(evidence.root.glob("*.ipynb"))
    if not notebooks:
        return None
    port = evidence.port or "8866"
    target = notebooks[0].name if len(notebooks) == 1 else "."
    command = ("voila", target, "--no-browser", f"--port={port}", f"--Voila.ip={EVERYWHERE}")
    return Launch(command, ports=(f"{port}/tcp",), needs_source=True, reason=f"{target} is served by Voilà.")
