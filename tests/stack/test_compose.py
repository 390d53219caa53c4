"""The compose file of a stack, and the containers that an engine is asked for: the same decisions in two forms."""

from pathlib import Path

import msgspec
import pytest
import yaml
from support.stacks import PLACE, POSTGRES, ROOT, STACK, WEB, WORKER, ours, placed
from support.vendor_schemas import schema_errors

from shipwheel.container.path import ContainerPath
from shipwheel.engine.interface import Mount
from shipwheel.errors import UsageError
from shipwheel.stack.compose import compose_file
from shipwheel.stack.containers import LABEL_CONFIG, run_spec
from shipwheel.stack.image import ServiceImage, place
from shipwheel.stack.model import (
    HealthCommand,
    HealthPath,
    HealthPort,
    ProjectSource,
    PulledImage,
    Service,
    ServiceHealth,
    ServiceVolume,
)
from shipwheel.stack.secrets import secret_file


def test_a_compose_file_says_all_that_the_settings_say() -> None:
    text = compose_file(STACK, tuple(placed()))
    found = yaml.safe_load(text)
    web, db, worker = (found["services"][name] for name in ("web", "db", "worker"))
    assert found["name"] == "shop"
    assert found["volumes"] == {"db-var-lib-pg": {}, "shop-data": {}}
    assert found["secrets"] == {"KEY": {"file": "./secrets/KEY"}}
    assert web["image"] == ours().name
    assert web["environment"] == {"KEY_FILE": "/run/secrets/KEY", "URL": "pg://${PASSWORD:?set PASSWORD}@db/$$1"}
    assert web["depends_on"] == {"db": {"condition": "service_healthy"}, "release": {"condition": "service_completed_successfully"}}
    assert web["ports"] == [{"target": 8000, "published": "8000", "host_ip": "127.0.0.1", "protocol": "tcp"}]
    assert web["healthcheck"]["test"][:2] == ["CMD", "/opt/venv/bin/python"]
    assert web["healthcheck"]["test"][-2:] == ["8000", "/ready"]
    assert (web["user"], web["read_only"], web["tmpfs"], web["cap_drop"]) == ("65532:65532", True, ["/tmp"], ["ALL"])
    assert (web["security_opt"], web["restart"], web["cpus"], web["mem_limit"]) == (
        ["no-new-privileges:true"],
        "unless-stopped",
        0.5,
        1 << 20,
    )
    assert worker["entrypoint"] == ["/usr/bin/tini", "--", "celery", "$$X"]
    assert "healthcheck" not in worker, "it does not listen on the port of the image"
    assert (db["pull_policy"], db["healthcheck"]["test"]) == ("never", ["CMD", "pg_isready"])
    assert db.keys().isdisjoint({"read_only", "cap_drop", "user"}), "an image of others may need them"
    assert found["services"]["release"]["restart"] == "no"


@pytest.mark.online
def test_a_compose_file_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(compose_file(STACK, tuple(placed())))
    assert schema_errors(file, "compose-spec") == ""
    file.write_text(file.read_text().replace("  web:\n", "  web:\n    nothing: 1\n"))
    assert "nothing" in schema_errors(file, "compose-spec")


def test_values_of_settings_and_images_stay_what_they_are() -> None:
    env = {name: name for name in ("1e3", "0o17", "y", "N", "+.5")}
    service = Service("web", PulledImage("x"), env=env, volumes=(ServiceVolume("data", ContainerPath("/$x")),))
    config = msgspec.structs.replace(ours().config, user="$USER", volumes=(ContainerPath("/$x"),))
    text = compose_file(STACK, [place(service, msgspec.structs.replace(ours(), config=config), PLACE)])
    found = yaml.safe_load(text)["services"]["web"]
    assert (found["user"], found["volumes"][0]["target"]) == ("$$USER", "/$$x")
    assert [f"'{name}': '{name}'" in text for name in env] == [True] * len(env), "a number or true to some readers"


def test_a_container_has_the_same() -> None:
    web, worker = (next(it for it in placed() if it.service is service) for service in (WEB, WORKER))
    variables = {"PASSWORD": "p", "KEY": "k"}
    spec = run_spec(STACK, web, "sha256:1", variables, Path("/secrets"))
    assert (spec.name, spec.network, spec.aliases, spec.restarts) == ("shop-web", "shop-stack", ("web",), True)
    assert spec.env == {"KEY_FILE": "/run/secrets/KEY", "URL": "pg://p@db/$1"}
    assert spec.mounts == (
        Mount("shop_shop-data", ContainerPath("/data")),
        Mount(str(secret_file(Path("/secrets"), "KEY", "k")), ContainerPath("/run/secrets/KEY"), read_only=True),
    )
    assert (spec.read_only, spec.no_privileges, spec.entrypoint) == (True, True, None)
    assert run_spec(STACK, worker, "sha256:1", variables, Path("/s")).command == ("/usr/bin/tini", "--", "celery", "$X")
    same, secret, image = (
        run_spec(STACK, web, image, values, Path("/secrets")).labels[LABEL_CONFIG]
        for image, values in (("sha256:1", variables), ("sha256:1", {**variables, "KEY": "new"}), ("sha256:2", variables))
    )
    assert same == spec.labels[LABEL_CONFIG]
    assert len({same, secret, image}) == 3, "another secret or image means another container"


@pytest.mark.parametrize(
    ("labels", "health", "expected"),
    [
        ({"io.shipwheel.version": "1"}, None, HealthPort(8000)),
        ({"io.shipwheel.version": "1", "io.shipwheel.health": "/a"}, None, HealthPath("/a", 8000)),
        ({"io.shipwheel.version": "1", "io.shipwheel.health": "/a"}, HealthPath("/b"), HealthPath("/b", 8000)),
        ({"other": "1"}, None, None),
        ({"other": "1"}, HealthCommand(("ok",)), HealthCommand(("ok",))),
    ],
)
def test_the_health_check_is_that_of_the_settings_then_of_the_image(
    labels: dict[str, str], health: ServiceHealth | None, expected: ServiceHealth | None
) -> None:
    assert place(Service("web", ProjectSource(ROOT), health=health), ours(**labels), PLACE).health == expected


@pytest.mark.parametrize(
    ("service", "image", "message"),
    [
        (Service("db", PulledImage("a"), health=HealthPath("/x")), POSTGRES, "services.db.health: postgres:16 may have no Python"),
        (Service("beat", ProjectSource(ROOT, "beat")), ours(), "has no process beat"),
        (
            Service("web", ProjectSource(ROOT), volumes=(ServiceVolume("a", ContainerPath("/other")),)),
            ours(),
            "services.web.volumes: /other is no volume of its image",
        ),
    ],
)
def test_an_image_that_does_not_suit_its_service_is_named(service: Service, image: ServiceImage, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        place(service, image, PLACE)
    assert message in caught.value.message
    assert caught.value.hint
