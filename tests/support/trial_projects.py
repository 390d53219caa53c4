"""Small projects that serve, or fail in one way each, and what a trial finds. They need click only, and share their base."""

import textwrap
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["PROJECTS", "TrialProject", "serving"]

_SERVE = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
def serve(host="0.0.0.0", port=8000):
    http.server.ThreadingHTTPServer((host, port), Handler).serve_forever()
"""

_PACKAGE = """
[project]
name = "shop"
version = "1.0"
dependencies = ["click"]
[project.scripts]
shop = "shop:cli"
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""

_CONSOLE_SCRIPT = """
import click

@click.group()
def cli():
    "A shop."

@cli.command(name="serve")
@click.option("--host", default="127.0.0.1", show_default=True)
def serve_command(host):
    "Serve it."
    serve(host)
"""


@dataclass(frozen=True)
class TrialProject:
    """A project's files, the verdict of its trial, the kinds of findings that block, and the kinds of the others."""

    files: Mapping[str, str]
    verdict: str
    blocking: Set[str] = frozenset()
    others: Set[str] = frozenset()
    settings: Mapping[str, object] = field(default_factory=dict)
    """The settings that `init` adds."""
    serves_then: bool = True
    """True if it serves with them."""

    @property
    def exit_code(self) -> int:
        """The exit code of `check`."""
        return 0 if self.verdict in ("serves", "runs", "ends") else 12

    def write(self, folder: Path) -> Path:
        """Write the project into a directory, and return it."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder


def serving(code: str = "", settings: str = "ports = [8000]", *, then: str = "serve()") -> dict[str, str]:
    """Return the files of a server on port 8000 that runs `code` first."""
    main = f"import os, signal, socket, sys\n{_SERVE}\n{textwrap.dedent(code)}\n{then}\n"
    return {"main.py": main, "requirements.txt": "click\n", "shipwheel.toml": f'command = ["python", "-u", "main.py"]\n{settings}\n'}


def _kinds(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


PROJECTS: dict[str, TrialProject] = {
    "server": TrialProject(serving(), "serves"),
    "loopback": TrialProject(
        {
            "pyproject.toml": _PACKAGE.replace("shop:cli", "shop:serve_command") + "[tool.shipwheel]\n",
            "src/shop/__init__.py": _SERVE + _CONSOLE_SCRIPT,
        },
        "fails",
        _kinds("loopback"),
        settings={"command": ["shop", "--host", "0.0.0.0"], "ports": ["8000/tcp"]},
    ),
    "usage": TrialProject(
        {"pyproject.toml": _PACKAGE + "[tool.shipwheel]\nports = [8000]\n", "src/shop/__init__.py": _SERVE + _CONSOLE_SCRIPT},
        "fails",
        _kinds("usage"),
        settings={"command": ["shop", "serve", "--host", "0.0.0.0"]},
    ),
    "module": TrialProject(
        serving("import importlib; importlib.import_module('yaml')"),
        "fails",
        _kinds("ended", "module"),
        settings={"dependencies": ["pyyaml"]},
    ),
    "write": TrialProject(
        serving("os.makedirs(os.sep.join(['var', 'log']), exist_ok=True); open('var/log/' + 'x', 'w')"),
        "fails",
        _kinds("ended", "not-writable", "lost-writes"),
        settings={"state": ["var/"]},
    ),
    "variable": TrialProject(serving("os.environ['API_TOKEN']"), "needs", _kinds("ended", "variable")),
    "companion": TrialProject(
        serving("import asyncio; asyncio.run(asyncio.open_connection('127.0.0.1', 5432))"),
        "needs",
        _kinds("ended", "companion"),
        serves_then=False,
    ),
    "error": TrialProject(
        serving("Handler.do_GET = lambda self: self.send_error(500 if self.path == '/' else 200)"),
        "fails",
        _kinds("error-answer"),
        serves_then=False,
    ),
    "batch": TrialProject(serving("print('3 rows')", "", then=""), "ends"),
    "worker": TrialProject(serving("print('waiting')", "", then="signal.pause()"), "runs"),
    "command line": TrialProject(
        {"pyproject.toml": _PACKAGE, "src/shop/__init__.py": _SERVE + _CONSOLE_SCRIPT.replace('name="serve"', 'name="report"')},
        "ends",
        others=_kinds("usage"),
    ),
}
