"""Several services in docker and podman: `shipwheel up`, `status`, `logs` and `down` of a web server, a worker, a job and an image."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engines import wait_until
from support.examples import Example
from support.process import HANG_S
from support.run_target import RunTarget, docker_target, podman_target

SETTINGS = """
[tool.shipwheel]
volumes = ["/data"]
[tool.shipwheel.processes]
worker = ["python", "-m", "worker"]
release = ["python", "-c", "open('/data/released', 'a').write('once ')"]
[tool.shipwheel.services.web]
ports = ["8765:8000"]
needs = ["model"]
env = { MODEL = "http://model:8000/", GREETING = "hello ${NAME}" }
secrets = ["TOKEN"]
[tool.shipwheel.services.model]
image = "fastapi:test"
"""
WORKER = """
import os, time, urllib.request
status = urllib.request.urlopen(os.environ["MODEL"]).status
print("asked", status, os.environ["GREETING"], open(os.environ["TOKEN_FILE"]).read(), flush=True)
time.sleep(600)
"""
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=9).read().decode())"


@pytest.fixture(scope="module", params=["docker", "podman"])
def target(request: pytest.FixtureRequest, fastapi: Example) -> RunTarget:
    """docker and podman in turn, with an image that only they have."""
    running = request.getfixturevalue(request.param)
    found = docker_target(running) if request.param == "docker" else podman_target(running)
    found.sandbox.run([found.name, "load", "--input", str(fastapi.archive)])
    if found.name == "podman":
        found.sandbox.run(["podman", "tag", "localhost/fastapi:test", "docker.io/library/fastapi:test"], check=False)
    return found


@pytest.fixture(scope="module")
def project(fastapi: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with services."""
    path = shutil.copytree(fastapi.project, tmp_path_factory.mktemp("stack") / "shop")
    (path / "pyproject.toml").write_text((path / "pyproject.toml").read_text() + SETTINGS)
    (path / "worker.py").write_text(WORKER)
    return path


@pytest.fixture(autouse=True)
def nothing_left(target: RunTarget, project: Path) -> Iterator[None]:
    """End what a test has started, and expect that nothing is left of it."""
    yield
    shipwheel(target, "down", str(project), "--volumes")
    assert target.left() == ""


