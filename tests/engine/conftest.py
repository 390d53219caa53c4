"""Fake engines."""

from pathlib import Path

import pytest
from support.fake_programs import Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Set PATH to an empty directory, and return it to add programs to."""
    made = Programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(made.folder))
    return made
