"""The observer in namespaces of its own, as in a container: it sees only the observed program's processes and sockets."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.trial.observation import Observation
from shipwheel.trial.observe import observer_source

__all__ = ["SOURCE", "interpreters", "observe_code", "observe_command"]

SOURCE = observer_source()

_OPTIONS: dict[str, Any] = {
    "ports": (),
    "paths": ("/",),
    "hosts": ("localhost",),
    "timeout": 1,
    "starting": 60,
    "patience": 60,
    "grace": 60,
    "signal": "SIGTERM",
    "look_in": (),
    "skip": (),
}

_SERVER = """
import http.server, os, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    statuses = {"/": [200]}
    def do_GET(self):
        waiting = self.statuses.get(self.path, [404])
        status = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"it answers")
    def log_message(self, *arguments):
        pass

class Server(HTTPServer):
    def server_bind(self):
        socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = self.server_address[:2]

class Server6(Server):
    address_family = socket.AF_INET6

def serve(address="0.0.0.0", port=8000, **statuses):
    Handler.statuses = statuses.pop("statuses", Handler.statuses)
    return (Server6 if ":" in address else Server)((address, port), Handler)

"""
"""What the observed programs begin with: a small HTTP server whose answers are listed."""


def interpreters() -> list[str]:
    """Return this interpreter, and one of each other minor version from 3.7 that the machine has."""
    asked = "import sys; print(*sys.version_info[:2])"
    found = {sys.version_info[:2]: sys.executable}
    for path in sorted([*Path("/usr/bin").glob("python3.*"), *Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python3")]):
        if path.name.removeprefix("python").replace(".", "").isdecimal():
            done = subprocess.run([path, "-I", "-S", "-c", asked], capture_output=True, text=True, check=False)
            if not done.returncode:
                major, minor = map(int, done.stdout.split())
                found.setdefault((major, minor), str(path))
    return [path for version, path in sorted(found.items()) if version >= (3, 7)]


def observe_command(
    command: Sequence[str], folder: Path, *, python: str = sys.executable, proc: bool = True, **options: Any
) -> Observation:
    """Observe a command that may write into one directory. `options` are those of `runtime/observer.py`."""
    argv = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--die-with-parent", "--new-session"]
    argv += ["--ro-bind", "/", "/", "--dev", "/dev", *(("--proc", "/proc") if proc else ("--tmpfs", "/proc"))]
    argv += ["--bind", str(folder), str(folder), "--chdir", str(folder), "--"]
    given = msgspec.json.encode({**_OPTIONS, "command": command, **options}).decode()
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    done = subprocess.run([*argv, python, "-I", "-S", "-c", SOURCE, given], capture_output=True, env=environment, check=False)
    assert not done.returncode, done.stderr.decode()
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Observation)


def observe_code(code: str, folder: Path, *, python: str = sys.executable, **options: Any) -> Observation:
    """Observe a Python program. `serve(address, port, statuses={path: [status, ...]})` is there; the last status stays."""
    (folder / "program.py").write_text(_SERVER + textwrap.dedent(code), encoding="utf-8")
    return observe_command([python, "-S", "program.py"], folder, python=python, **options)
