"""The Helm chart of a stack: Helm renders it into what `export kubernetes` writes, and refuses wrong values."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from support.checkov import findings
from support.cluster import cluster
from support.helm import install_helm
from support.stacks import PLACE, POSTGRES, ROOT, STACK, ours, placed

from shipwheel.container.path import ContainerPath
from shipwheel.stack.helm import helm_files
from shipwheel.stack.image import PlacedService, ServiceImage, place
from shipwheel.stack.kubernetes import manifests
from shipwheel.stack.kustomize import kustomize_files
from shipwheel.stack.model import ProjectSource, Service, ServiceVolume, Stack

KEEP = "helm.sh/resource-policy"


def stateless() -> tuple[Stack, list[PlacedService]]:
    """A web server that keeps nothing, a worker beside it, a job that nothing waits for, and one with a schedule."""
    image = msgspec.structs.replace(ours(), config=msgspec.structs.replace(ours().config, volumes=()))
    web = Service("web", ProjectSource(ROOT), env={"GREETING": "{{ .Values.x }} $(y)"}, secrets=("KEY",))
    worker = Service("my-worker", ProjectSource(ROOT, "worker"), command=("run", "{{x}}", "expression-0-inline", "expression-99-lines"))
    once = Service("once", ProjectSource(ROOT), is_job=True, volumes=(ServiceVolume("files", ContainerPath("/data")),))
    nightly = Service("nightly", ProjectSource(ROOT), is_job=True, schedule="0 3 * * *")
    stack = Stack("shop", ROOT, PLACE, (web, worker, once, nightly))
    return stack, [place(web, image, PLACE), place(worker, image, PLACE), place(once, POSTGRES, PLACE), place(nightly, image, PLACE)]


LEFT = {
    "CKV_K8S_8": "a worker listens nowhere, so no probe can ask it",
    "CKV_K8S_9": "the same",
    "CKV_K8S_11": "a limit of the CPU slows a server down where nothing else wants the CPU",
    "CKV_K8S_35": "a value of `env` refers to a variable; those of `secrets` are files",
}
"""Checks of checkov that find something -> why it stays."""

STACKS = {"whole": (STACK, list(placed())), "stateless": stateless()}


def values(files: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files["values.yaml"])
    return found


def test_values_say_what_differs_between_clusters() -> None:
    found = values(helm_files(STACK, tuple(placed())))
    web = found["services"]["web"]
    assert web["image"] == {"registry": "registry.example", "repository": "shop", "digest": "sha256:" + "0" * 64, "tag": ""}
    assert (web["env"], web["replicas"]) == ({"URL": "pg://$(PASSWORD)@db/$$1"}, 1)
    assert web["resources"] == {"requests": {"cpu": "500m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}}
    assert found["services"]["db"]["image"] == {"registry": "", "repository": "postgres", "digest": "", "tag": "16"}
    assert found["volumes"] == {name: {"size": "1Gi", "class": ""} for name in ("shop-data", "db-var-lib-pg")}
    assert (found["secret"], found["ingress"]["host"]) == ("shop-secrets", "")


def test_a_service_with_a_volume_has_one_replica_at_most() -> None:
    kept, free = (json.loads(helm_files(*STACKS[name])["values.schema.json"])["properties"]["services"] for name in STACKS)
    assert kept["properties"]["web"]["properties"]["replicas"] == {"type": "integer", "minimum": 0, "maximum": 1}
    assert free["properties"]["my-worker"]["properties"]["replicas"] == {"type": "integer", "minimum": 0}


def test_no_password_and_no_secret_is_in_a_chart() -> None:
    files = helm_files(STACK, tuple(placed()))
    assert not [name for name, text in files.items() if "kind: Secret" in text]


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The charts of all stacks, in directories."""
    folders = {name: tmp_path_factory.mktemp(name) for name in STACKS}
    for name, (stack, each) in STACKS.items():
        for path, text in helm_files(stack, each).items():
            (folders[name] / path).parent.mkdir(exist_ok=True)
            (folders[name] / path).write_text(text)
    return folders


