"""The manifests of a stack for Kubernetes."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from support.stacks import PLACE, POSTGRES, ROOT, STACK, ours, placed
from uv import find_uv_bin

from shipwheel.container.path import ContainerPath
from shipwheel.errors import UsageError
from shipwheel.stack.image import place
from shipwheel.stack.kubernetes import manifests
from shipwheel.stack.kustomize import kustomize_files
from shipwheel.stack.model import HealthCommand, ProjectSource, PulledImage, Service, ServiceVolume, Stack

VERSIONS = ("1.35.0", "1.36.0", "1.37.0")


def found(*services: Service) -> dict[tuple[str, str], dict[str, Any]]:
    """(kind, name) -> document of a stack: the one of every test, or one with these services of the project."""
    stack, each = (STACK, tuple(placed())) if not services else (Stack("shop", ROOT, PLACE, services), ())
    made = manifests(stack, each or [place(service, ours(), PLACE) for service in services])
    return {(it["kind"], it["metadata"]["name"]): it for it in made.documents}


def pod(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]["template"]["spec"]
    return spec


def test_every_kind_of_service_is_the_kind_that_suits_it() -> None:
    kinds = {name for name in found() if name[0] in ("Deployment", "StatefulSet", "Job", "Service", "PersistentVolumeClaim")}
    assert kinds == {
        ("StatefulSet", "db"),
        ("Service", "db"),
        ("Deployment", "web"),
        ("Service", "web"),
        ("Deployment", "worker"),
        ("PersistentVolumeClaim", "shop-data"),
    }
    assert ("Job", "release-00000000") in found(Service("release", ProjectSource(ROOT), is_job=True))


def test_a_job_with_a_schedule_is_a_cron_job() -> None:
    nightly = Service("nightly", ProjectSource(ROOT), is_job=True, schedule="0 3 * * *")
    documents = found(nightly)
    spec = documents["CronJob", "nightly"]["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 3 * * *", "Forbid")
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert ("NetworkPolicy", "nightly") in documents


def test_a_name_that_is_too_long_for_a_cron_job_is_refused() -> None:
    fits, long = (Service("a" * size, ProjectSource(ROOT), is_job=True, schedule="@daily") for size in (52, 53))
    assert ("CronJob", fits.name) in found(fits)
    with pytest.raises(UsageError, match="which has a schedule, is longer than 52 characters"):
        found(long)


def test_a_pod_waits_for_what_it_needs_and_runs_the_jobs_before_it() -> None:
    wait, release = pod(found()["Deployment", "web"])["initContainers"]
    assert wait["command"][-1:] == ["db:5432"]
    assert (release["name"], "readinessProbe" in release) == ("release", False)


def test_no_pod_asks_a_registry_for_an_image_that_its_node_has() -> None:
    """The images of a bundle that was loaded into an engine are in no registry."""
    templates = [pod(document) for document in found().values() if "template" in document.get("spec", {})]
    policies = {it["imagePullPolicy"] for each in templates for it in (*each.get("initContainers", []), *each["containers"])}
    assert policies == {"IfNotPresent"}


def test_a_container_is_confined_and_probed() -> None:
    web = found()["Deployment", "web"]
    assert pod(web)["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
    }
    assert pod(web)["automountServiceAccountToken"] is False
    container = pod(web)["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 120
    assert container["resources"]["limits"] == {"memory": "1Mi"}
    assert container["volumeMounts"][0] == {"name": "tmp", "mountPath": "/tmp"}
    db = pod(found()["StatefulSet", "db"])
    assert "readOnlyRootFilesystem" not in db["containers"][0]["securityContext"], "an image of others may need it"
    assert db["containers"][0]["readinessProbe"]["exec"] == {"command": ["pg_isready"]}


def test_passwords_come_from_a_secret_that_nothing_writes() -> None:
    web = pod(found()["Deployment", "web"])
    env = web["containers"][0]["env"]
    assert env == [
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "shop-secrets", "key": "PASSWORD"}}},
        {"name": "KEY_FILE", "value": "/run/secrets/KEY"},
        {"name": "URL", "value": "pg://$(PASSWORD)@db/$$1"},
    ]
    assert next(volume for volume in web["volumes"] if volume["name"] == "secrets")["secret"]["secretName"] == "shop-secrets"
    assert not [kind for kind, _ in found() if kind == "Secret"]


def test_processes_that_share_a_volume_are_on_one_node_one_after_the_other() -> None:
    web, worker = found()["Deployment", "web"]["spec"], found()["Deployment", "worker"]["spec"]
    assert (web["replicas"], web["strategy"]["type"]) == (1, "Recreate")
    near = [it["template"]["spec"].get("affinity", {}) for it in (web, worker)]
    assert sorted(map(len, near)) == [0, 1]


def test_a_server_that_keeps_nothing_has_replicas() -> None:
    config = msgspec.structs.replace(ours().config, volumes=())
    service = Service("web", ProjectSource(ROOT))
    made = manifests(Stack("shop", ROOT, PLACE, (service,)), [place(service, msgspec.structs.replace(ours(), config=config), PLACE)])
    by_kind = {it["kind"]: it for it in made.documents}
    assert (by_kind["HorizontalPodAutoscaler"]["spec"]["minReplicas"], by_kind["PodDisruptionBudget"]["spec"]["maxUnavailable"]) == (2, 1)
    (spread,) = pod(by_kind["Deployment"])["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert "nodeSelector" not in pod(by_kind["Deployment"]), "there is an image for every node"
    assert "replicas" not in by_kind["Deployment"]["spec"], "applying it again would undo what the autoscaler did"


def test_a_scheduler_ends_before_the_next_one_starts() -> None:
    image = msgspec.structs.replace(ours(), config=msgspec.structs.replace(ours().config, volumes=()))
    services = (Service("web", ProjectSource(ROOT)), Service("worker", ProjectSource(ROOT, "worker")))
    made = manifests(Stack("shop", ROOT, PLACE, services), [place(it, image, PLACE) for it in services]).documents
    strategies = {it["metadata"]["name"]: it["spec"]["strategy"] for it in made if it["kind"] == "Deployment"}
    assert strategies["web"] == {"type": "RollingUpdate"}
    assert strategies["worker"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def test_nothing_is_reached_that_nothing_needs() -> None:
    everything = found()
    assert everything["NetworkPolicy", "shop-deny"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    db = everything["NetworkPolicy", "db"]["spec"]
    assert db["ingress"][0]["ports"] == [{"port": 5432}]
    assert [it["ports"] for it in db["egress"]] == [[{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]]
    web = everything["NetworkPolicy", "web"]["spec"]
    assert {"port": 5432} in [port for rule in web["egress"] for port in rule.get("ports", ())]


def test_a_service_whose_ports_nothing_names_is_reached_by_those_who_need_it() -> None:
    """Many images expose nothing: their name leads to the pod, whose ports are open to the callers alone."""
    image = msgspec.structs.replace(POSTGRES, config=msgspec.structs.replace(POSTGRES.config, exposed_ports=()))
    queue, alone = Service("queue", PulledImage("a")), Service("alone", PulledImage("a"))
    web = Service("web", ProjectSource(ROOT), needs=("queue",))
    stack = Stack("shop", ROOT, PLACE, (queue, alone, web))
    made = manifests(stack, [place(it, ours() if it is web else image, PLACE) for it in stack.services]).documents
    documents = {(it["kind"], it["metadata"]["name"]): it["spec"] for it in made if "spec" in it}
    assert documents["Service", "queue"]["clusterIP"] == documents["Service", "alone"]["clusterIP"] == "None"
    assert documents["StatefulSet", "alone"]["serviceName"] == "alone"
    callers = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": "shop"}}}]
    assert documents["NetworkPolicy", "queue"]["ingress"] == [{"from": callers}]
    assert documents["NetworkPolicy", "alone"]["ingress"] == []


def test_a_job_reaches_what_it_needs_from_the_pod_that_waits_for_it() -> None:
    job = Service("migrate", ProjectSource(ROOT), is_job=True, needs=("db",))
    web, alone = Service("web", ProjectSource(ROOT), needs=("migrate",)), Service("alone", ProjectSource(ROOT))
    documents = found(Service("db", ProjectSource(ROOT)), job, web, alone)
    (rule,) = documents["NetworkPolicy", "db"]["spec"]["ingress"]
    names = {each["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for each in rule["from"]}
    assert "web" in names and "alone" not in names
    assert [each["name"] for each in pod(documents["Deployment", "web"])["initContainers"]] == ["migrate"]


def test_jobs_that_need_jobs_run_once_each_with_what_they_need() -> None:
    def job(name: str, *needs: str, volumes: tuple[ServiceVolume, ...] = ()) -> Service:
        return Service(name, ProjectSource(ROOT), is_job=True, needs=needs, volumes=volumes)

    first = job("first", "db", volumes=(ServiceVolume("seed", ContainerPath("/data")),))
    services = (Service("db", ProjectSource(ROOT)), first, job("left", "first"), job("right", "first"))
    documents = found(*services, Service("web", ProjectSource(ROOT), needs=("left", "right")))
    made = pod(documents["Deployment", "web"])
    assert [each["name"] for each in made["initContainers"]] == ["first", "left", "right"]
    mounted = {mount["name"] for each in made["initContainers"] for mount in each["volumeMounts"]}
    assert "seed" in mounted and mounted <= {each["name"] for each in made["volumes"]}
    (rule,) = documents["NetworkPolicy", "db"]["spec"]["ingress"]
    assert "web" in [each["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for each in rule["from"]]


def test_dollar_signs_of_words_stay() -> None:
    check = HealthCommand(("test", "$(x)"))
    service = Service("web", ProjectSource(ROOT), command=("run", "$(date)", "a$$b"), env={"A": "$(B) ${C}"}, health=check)
    container = pod(found(service)["Deployment", "web"])["containers"][0]
    assert container["args"] == ["run", "$$(date)", "a$$$$b"]
    assert container["env"][-1] == {"name": "A", "value": "$$(B) $(C)"}
    assert container["readinessProbe"]["exec"]["command"] == ["test", "$$(x)"]


def test_names_of_volumes_are_those_that_are_allowed() -> None:
    volumes = tuple(ServiceVolume(name, ContainerPath(path)) for name, path in (("Shop_files", "/data"), ("shop-files", "/other")))
    service = Service("db", PulledImage("postgres:16"), volumes=volumes[:1])
    made = manifests(STACK, [place(service, POSTGRES, PLACE)])
    claims = next(it for it in made.documents if it["kind"] == "StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claims[0]["metadata"]["name"] == "shop-files"
    with pytest.raises(UsageError, match="volumes Shop_files and shop-files would both be shop-files"):
        manifests(STACK, [place(msgspec.structs.replace(service, volumes=volumes), POSTGRES, PLACE)])


def test_variables_come_before_the_values_that_they_are_part_of() -> None:
    env = {"URL": "pg://${PASSWORD}@db", "PASSWORD": "${PASSWORD}", "PATH": "/x:${PATH}"}
    container = pod(found(Service("web", ProjectSource(ROOT), env=env))["Deployment", "web"])["containers"][0]
    references = [(it["name"], it["valueFrom"]["secretKeyRef"]["key"]) for it in container["env"] if "valueFrom" in it]
    assert references == [("PASSWORD", "PASSWORD"), ("PATH_OF_STACK", "PATH")]
    assert container["env"][2:] == [{"name": "PATH", "value": "/x:$(PATH_OF_STACK)"}, {"name": "URL", "value": "pg://$(PASSWORD)@db"}]


def test_the_overlay_is_the_persons() -> None:
    base, overlay = kustomize_files(STACK, tuple(placed()))
    listed = yaml.safe_load(base["base/kustomization.yaml"])["resources"]
    assert sorted(f"base/{name}" for name in listed) == sorted(set(base) - {"base/kustomization.yaml"})
    assert yaml.safe_load(overlay["overlays/production/kustomization.yaml"])["resources"] == [
        "namespace.yaml",
        "../../base",
        "ingress.yaml",
    ]
    assert yaml.safe_load(overlay["overlays/production/namespace.yaml"])["metadata"] == {"name": "shop"}
    assert not [text for text in (*base.values(), *overlay.values()) if "&id" in text]


@pytest.mark.online
def test_the_manifests_are_valid(tmp_path: Path) -> None:
    volume = ServiceVolume("files", ContainerPath("/data"))
    job = Service("once", ProjectSource(ROOT), is_job=True, volumes=(volume,))
    timed = Service("timed", ProjectSource(ROOT), is_job=True, schedule="@daily")
    other = manifests(Stack("shop", ROOT, PLACE, (job, timed)), [place(job, POSTGRES, PLACE), place(timed, ours(), PLACE)])
    base, overlay = kustomize_files(STACK, tuple(placed()))
    paths = []
    for name, text in {**base, **overlay, "job.yaml": yaml.safe_dump_all(other.documents)}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.name != "kustomization.yaml":
            paths.append(str(path))
    for version in VERSIONS:
        command = [
            find_uv_bin(),
            "tool",
            "run",
            "--quiet",
            "--from",
            "kubernetes-validate==1.37.0",
            "kubernetes-validate",
            "--strict",
            "-k",
            version,
        ]
        done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "passed for resource statefulset/db" in done.stdout + done.stderr
