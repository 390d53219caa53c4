"""Why an engine's program failed, from messages as the engines print them."""

import pytest

from shipwheel.engine.program import Failure, ProgramResult


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock", Failure.NO_PERMISSION),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", Failure.NOT_RUNNING),
        ('Conflict. The container name "/web" is already in use by container "3f1".', Failure.NAME_TAKEN),
        ("Cannot connect to Podman. Please verify your connection or try `podman machine init`: permission denied", Failure.NOT_RUNNING),
        ('Error: command required for rootless mode: exec: "newuidmap": executable file not found in $PATH', Failure.NO_PERMISSION),
        ('ctr: snapshot "web": already exists', Failure.NAME_TAKEN),
        ('ctr: failed to dial "/run/containerd/containerd.sock": connect: permission denied', Failure.NO_PERMISSION),
        ("Error: no such image", Failure.OTHER),
    ],
)
def test_recognizes_why_an_engine_failed(message: str, failure: Failure) -> None:
    assert ProgramResult("docker", 1, "", message).failure is failure