def shipwheel(target: RunTarget, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return target.shipwheel(*arguments, "--engine", target.name)


def up(target: RunTarget, project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return shipwheel(target, "up", str(project), "-e", "NAME=you", "-e", "TOKEN=secret", *arguments)


def answer(target: RunTarget) -> str:
    return target.sandbox.run([sys.executable, "-I", "-c", ASK, "http://127.0.0.1:8765/"]).stdout


def worker_said(target: RunTarget, project: Path) -> str:
    return shipwheel(target, "logs", "worker", "--path", str(project)).stdout


def states(target: RunTarget, project: Path) -> dict[str, str]:
    document = json.loads(shipwheel(target, "status", str(project), "--json").stdout)
    return {each["name"]: each["state"] for each in document["services"]}


def named(target: RunTarget, kind: str) -> list[str]:
    """Return the names of the volumes or networks of the stack."""
    lines = target.sandbox.run([target.name, kind, "ls", "--format", "{{.Name}}"]).stdout.split()
    return sorted(line for line in lines if line.startswith("hello"))


def test_a_stack_comes_up_changes_and_goes_down(target: RunTarget, project: Path) -> None:
    first = up(target, project, "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["started"] == ["model", "release", "web", "worker"]
    assert "Hello from an image" in answer(target)
    rows = shipwheel(target, "status", str(project)).stdout.splitlines()
    found = [line.split() for line in rows]
    assert found[0] == ["service", "state", "restarts", "addresses"]
    assert sorted(found[1:]) == [
        ["model", "well", "0"],
        ["release", "done", "0"],
        ["web", "well", "0", "127.0.0.1:8765"],
        ["worker", "running", "0"],
    ]
    # `up` returns while a service without a health check may still be on its way to its first line.
    wait_until(lambda: worker_said(target, project) != "", "the output of the worker")
    assert worker_said(target, project) == "worker | asked 200 hello you secret\n"

    changed = up(target, project, "--json", "-e", "NAME=others")
    assert changed.returncode == 0, changed.stderr
    document = json.loads(changed.stdout)
    assert (document["replaced"], document["unchanged"]) == (["release", "web", "worker"], ["model"])

    main = project / "main.py"
    text = main.read_text()
    main.write_text("raise SystemExit('no more')\n")
    broken = up(target, project, "-e", "NAME=others")
    main.write_text(text)
    assert broken.returncode == 12
    assert "error: web ended" in broken.stderr
    assert "  no more\n" in broken.stderr
    # It was started again, and is well when it answers.
    wait_until(lambda: states(target, project)["web"] == "well", "the start of what was there before")

    target.sandbox.run([target.name, "stop", "--time", "1", "hello-model"])
    status = shipwheel(target, "status", str(project))
    assert (status.returncode, states(target, project)["model"] == "well") == (1, False), "a model server that is down is no secret"
    again = up(target, project, "--json", "-e", "NAME=others")
    assert json.loads(again.stdout)["replaced"] == ["model"], again.stderr
    assert states(target, project)["model"] == "well"

    down = shipwheel(target, "down", str(project))
    assert down.returncode == 0, down.stderr
    assert "volumes stay: hello_hello-data" in down.stderr
    assert (named(target, "volume"), named(target, "network")) == (["hello_hello-data"], [])


def test_an_interrupted_start_leaves_nothing(target: RunTarget, project: Path, tmp_path: Path) -> None:
    if target.name != "docker":
        return
    slow = shutil.copytree(project, tmp_path / "slow")
    (slow / "main.py").write_text("import time; time.sleep(600)\n")
    log = target.sandbox.folder("interrupted") / "log"
    argv = [sys.executable, "-m", "shipwheel", "up", str(slow), "-e", "NAME=you", "-e", "TOKEN=secret", "--engine", target.name]
    child = target.sandbox.spawn(argv, log)
    wait_until(lambda: "hello-web" in target.sandbox.run([target.name, "ps", "--format", "{{.Names}}"]).stdout, "the start of web")
    target.sandbox.run(["pkill", "-INT", "-f", f"shipwheel up {slow}"])
    assert child.wait(HANG_S) == 130, log.read_text()
    assert (target.left(), named(target, "volume"), named(target, "network")) == ("", [], [])


def test_docker_compose_runs_the_exported_file(target: RunTarget, project: Path, tmp_path: Path) -> None:
    if target.name != "docker":
        return
    other = shutil.copytree(project, tmp_path / "shop")
    text = (other / "pyproject.toml").read_text().replace('image = "fastapi:test"', 'path = "../model"')
    (other / "pyproject.toml").write_text(text)
    model = shutil.copytree(project, tmp_path / "model")
    settings = text.partition("[tool.shipwheel]")[0] + '[tool.shipwheel]\nname = "model"\n'
    (model / "pyproject.toml").write_text(settings)
    for path in (other, model):
        built = target.shipwheel("build", str(path), "--load", "docker")
        assert built.returncode == 0, built.stderr
    written = target.shipwheel("export", "compose", str(other), "-o", str(tmp_path)).stdout.strip()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "TOKEN").write_text("secret")
    compose = ["env", "NAME=you", "docker-compose", "--file", written]
    target.sandbox.run([*compose, "config", "--quiet"])
    try:
        target.sandbox.run([*compose, "up", "--detach", "--wait"])
        assert "Hello from an image" in answer(target)
        assert "asked 200 hello you secret" in target.sandbox.run([*compose, "logs", "worker"]).stdout
    finally:
        target.sandbox.run([*compose, "down", "--volumes", "--timeout", "1"])
