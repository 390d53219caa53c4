"""A FastAPI application with numpy on every kind of base image: built from a registry into a registry, pulled and run."""

import json
import shutil
from pathlib import Path

import pytest
from support.bases.shapes import BASES, pythonless
from support.command import ROOT, shipwheel
from support.engines import STOPPED, Podman, Registry

SHAPES = {
    "official": ("/usr/local/bin/python3.13", "65532:65532"),
    "official_docker": ("/usr/local/bin/python3.13", "65532:65532"),
    "distroless": ("/usr/bin/python3.11", "65532:65532"),
    "ubuntu": ("/usr/bin/python3.13", "65532:65532"),
    "ubi": ("/usr/bin/python3.11", "1001:0"),
    "conda": ("/opt/conda/bin/python3.11", "65532:65532"),
    "alpine": ("/usr/local/bin/python3.13", "65532:65532"),
}
"""Base -> the interpreter that is found in it, and the user of the image that is built on it."""


@pytest.mark.parametrize("shape", SHAPES)
def test_an_app_runs_on(shape: str, tmp_path: Path, registry: Registry, podman: Podman) -> None:
    interpreter, user = SHAPES[shape]
    base, name = f"{registry.host}/bases/{shape.replace('_', '-')}:1", f"{registry.host}/team/{shape.replace('_', '-')}:1"
    done = shipwheel("push", BASES[shape](), base)
    assert done.returncode == 0, done.stderr
    shutil.copytree(ROOT / "tests" / "apps" / "numbers", tmp_path / "numbers")
    done = shipwheel("build", tmp_path / "numbers", "--base", base, "--platform", "linux/amd64", "-t", name, "--push", "--json")
    assert done.returncode == 0, done.stderr
    assert "libc.so is nowhere" not in done.stderr, "which is what wheels for musl call their libc"
    moved = json.loads(done.stdout)["pushed"]
    assert moved["mounted"] > 10_000_000, "the base's layers are not sent"
    podman.reach(registry.host)
    podman.cli("pull", "--tls-verify=false", name)
    config = json.loads(podman.cli("image", "inspect", name).stdout)[0]["Config"]
    assert config["User"] == user
    with podman.run(name) as container:
        container.wait_http("http://127.0.0.1:8000/")
        code = "import json, os, sys, urllib.request as r; print(os.path.realpath(sys.executable)); print(r.urlopen('http://127.0.0.1:8000').read().decode())"
        path, page = container.exec(["python", "-c", code]).output.splitlines()
        assert path == interpreter
        assert json.loads(page) == {"total": 45.0, "authorities": True}
        assert container.exec(["python", "-c", "print(open('/proc/1/comm').read().strip())"]).output.strip() == "tini-static"
        assert container.stop(10) == STOPPED, container.logs()


def test_refuses_a_base_without_python(tmp_path: Path, registry: Registry) -> None:
    base = f"{registry.host}/bases/pythonless:1"
    assert shipwheel("push", pythonless(), base).returncode == 0
    shutil.copytree(ROOT / "tests" / "apps" / "numbers", tmp_path / "numbers")
    done = shipwheel("build", tmp_path / "numbers", "--base", base, "--platform", "linux/amd64", "-t", f"{registry.host}/a:1", "--push")
    assert done.returncode == 9
    assert f"the base {base} has no Python on its PATH" in done.stderr and "python:3.12-slim" in done.stderr
