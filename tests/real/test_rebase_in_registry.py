"""An application on an imitation of the official Python image, rebased in a real registry, pulled and run."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.bases.layout import OCI, Built, cached_layout, first_image, pack
from support.bases.shapes import distroless, official, ubuntu
from support.command import ROOT, shipwheel, shipwheel_json
from support.engines import STOPPED, Podman, Registry


def patched() -> Path:
    """Return the next version of the official image, with one more layer and another environment."""

    def newer(work: Path) -> Built:
        (work / "tree/etc").mkdir(parents=True)
        (work / "tree/etc/patched").write_text("yes\n")
        old = first_image(official())
        env = [*(line for line in old.config["Env"] if not line.startswith("GPG_KEY=")), "PATCHED=1"]
        return replace(old, layers=[*old.layers, pack(work / "tree")], config={**old.config, "Env": env})

    return cached_layout("patched", lambda layout, work: layout.index(OCI, "3.13-slim", [newer(work)], attested=True))


def succeed(*arguments: str | Path) -> str:
    """Run a command that must succeed. Return its output."""
    done = shipwheel(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Callable[..., dict[str, Any]]:
    """A function that builds the application on the image `bases/rebased:1`."""
    project = tmp_path_factory.mktemp("rebase") / "numbers"
    shutil.copytree(ROOT / "tests" / "apps" / "numbers", project)

    def run(name: str, *flags: str) -> dict[str, Any]:
        base = f"{registry.host}/bases/rebased:1"
        return shipwheel_json("build", project, "--base", base, "--platform", "linux/amd64", "-t", name, "--push", *flags)

    return run


def test_a_rebased_app_runs(tmp_path: Path, registry: Registry, podman: Podman, build: Callable[..., dict[str, Any]]) -> None:
    base, name = f"{registry.host}/bases/rebased:1", f"{registry.host}/team/rebased:1"
    succeed("push", official(), base)
    first = build(name)
    succeed("push", patched(), base)
    before = len(registry.logs())
    found = shipwheel_json("rebase", name, store=tmp_path / "empty")
    ours = {layer["digest"] for layer in first["images"][0]["layers"]}
    read = set(re.findall(r'method=GET .*uri="/v2/[^ "]+/blobs/(sha256:[0-9a-f]{64})"', registry.logs()[before:]))
    assert read, "the log contains the requests"
    new = {layer["digest"] for layer in shipwheel_json("inspect", name)["images"][0]["layers"]}
    assert len(new - ours) == 1 and len(ours & new) == len(ours)
    app = ours - {layer["digest"] for layer in shipwheel_json("inspect", base)["images"][0]["layers"]}
    assert app and not app & read, "no layer of the application is read"
    assert found["pushed"]["uploaded"] < 60_000 and found["pushed"]["base-layers-read"] > 10_000_000
    assert build(name, "--upgrade-base")["digest"] == found["digest"], "what a build upon the newer base gives"
    podman.reach(registry.host)
    podman.cli("pull", "--tls-verify=false", name)
    with podman.run(name) as container:
        container.wait_http("http://127.0.0.1:8000/")
        code = "import os, urllib.request as r; print(os.environ['PATCHED'], open('/etc/patched').read().strip(), 'GPG_KEY' in os.environ)"
        page = "print(r.urlopen('http://127.0.0.1:8000').read().decode())"
        first_line, second = container.exec(["python", "-c", f"{code}; {page}"]).output.splitlines()
        assert first_line == "1 yes False"
        assert json.loads(second) == {"total": 45.0, "authorities": True}
        assert container.stop(10) == STOPPED, container.logs()
    assert "The image is already on " in shipwheel("rebase", name).stderr


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (distroless, "no Python 3.13, but python3.11"),
        (ubuntu, "its Python is /usr/bin/python3.13, and the virtual environment is for /usr/local/bin/python3.13"),
    ],
)
def test_refuses_a_base_with_another_python(
    shape: Callable[[], Path], message: str, registry: Registry, build: Callable[..., dict[str, Any]]
) -> None:
    name = f"{registry.host}/team/refused:1"
    succeed("push", official(), f"{registry.host}/bases/rebased:1")
    digest = build(name, "--upgrade-base")["digest"]
    other = f"{registry.host}/bases/{shape.__name__}:1"
    succeed("push", shape(), other)
    ran = shipwheel("rebase", name, "--base", other)
    assert ran.returncode == 8 and message in ran.stderr, ran.stderr
    assert digest in succeed("rebase", name), "it is what it was"
