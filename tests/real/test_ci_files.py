"""The action and the exported files, run by small runners: they start the image in docker, and push what any build would be."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.actions import run_steps
from support.command import ROOT, shipwheel, shipwheel_json
from support.engines import NATIVE, SEARCH_PATH, Dockerd, EngineError, Registry
from support.gitlab_jobs import run_jobs
from support.project_tree import written
from support.run_target import RunTarget, docker_target

SERVER = "import http.server\nhttp.server.HTTPServer(('0.0.0.0', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
SETTINGS = """
[project]
name = "hello"
version = "1"
requires-python = "==3.13.*"
[tool.shipwheel]
tag = "{host}/team/hello:1"
command = ["python", "main.py"]
ports = [8000]
platforms = ["{platform}"]
"""


@pytest.fixture(scope="module")
def target(docker: Dockerd, registry: Registry) -> RunTarget:
    found = docker_target(docker)
    found.sandbox.reach(registry.host)
    return found


@pytest.fixture
def project(target: RunTarget, registry: Registry) -> Iterator[Path]:
    """A project with its lock, in a directory of the sandbox, which the runner takes for its own."""
    top = target.sandbox.folder("runner")
    written(top / "hello", {"pyproject.toml": SETTINGS.format(host=registry.host, platform=NATIVE), "main.py": SERVER})
    assert shipwheel("build", top / "hello", "-o", top / "first.oci").returncode == 0
    yield top / "hello"
    shutil.rmtree(top)


@pytest.fixture
def env(target: RunTarget, project: Path) -> dict[str, str]:
    """The variables of the runner. `pipx`, whose work is done, and `kubectl`, which wants a cluster, write down what they are asked for."""
    programs = project.parent / "bin"
    for name in ("pipx", "kubectl"):
        written(programs, {name: f'#!/bin/sh\necho "$@" >> {project.parent}/{name}\n'})
        (programs / name).chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{SEARCH_PATH}"
    return {**target.sandbox.environment, "PATH": path, "GITHUB_ACTION_PATH": "/actions/shipwheel", "GITHUB_SHA": "c0ffee"}


def deployed(folder: Path) -> set[str]:
    """Return the digests of the images in the manifests of a directory."""
    texts = (file.read_text() for file in folder.rglob("*.yaml"))
    return {digest for text in texts for digest in re.findall(r"hello@(sha256:[0-9a-f]{64})", text)}


def pushed(name: str) -> str:
    return str(shipwheel_json("inspect", name)["digest"])


def test_the_action_pushes_what_it_has_started(
    target: RunTarget, project: Path, env: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    values = {f"inputs.{name}": str(it["default"]) for name, it in action["inputs"].items()}
    values |= {"inputs.tag": f"{registry.host}/team/action:main", "inputs.platform": NATIVE, "always()": "true"}
    values |= {
        "inputs.push == 'true'": "true",
        "inputs.push != 'true'": "false",
        "inputs.push == 'true' && inputs.deploy == 'true'": "true",
    }
    found = run_steps(target.sandbox, action["runs"]["steps"], project, env, values)
    digest = pushed(f"{registry.host}/team/action:main")
    assert found == {"reference": f"{registry.host}/team/action@{digest}", "digest": digest}
    assert (project.parent / "pipx").read_text() == "install /actions/shipwheel\n"
    assert (project.parent / "kubectl").read_text() == f"apply -k {project.parent}/deploy/overlays/production\n"
    assert deployed(project.parent / "deploy") == {digest}
    by_hand = shipwheel_json("build", project, "--tag", f"{registry.host}/team/action:main", "-o", tmp_path / "again.oci")
    assert by_hand["digest"] == digest, "no file of a step is in the image"


def test_the_workflow_names_what_it_has_started_main(target: RunTarget, project: Path, env: dict[str, str], registry: Registry) -> None:
    assert shipwheel("export", "github-actions", project, "-o", project).returncode == 0
    job: dict[str, Any] = yaml.safe_load((project / ".github/workflows/image.yaml").read_text())["jobs"]["image"]
    values = {"always()": "true", "github.ref == 'refs/heads/main'": "true", "github.ref != 'refs/heads/main'": "false"}
    values |= {"vars.REGISTRY_USER || github.actor": "", "secrets.REGISTRY_PASSWORD": ""}
    run_steps(target.sandbox, job["steps"], project, env, values)
    name = f"{registry.host}/team/hello"
    assert pushed(f"{name}:main") == pushed(f"{name}:c0ffee")
    (project / "main.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(EngineError, match="does not serve"):
        run_steps(target.sandbox, job["steps"], project, env, values)
    assert pushed(f"{name}:main") == pushed(f"{name}:c0ffee"), "main is as it was"


NEEDS = """
[tool.shipwheel.services.web]
needs = ["db"]
env = {{ PASSWORD = "${{PASSWORD}}" }}
[tool.shipwheel.services.db]
image = "{host}/team/db:1"
"""
ASKS = "import os, urllib.request\nurllib.request.urlopen('http://db:8000/')\nassert os.environ['PASSWORD'] == 'check'\n"


def test_the_workflow_starts_an_image_with_what_it_needs(target: RunTarget, project: Path, env: dict[str, str], registry: Registry) -> None:
    db = shipwheel("build", project, "--tag", f"{registry.host}/team/db:1", "--push")
    assert db.returncode == 0, db.stderr
    settings = (project / "pyproject.toml").read_text() + NEEDS.format(host=registry.host)
    written(project, {"pyproject.toml": settings.replace("team/hello", "team/asks"), "main.py": ASKS + SERVER})
    assert shipwheel("export", "github-actions", project, "-o", project).returncode == 0
    job: dict[str, Any] = yaml.safe_load((project / ".github/workflows/image.yaml").read_text())["jobs"]["image"]
    values = {"always()": "true", "github.ref == 'refs/heads/main'": "true", "github.ref != 'refs/heads/main'": "false"}
    values |= {"vars.REGISTRY_USER || github.actor": "", "secrets.REGISTRY_PASSWORD": "", "secrets.PASSWORD || 'check'": "check"}
    run_steps(target.sandbox, job["steps"], project, env, values)
    name = f"{registry.host}/team/asks"
    assert pushed(f"{name}:main") == pushed(f"{name}:c0ffee")


REFUSES = SERVER.replace("import http.server\n", "import http.server\nhttp.server.SimpleHTTPRequestHandler.do_GET = refuse\n").replace(
    "import http.server\n", "import http.server\n\ndef refuse(self):\n    self.send_error(400)\n\n", 1
)


def test_gitlab_names_main_only_what_answers_as_a_service(
    docker: Dockerd, project: Path, env: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    assert shipwheel("export", "gitlab-ci", project, "-o", project).returncode == 0
    found = yaml.safe_load((project / ".gitlab-ci.yml").read_text())
    jobs = [found[name] for name in ("push", "check", "publish", "deploy")]
    name = f"{registry.host}/team/hello"
    reported = run_jobs(docker, jobs, project, {**env, "CI_COMMIT_SHA": "1"})
    digest = pushed(f"{name}:main")
    assert reported == {"IMAGE": f"{name}@{digest}"}
    assert pushed(f"{name}:1") == digest
    assert deployed(project / "deploy") == {digest}, "no file of a job is in the image"
    (project / "image.env").unlink()
    shutil.rmtree(project / "deploy")
    assert shipwheel_json("build", project, "-o", tmp_path / "again.oci")["digest"] == digest
    with pytest.raises(EngineError, match="another image than sha256:0"):
        run_jobs(docker, [found["deploy"]], project, {**env, "IMAGE": f"{name}@sha256:{'0' * 64}"})
    shutil.rmtree(project / "deploy")
    (project / "main.py").write_text(REFUSES)
    with pytest.raises(EngineError, match="it refuses every caller"):
        run_jobs(docker, jobs, project, {**env, "CI_COMMIT_SHA": "2"})
    assert pushed(f"{name}:2") != digest == pushed(f"{name}:main")
