"""For the tests of registries: a user without credentials or settings of their own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nobody(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with nothing in it; what the machine's user has must not decide a test."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "SHIPWHEEL_PLAIN_HTTP"):
        monkeypatch.delenv(name, raising=False)
    return home
