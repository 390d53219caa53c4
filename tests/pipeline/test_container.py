"""The config of a container."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shipwheel.oci.model import encode
from shipwheel.pipeline.container import ContainerOptions, container_config

SERVICE = ContainerOptions(
    command=("uvicorn", "main:app"),
    program=False,
    arguments=("--port", "8000"),
    ports=("8000/tcp", "53/udp"),
    volumes=("/data", "/cache"),
    env={"LOG": "info", "HOME": "/data"},
    user="65532:65532",
    workdir="/app",
    labels={"b": "2", "a": "1"},
    stop_signal="SIGINT",
    launcher=(),
)
LAUNCHER = ("/opt/venv/bin/python", "/opt/shipwheel/launcher.py")


def test_a_services_command_can_be_replaced_as_a_whole() -> None:
    config = container_config(SERVICE)
    assert config.entrypoint == ()
    assert config.cmd == ("uvicorn", "main:app", "--port", "8000")
    config = container_config(replace(SERVICE, launcher=LAUNCHER))
    assert config.entrypoint == LAUNCHER
    assert config.cmd == ("uvicorn", "main:app", "--port", "8000")


def test_a_programs_arguments_append() -> None:
    config = container_config(replace(SERVICE, program=True))
    assert (config.entrypoint, config.cmd) == (("uvicorn", "main:app"), ("--port", "8000"))
    config = container_config(replace(SERVICE, program=True, launcher=LAUNCHER, arguments=()))
    assert (config.entrypoint, config.cmd) == ((*LAUNCHER, "uvicorn", "main:app"), ())


def test_the_init_comes_first() -> None:
    service = replace(SERVICE, init="/usr/bin/tini")
    config = container_config(service)
    assert (config.entrypoint, config.cmd) == (("/usr/bin/tini", "--"), ("uvicorn", "main:app", "--port", "8000"))
    assert container_config(replace(service, launcher=LAUNCHER)).entrypoint == ("/usr/bin/tini", "--", *LAUNCHER)
    config = container_config(replace(service, program=True, launcher=LAUNCHER))
    assert (config.entrypoint, config.cmd) == (("/usr/bin/tini", "--", *LAUNCHER, "uvicorn", "main:app"), ("--port", "8000"))


def test_what_is_said_is_there() -> None:
    config = container_config(SERVICE)
    assert config.user == "65532:65532"
    assert config.exposed_ports == {"53/udp": {}, "8000/tcp": {}}
    assert config.volumes == {"/cache": {}, "/data": {}}
    assert config.working_dir == "/app"
    assert config.labels == {"a": "1", "b": "2"}
    assert config.stop_signal == "SIGINT"


def test_the_environment() -> None:
    found = dict(item.split("=", 1) for item in container_config(SERVICE).env)
    assert found["PATH"].split(":")[0] == "/opt/venv/bin"
    assert found["HOME"] == "/data", "the user's word counts"
    assert found["LOG"] == "info"
    assert found["LANG"] == "C.UTF-8"
    assert found["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"
    assert found["PYTHONUNBUFFERED"] == found["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "PYTHONPATH" not in found


MAPPING = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5)


@given(MAPPING, MAPPING, st.permutations(["1/tcp", "2/tcp", "3/udp"]), st.permutations(["/a", "/b"]))
def test_the_order_of_settings_does_not_matter(env: dict[str, str], labels: dict[str, str], ports: list[str], volumes: list[str]) -> None:
    one = replace(SERVICE, env=env, labels=labels, ports=tuple(ports), volumes=tuple(volumes))
    backwards = {key: env[key] for key in reversed(env)}
    other = replace(one, env=backwards, labels=dict(reversed(labels.items())), ports=tuple(ports[::-1]), volumes=tuple(volumes[::-1]))
    assert encode(container_config(one)) == encode(container_config(other))
    keys = [item.split("=", 1)[0] for item in container_config(replace(one, env={})).env]
    assert keys == sorted(set(keys))
