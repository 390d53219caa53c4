"""Registry tests run as a user without credentials and settings."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def empty_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set HOME to an empty directory, so that no test depends on the machine's user."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "SHIPWHEEL_PLAIN_HTTP"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(params=["the loopback client", "httpx"])
def either_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with the client for registries of this machine, and with that for all others."""
    if request.param == "httpx":
        monkeypatch.setattr("shipwheel.registry.transport.serves", lambda host: False)
