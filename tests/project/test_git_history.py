"""Directories outside of a repository, about which git need not be asked, and those that only seem to be."""

import subprocess
from pathlib import Path

import pytest

from shipwheel.project.git_history import last_commit, tracked_files


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "app").mkdir(parents=True)
    (root / "app" / "main.py").touch()
    who = ("-c", "user.name=It", "-c", "user.email=it@host.test")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "One")):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def test_asks_about_a_directory_of_a_repository_by_any_path(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(repository / "app")
    monkeypatch.chdir(repository / "app")
    for path in (repository / "app", tmp_path / "link", Path(), Path("..", "app")):
        assert tracked_files(path) == {"main.py"}, path
        assert last_commit(path) is not None


def test_asks_about_a_directory_whose_repository_is_elsewhere(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repository))
    assert tracked_files(tmp_path) == {"app/main.py"}


def test_starts_no_git_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("git was started"))
    assert last_commit(tmp_path) is None
    assert tracked_files(tmp_path) == frozenset()
