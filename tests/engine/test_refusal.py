"""Why an engine refused, from messages as the engines print them."""

import pytest

from shipwheel.engine.program import Answer
from shipwheel.engine.refusal import Refusal, refusal


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock", Refusal.NO_PERMISSION),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", Refusal.NOT_RUNNING),
        ('Conflict. The container name "/web" is already in use by container "3f1".', Refusal.NAME_TAKEN),
        ("Cannot connect to Podman. Please verify your connection or try `podman machine init`: permission denied", Refusal.NOT_RUNNING),
        ('Error: command required for rootless mode: exec: "newuidmap": executable file not found in $PATH', Refusal.NO_PERMISSION),
        ('ctr: snapshot "web": already exists', Refusal.NAME_TAKEN),
        ('ctr: failed to dial "/run/containerd/containerd.sock": connect: permission denied', Refusal.NO_PERMISSION),
        ("Error: no such image", Refusal.OTHER),
    ],
)
def test_tells_why_an_engine_refused(message: str, kind: Refusal) -> None:
    assert refusal(Answer(1, "", message)) is kind
