"""Why an engine's program failed, from messages as the engines print them."""

import pytest

from shipwheel.engine.program import EngineFailure, ProgramResult


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            EngineFailure.NO_PERMISSION,
        ),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", EngineFailure.NOT_RUNNING),
        ('Conflict. The container name "/web" is already in use by container "3f1".', EngineFailure.NAME_TAKEN),
        (
            "Cannot connect to Podman. Please verify your connection or try `podman machine init`: permission denied",
            EngineFailure.NOT_RUNNING,
        ),
        ('Error: command required for rootless mode: exec: "newuidmap": executable file not found in $PATH', EngineFailure.NO_PERMISSION),
        ('Error: creating container storage: the container name "web" is already in use by 3f1. You have to', EngineFailure.NAME_TAKEN),
        ('time="…" level=fatal msg="name \\"web\\" is already used by ID \\"3f1\\""', EngineFailure.NAME_TAKEN),
        ("Error: rootlessport listen tcp 0.0.0.0:8000: bind: address already in use", EngineFailure.OTHER),
        ('ctr: snapshot "web": already exists', EngineFailure.NAME_TAKEN),
        ('ctr: failed to dial "/run/containerd/containerd.sock": connect: permission denied', EngineFailure.NO_PERMISSION),
        ("Error: no such image", EngineFailure.OTHER),
    ],
)
def test_recognizes_why_an_engine_failed(message: str, failure: EngineFailure) -> None:
    assert ProgramResult("docker", 1, "", message).failure is failure


def test_a_message_that_announces_a_reason_comes_with_it() -> None:
    message = "Error: pasta failed with exit code 1:\nFailed to open() /dev/net/tun: Permission denied\nFailed to set up tap device"
    reason = ProgramResult("podman", 126, "", message).reason
    assert reason == "Error: pasta failed with exit code 1: Failed to open() /dev/net/tun: Permission denied"
    assert ProgramResult("podman", 1, "", "Error:\n").reason == "Error:"
