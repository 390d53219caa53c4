"""The pods of a stack for `podman kube play`."""

from typing import Any

import msgspec
import pytest
import yaml
from support.stacks import DB, PLACE, POSTGRES, ROOT, STACK, ours, placed

from shipwheel.errors import UsageError
from shipwheel.stack.image import place
from shipwheel.stack.model import ProjectSource, Service, Stack
from shipwheel.stack.podman_pods import podman_pods


def played() -> list[dict[str, Any]]:
    return [*yaml.safe_load_all(podman_pods(STACK, tuple(placed())))]


def test_each_service_is_a_pod_of_its_name_behind_what_it_needs() -> None:
    assert [(it["kind"], it["metadata"]["name"]) for it in played()] == [
        ("PersistentVolumeClaim", "shop-data"),
        ("PersistentVolumeClaim", "db-var-lib-pg"),
        ("Pod", "db"),
        ("Pod", "worker"),
        ("Pod", "web"),
    ]
    db, worker, web = (it["spec"] for it in played() if it["kind"] == "Pod")
    assert [it["name"] for it in web["initContainers"]] == ["wait", "release"]
    assert {"name": "db-var-lib-pg", "persistentVolumeClaim": {"claimName": "db-var-lib-pg"}} in db["volumes"]
    assert worker["containers"][0]["name"] == "worker"


def test_pods_have_what_podman_knows_and_nothing_of_a_cluster() -> None:
    text = podman_pods(STACK, tuple(placed()))
    for word in ("httpGet", "tcpSocket", "readinessProbe", "serviceAccountName", "cpu:", "affinity", "NetworkPolicy"):
        assert word not in text, word
    db, _, web = (it["spec"] for it in played() if it["kind"] == "Pod")
    probe = web["containers"][0]["livenessProbe"]
    assert probe["exec"]["command"][0] == "/opt/venv/bin/python" and probe["exec"]["command"][-1] == "/ready"
    assert db["containers"][0]["startupProbe"]["exec"]["command"] == ["pg_isready"]
    assert db["containers"][0]["ports"] == [{"name": "tcp-5432", "containerPort": 5432, "hostPort": 5433, "hostIP": "127.0.0.1"}]
    assert web["containers"][0]["ports"][0]["hostPort"] == 8000
    assert web["containers"][0]["resources"] == {"limits": {"memory": "1Mi"}}
    assert {it["name"]: it["resources"] for it in web["initContainers"]}["wait"] == {}, "podman may be unable to limit it"
    (secrets,) = (it["secret"] for it in web["volumes"] if "secret" in it)
    assert secrets["defaultMode"] == 0o444, "podman knows no fsGroup"


def test_a_value_with_a_secret_in_it_is_a_word_of_the_command() -> None:
    """Podman replaces $(NAME) in words alone."""
    _, _, web = (it["spec"]["containers"][0] for it in played() if it["kind"] == "Pod")
    assert "URL" not in {it["name"] for it in web["env"]}
    assert web["command"][4:] == ["1", "URL=pg://$(PASSWORD)@db/$$1", "/usr/bin/tini", "--", "gunicorn"]
    services = (msgspec.structs.replace(DB, env={"URL": "a ${PASSWORD}"}),)
    with pytest.raises(UsageError, match=r"services\.db\.env\.URL: podman puts no secret"):
        podman_pods(Stack("shop", ROOT, PLACE, services), [place(services[0], POSTGRES, PLACE)])
    services = (msgspec.structs.replace(DB, env={"URL": "a $1"}),)
    text = podman_pods(Stack("shop", ROOT, PLACE, services), [place(services[0], POSTGRES, PLACE)])
    (db,) = (it["spec"]["containers"][0] for it in yaml.safe_load_all(text) if it["kind"] == "Pod")
    assert db["env"] == [{"name": "URL", "value": "a $1"}]


def test_a_job_that_nothing_waits_for_is_a_job() -> None:
    services = (Service("release", ProjectSource(ROOT), is_job=True),)
    made = podman_pods(Stack("shop", ROOT, PLACE, services), [place(service, ours(), PLACE) for service in services])
    job = next(it for it in yaml.safe_load_all(made) if it["kind"] == "Job")
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert POSTGRES.name not in made


def test_a_line_separator_of_unicode_stays_in_a_value() -> None:
    services = (msgspec.structs.replace(DB, env={"MOTD": "a\x85b"}),)
    text = podman_pods(Stack("shop", ROOT, PLACE, services), [place(services[0], POSTGRES, PLACE)])
    (db,) = (it["spec"]["containers"][0] for it in yaml.safe_load_all(text) if it["kind"] == "Pod")
    assert db["env"] == [{"name": "MOTD", "value": "a\x85b"}]
