"""`shipwheel dev` with several processes and a debugger, as an editor speaks with it.

Changed settings and dependencies replace the containers.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import environment
from support.engines import Dockerd, wait_until
from support.examples import Example
from support.run_target import RunTarget, docker_target
from support.running import answer, start

from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

WORKER = """
import os, socket, time
print("host", socket.gethostbyname("host.docker.internal"), os.environ.get("GREETING"), flush=True)
time.sleep(600)
"""
URL = "http://127.0.0.1:8000/"
SETTINGS = """
[project]
name = "changing"
version = "1"
requires-python = ">=3.13"
dependencies = []
[tool.shipwheel]
command = ["python", "/app/main.py"]
ports = [8000]
"""
SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"with small" if find_spec("small") else b"without")

HTTPServer(("", 8000), Handler).serve_forever()
"""
EDITOR = """
import itertools, json, socket, sys, threading, urllib.request
connection = socket.create_connection(("127.0.0.1", 5678), timeout=60)
stream, numbers = connection.makefile("rb"), itertools.count(1)

def ask(command, **arguments):
    body = json.dumps({"seq": next(numbers), "type": "request", "command": command, "arguments": arguments}).encode()
    connection.sendall(b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)

def await_message(kind, name):
    while True:
        size = int(stream.readline().split(b":")[1])
        stream.readline()
        found = json.loads(stream.read(size))
        if found["type"] == kind and found[{"event": "event", "response": "command"}[kind]] == name:
            return found.get("body")

ask("initialize", adapterID="test", pathFormat="path")
ask("attach", pathMappings=[{"localRoot": sys.argv[1], "remoteRoot": "/app"}])
await_message("event", "initialized")
ask("setBreakpoints", source={"path": f"{sys.argv[1]}/main.py"}, breakpoints=[{"line": int(sys.argv[2])}])
ask("configurationDone")
await_message("response", "configurationDone")
threading.Thread(target=lambda: urllib.request.urlopen("http://127.0.0.1:8000/").read()).start()
thread = await_message("event", "stopped")["threadId"]
ask("stackTrace", threadId=thread)
frame = await_message("response", "stackTrace")["stackFrames"][0]
ask("continue", threadId=thread)
await_message("response", "continue")
print(json.dumps([frame["source"]["path"], frame["line"]]))
"""
"""An editor of the Debug Adapter Protocol: https://microsoft.github.io/debug-adapter-protocol/specification."""


@pytest.fixture
def target(docker: Dockerd) -> RunTarget:
    return docker_target(docker)


@pytest.fixture
def project(target: RunTarget, fastapi: Example) -> Iterator[Path]:
    """The example with a worker, and with the lock of its variant for developers: the engine's sandbox has no network."""
    folder = shutil.copytree(fastapi.project, target.sandbox.folder("processes"), dirs_exist_ok=True)
    (folder / "worker.py").write_text(WORKER)
    with (folder / "pyproject.toml").open("a") as settings:
        settings.write('\n[tool.shipwheel.processes]\nworker = ["python", "/app/worker.py"]\n')
    command = [sys.executable, "-m", "shipwheel", "dev", str(folder), "--engine", "bwrap", "--debug", "--", "python", "-V"]
    subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL)
    yield folder
    shutil.rmtree(folder)


def test_processes_have_names_breakpoints_and_new_settings(target: RunTarget, project: Path) -> None:
    run = start(target, str(project), "--process", "web", "--process", "worker", "--debug", command="dev")
    assert "Hello from an image" in run.wait_http("http://127.0.0.1:8000/")
    wait_until(lambda: "worker | host " in run.read("out"), "the worker's line")
    assert "web    | " in run.read("out")
    line = next(number for number, text in enumerate((project / "main.py").read_text().splitlines(), 1) if "Hello from" in text)
    stopped = target.sandbox.run([sys.executable, "-I", "-c", EDITOR, str(project), str(line)]).stdout
    assert json.loads(stopped) == [str(project / "main.py"), line]
    with (project / "pyproject.toml").open("a") as settings:
        settings.write('[tool.shipwheel.env]\nGREETING = "again"\n')
    wait_until(lambda: " again\n" in run.read("out"), "the worker of the new image")
    assert "the image is another one: the containers are replaced" in run.read("err")
    run.signal_group("INT")
    assert run.status() == 0, run.read("err")
    assert target.left() == ""


def layers(target: RunTarget) -> set[str]:
    """Return the layers of the image that the running container has."""
    image = target.sandbox.run(["docker", "ps", "--format", "{{.Image}}"]).stdout.strip()
    return set(json.loads(target.sandbox.run(["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", image]).stdout))


def test_a_new_dependency_is_a_new_lock_and_one_layer_more(target: RunTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project has been built before. Then the index alone can be reached."""
    folder, small = target.sandbox.folder("changing"), SmallWheel()
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "main.py").write_text(SERVER)
    with PackageIndex() as index:
        index.add(small.filename, small.content())
        command = [sys.executable, "-m", "shipwheel", "build", str(folder), "--output", str(tmp_path / "image.tar")]
        subprocess.run(command, env={**environment(), "UV_DEFAULT_INDEX": index.simple}, check=True)
        target.sandbox.reach(index.host)
        monkeypatch.setitem(target.sandbox.environment, "UV_DEFAULT_INDEX", index.simple)
        run = start(target, str(folder), command="dev")
        assert run.wait_http(URL).strip() == "without"
        wait_until(lambda: "answers at" in run.read("err"), "the address")
        before = layers(target)
        (folder / "pyproject.toml").write_text(SETTINGS.replace("dependencies = []", 'dependencies = ["small"]'))
        wait_until(lambda: "with small" in answer(target, URL, run.folder / "status"), "the answer of the new container")
        assert "the image is another one: the containers are replaced" in run.read("err")
        assert 'name = "small"' in (folder / "pylock.toml").read_text()
        after = layers(target)
        assert (len(before - after), len(after - before)) == (1, 2), "the copy of the project is another one, and the dependency is added"
        run.signal_group("INT")
        assert run.status() == 0, run.read("err")
    assert target.left() == ""
    shutil.rmtree(folder)