def render(helm: Path, chart: Path, *options: str) -> list[dict[str, Any]]:
    """Return the objects that Helm makes of a chart, without its own annotation, sorted as `in_order` sorts them."""
    done = subprocess.run([helm, "template", "any", chart, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [document for document in yaml.safe_load_all(done.stdout) if document]
    for document in found:
        if KEEP in document["metadata"].get("annotations", ()):
            del document["metadata"]["annotations"]
    return in_order(found)


def in_order(documents: Any) -> list[dict[str, Any]]:
    return sorted(documents, key=lambda it: (it["kind"], it["metadata"]["name"]))


@pytest.mark.online
@pytest.mark.parametrize("name", STACKS)
def test_the_chart_is_what_export_kubernetes_writes(helm: Path, charts: dict[str, Path], name: str) -> None:
    stack, each = STACKS[name]
    assert render(helm, charts[name]) == in_order(manifests(stack, each).documents)
    linted = subprocess.run([helm, "lint", "--strict", charts[name]], capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def write_overlay(folder: Path, stack: Stack, each: Sequence[PlacedService]) -> tuple[Path, int]:
    """Write what `export kubernetes` writes. Return the directory to apply, and the number of objects."""
    base, overlay = kustomize_files(stack, each)
    for path, text in {**base, **overlay}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    objects = [it for text in (*base.values(), *overlay.values()) for it in yaml.safe_load_all(text) if it["kind"] != "Kustomization"]
    return folder / "overlays" / "production", len(objects)


@pytest.mark.online
@pytest.mark.parametrize("name", STACKS)
def test_kubectl_takes_the_overlay(helm: Path, tmp_path: Path, name: str) -> None:
    """It joins base and overlay, and knows every kind."""
    production, count = write_overlay(tmp_path, *STACKS[name])
    with cluster() as url:
        command = [str(helm.with_name("kubectl")), f"--server={url}", f"--cache-dir={tmp_path}/cache", "apply", "--dry-run=client"]
        words = [*command, "--validate=false", "--kustomize", str(production)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == count


def measured(stack: Stack, each: Sequence[PlacedService]) -> tuple[Stack, list[PlacedService]]:
    """Return a stack as careful settings describe it: with the memory of every service, and with images of others confined."""
    services = tuple(msgspec.structs.replace(it, memory=1 << 28, hardened=True) for it in stack.services)
    config = msgspec.structs.replace(POSTGRES.config, user="10001:10001")
    confined = ServiceImage("postgres@sha256:" + "0" * 64, config, POSTGRES.platform, "postgres")
    images = [it.image if it.image.is_ours else confined for it in each]
    return msgspec.structs.replace(stack, services=services), [place(*both, PLACE) for both in zip(services, images, strict=True)]


@pytest.mark.online
def test_checkov_finds_nothing_that_settings_could_mend(helm: Path, tmp_path: Path) -> None:
    for name, described in STACKS.items():
        production, _ = write_overlay(tmp_path / "made" / name, *measured(*described))
        joined = subprocess.run([helm.with_name("kubectl"), "kustomize", production], capture_output=True, check=True).stdout
        (tmp_path / "scanned").mkdir(exist_ok=True)
        (tmp_path / "scanned" / f"{name}.yaml").write_bytes(joined)
    found = findings(tmp_path / "scanned")
    assert {it for it in found if it[0] not in LEFT} == set()
    assert {check for check, _ in found} == set(LEFT), "nothing is left out without need"


@pytest.mark.online
def test_values_reach_every_place(helm: Path, charts: dict[str, Path], tmp_path: Path) -> None:
    digest = "sha256:" + "1" * 64
    other = {
        "registry": "mirror.example:5000",
        "pullSecrets": ["mirror"],
        "labels": {"team": "blue"},
        "secret": "vault",
        "volumes": {"files": {"size": "5Gi", "class": "fast"}},
        "ingress": {"host": "shop.test", "className": "nginx", "annotations": {"a": "b"}},
        "services": {
            "web": {"autoscaling": {"enabled": False}, "replicas": 3, "env": {"GREETING": None, "A": "2"}},
            "my-worker": {"image": {"digest": digest}, "env": {"LEVEL": "1"}, "resources": {"limits": {"memory": "1Gi"}}},
            "once": {"image": {"digest": digest}},
        },
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(other))
    found = {
        (it["kind"], it["metadata"]["name"]): it for it in render(helm, charts["stateless"], "--values", str(tmp_path / "values.yaml"))
    }
    web, worker, once = (found[key] for key in (("Deployment", "web"), ("Deployment", "my-worker"), ("Job", f"once-{digest[7:15]}")))
    containers = [it["spec"]["template"]["spec"]["containers"][0] for it in (web, worker, once)]
    assert [it["image"].partition("@")[0] for it in containers] == [f"mirror.example:5000/{it}" for it in ("shop", "shop", "postgres")]
    assert containers[0]["env"][-1] == {"name": "A", "value": "2"}
    assert (containers[1]["env"], containers[1]["resources"]["limits"]) == ([{"name": "LEVEL", "value": "1"}], {"memory": "1Gi"})
    assert (web["spec"]["replicas"], ("HorizontalPodAutoscaler", "web") in found) == (3, False)
    assert web["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "mirror"}]
    assert [it["secret"]["secretName"] for it in web["spec"]["template"]["spec"]["volumes"] if "secret" in it] == ["vault"]
    assert {it["metadata"]["labels"]["team"] for it in found.values()} == {"blue"}
    assert web["spec"]["template"]["metadata"]["labels"]["team"] == "blue"
    claim = found["PersistentVolumeClaim", "files"]["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "5Gi")
    ingress = found["Ingress", "shop"]
    assert (ingress["spec"]["ingressClassName"], ingress["spec"]["rules"][0]["host"]) == ("nginx", "shop.test")


@pytest.mark.online
def test_a_host_makes_the_ingress_of_the_overlay(helm: Path, charts: dict[str, Path]) -> None:
    _, overlay = kustomize_files(*STACKS["whole"])
    expected = yaml.safe_load(overlay["overlays/production/ingress.yaml"])
    found = render(helm, charts["whole"], "--set", f"ingress.host={expected['spec']['rules'][0]['host']}")
    assert [it for it in found if it["kind"] == "Ingress"] == [expected]


@pytest.mark.online
@pytest.mark.parametrize("wrong", ["services.web.replicas=2", "services.web.image.digest=sha256:1", "servces.web=1", "services.db.env.A=1"])
def test_wrong_values_are_refused(helm: Path, charts: dict[str, Path], wrong: str) -> None:
    done = subprocess.run([helm, "template", "any", charts["whole"], "--set", wrong], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr
