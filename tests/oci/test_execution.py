"""An image's execution parameters: hostile and odd configs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile_configs import configs

from shipwheel.container.signals import signal_number
from shipwheel.errors import ImageError
from shipwheel.oci.execution import ExposedPort, execution_config
from shipwheel.oci.model import ContainerConfig, decode


def test_reads_a_config() -> None:
    config = ContainerConfig(
        user="app:web",
        exposed_ports={"80/tcp": {}, "53/udp": {}, "80": {}},
        env=("A=b=c", "EMPTY=", "NOTHING", "=x"),
        entrypoint=("/usr/bin/tini", "--"),
        cmd=("python", "-c", ""),
        volumes={"/data/": {}, "/data": {}, "relative": {}},
        working_dir="srv",
        stop_signal="3",
    )
    found = execution_config(config, "app:1")
    assert found.environment == {"A": "b=c", "EMPTY": ""}
    assert (found.entrypoint, found.cmd) == (("/usr/bin/tini", "--"), ("python", "-c", ""))
    assert (found.user, found.working_dir, found.stop_signal) == ("app:web", "/srv", "SIGQUIT")
    assert found.volumes == ("/data", "/relative")
    assert found.exposed_ports == (ExposedPort(53, "udp"), ExposedPort(80, "tcp"))


@pytest.mark.parametrize(
    ("field", "config"),
    [
        ("Env", ContainerConfig(env=("A=x\0--bind\0/\0/host",))),
        ("Entrypoint", ContainerConfig(entrypoint=("/bin/sh\0-c",))),
        ("Cmd", ContainerConfig(cmd=("x", "\0"))),
        ("WorkingDir", ContainerConfig(working_dir="/srv\0--bind\0/\0/host")),
        ("WorkingDir", ContainerConfig(working_dir="/srv\n")),
        *(("User", ContainerConfig(user=user)) for user in ("0\0--cap-add\0ALL", "--privileged", "0,gid=0", "0:-x", "a b", "1:2:3")),
        *(
            ("Volumes", ContainerConfig(volumes={path: {}}))
            for path in ("/:/host", "/x,src=/", "/a/../..", "/", "", "/a\n", "/a\0", "/a:ro")
        ),
        *(("ExposedPorts", ContainerConfig(exposed_ports={port: {}})) for port in ("0", "65536/tcp", "80/tcp:80", "80-90", "٣", "-p", "")),
        *(
            ("StopSignal", ContainerConfig(stop_signal=signal))
            for signal in ("SIGNONE", "0", "65", "SIGRTMIN+31", "default_int_handler", "٩")
        ),
    ],
)
def test_a_hostile_value_is_an_error_with_image_and_field(field: str, config: ContainerConfig) -> None:
    with pytest.raises(ImageError, match=f"^app:1: {field} ") as caught:
        execution_config(config, "app:1")
    assert "\0" not in caught.value.message


def test_a_text_that_is_not_unicode_is_an_error() -> None:
    with pytest.raises(ImageError, match="config is invalid"):
        decode(b'{"Env": ["A=\\ud800"]}', ContainerConfig, "config")


@given(configs())
def test_no_value_holds_what_engines_would_take_for_another(config: ContainerConfig) -> None:
    try:
        found = execution_config(config, "app:1")
    except ImageError as error:
        assert error.message.startswith("app:1: ")
        return
    texts = [*found.environment, *found.environment.values(), *found.entrypoint, *found.cmd, found.working_dir, found.user]
    assert not [text for text in texts if "\0" in text]
    assert found.working_dir.startswith("/")
    assert not found.user.startswith("-")
    assert all(path.startswith("/") and path != "/" and not set(path) & set(':,"\\\n\0') for path in found.volumes)
    assert all(0 < port.number < 65536 for port in found.exposed_ports)
    assert signal_number(found.stop_signal)


@given(st.text())
def test_signals_have_one_name_and_one_number(text: str) -> None:
    number = signal_number(text)
    assert number is None or 0 < number <= 64


@pytest.mark.parametrize(
    ("text", "number"), [("SIGTERM", 15), ("TERM", 15), ("9", 9), ("SIGRTMIN+3", 37), ("SIGRTMAX-1", 63), ("RTMAX", 64)]
)
def test_numbers_signals_as_linux_does(text: str, number: int) -> None:
    assert signal_number(text) == number
