"""shipwheel's own image builds and pushes in a pod without privileges, by the Job and the Tekton task of docs/how-to/ci.

Podman plays the Job. The step of the task is one of its init containers: Tekton makes its pods likewise.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import ROOT, shipwheel, shipwheel_json
from support.engines import NATIVE, UNPRIVILEGED, Podman, Registry
from support.project_tree import written

FOLDER = ROOT / "docs" / "how-to" / "ci"
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: registry}
stringData: {user: ci, password: secret}
"""
PROJECT = {
    "pyproject.toml": (
        '[project]\nname = "hello"\nversion = "1"\nrequires-python = "==3.13.*"\ndependencies = ["itsdangerous"]\n'
        f'[tool.shipwheel]\ncommand = ["python", "main.py"]\nplatforms = ["{NATIVE}"]\n'
    ),
    "main.py": "import itsdangerous\n",
}
COMMIT = "git init --quiet && git add --all && git -c user.name=a -c user.email=a@example.org commit --quiet --message=hello"
RIGHTS = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Privileged}} {{.EffectiveCaps}}"


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, from the files of which the repository's build makes it."""
    folder = tmp_path_factory.mktemp("own")
    source, archive = folder / "shipwheel", folder / "shipwheel.tar"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shipwheel_json("build", source, "--platform", NATIVE, "-t", "shipwheel:test", "-o", archive)
    return podman.load(archive)


@pytest.fixture
def given(podman: Podman, tmp_path: Path) -> Path:
    """A directory for the pod: a repository, and what its build needs, since there is no network.

    The project is small, and for one platform, because the pod's store is empty: it makes the base, too.
    """
    folder = podman.sandbox.folder("given")
    written(folder / "hello", PROJECT)
    shipwheel_json("build", folder / "hello", "-o", tmp_path / "first.oci")
    subprocess.run(COMMIT, shell=True, cwd=folder / "hello", check=True)
    done = shipwheel("bundle", folder / "hello", "--for-build", "-o", folder / "inputs.tar")
    assert done.returncode == 0, done.stderr
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    return folder


def tekton_step(values: Mapping[str, str]) -> dict[str, Any]:
    """Return the step of the task as the container that it becomes, with the values of what it names in parentheses."""
    text = (FOLDER / "tekton-task.yaml").read_text()
    for name, value in values.items():
        text = text.replace(f"$({name})", value)
    assert "$(" not in text
    task = yaml.safe_load(text)["spec"]
    (step,) = task["steps"]
    names = ("name", "workingDir", "env")
    command = {"command": ["/opt/venv/bin/python", "-c", step["script"]]}
    return {**{name: step[name] for name in names}, **command, "securityContext": task["stepTemplate"]["securityContext"], "name": "tekton"}


def pod_of_both(image: str, host: str, given: Path) -> str:
    """Return the Job, whose pod clones the repository, unpacks the bundle, does as the task does, and builds."""
    job = yaml.safe_load((FOLDER / "kubernetes-job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (clone,), (build,) = pod["initContainers"], pod["containers"]
    clone["command"] = ["git", "clone", "--depth=1", "file:///given/hello", "/work/hello"]
    build["args"] = [word.replace("registry.example", host) for word in build["args"]]
    build["env"][0]["value"] = host
    values = {"params.image": f"{host}/team/tekton:1", "params.path": ".", "params.registry-secret": "registry"}
    values |= {"workspaces.source.path": "/work/hello", "workspaces.cache.path": "/cache", "results.reference.path": "/given/result"}
    unbundle = {**clone, "name": "unbundle", "command": ["shipwheel", "unbundle", "/given/inputs.tar"]}
    pod["initContainers"] = [clone, unbundle, {**tekton_step(values), "volumeMounts": clone["volumeMounts"]}]
    pod["volumes"].append({"name": "given", "hostPath": {"path": str(given), "type": "Directory"}})
    for container in (*pod["initContainers"], build):
        # The sandbox's control groups have no limits for memory.
        container.pop("resources", None)
        container["image"] = image
        container["volumeMounts"] = [*container["volumeMounts"], {"name": "given", "mountPath": "/given"}]
    # The registry is on the loopback interface of the sandbox, as it has no other.
    pod["hostNetwork"] = True
    return yaml.safe_dump(job)


def test_a_pod_without_privileges_builds_and_pushes(podman: Podman, registry: Registry, image: str, given: Path, tmp_path: Path) -> None:
    digest = shipwheel_json("build", given / "hello", "--locked", "-o", tmp_path / "again.oci")["digest"]
    podman.sandbox.reach(registry.host)
    for name, text in {"secret.yaml": SECRET, "job.yaml": pod_of_both(image, registry.host, given)}.items():
        (given / name).write_text(text)
    podman.cli("kube", "play", str(given / "secret.yaml"))
    try:
        podman.cli("kube", "play", str(given / "job.yaml"))
        build = podman.container("build-hello-pod-build")
        assert build.wait() == 0, build.logs()
        assert podman.cli("inspect", "--format", RIGHTS, build.name).stdout.split() == ["65532:65532", "true", "false", "[]"]
        assert f"{registry.host}/team/hello@{digest}\n" in build.logs(), "the bytes that this machine has built"
        assert (given / "result").read_text() == f"{registry.host}/team/tekton@{digest}"
        for name in ("hello", "tekton"):
            assert shipwheel_json("inspect", f"{registry.host}/team/{name}:1")["digest"] == digest
    finally:
        podman.cli("kube", "down", "--force", str(given / "job.yaml"))
        podman.cli("secret", "rm", "registry")
