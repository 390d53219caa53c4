"""What git says of a project, and whether it would say the same again."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.programs import needs

from shipwheel.project.git_history import describe
from shipwheel.witness.witness import Witness

pytestmark = needs("git")


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.logAllRefUpdates=false")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit with a tag whose name has two parts, and git's index as it stays."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init")
    git(root, "commit", "--allow-empty", "-m", "1")
    git(root, "tag", "part/v1")
    time.sleep(0.05)  # a tick of the kernel's clock
    return root


@pytest.mark.parametrize(
    "change",
    [
        lambda root: git(root, "tag", "part/v2"),
        lambda root: git(root, "tag", "v3"),
        lambda root: git(root, "commit", "--allow-empty", "-m", "2"),
        lambda root: git(root, "pack-refs", "--all"),
        lambda root: git(root, "config", "--global", "safe.directory", "*"),
    ],
)
def test_a_change_of_the_repository_or_of_settings_is_seen(project: Path, change: Callable[[Path], None]) -> None:
    witness = Witness()
    assert describe(project)
    seen = witness.looks(str(project))
    assert seen is not None
    assert seen.are_current()
    change(project)
    assert not seen.are_current()


def test_a_repository_that_a_variable_names_cannot_be_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = project.parent / "elsewhere"
    (project / ".git").rename(elsewhere)
    time.sleep(0.05)
    monkeypatch.setenv("GIT_DIR", str(elsewhere))
    witness = Witness()
    assert describe(project)
    assert witness.looks(str(project)) is None


def test_without_git_a_repository_cannot_be_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    witness = Witness()
    assert not describe(project)
    assert witness.looks(str(project)) is None
