"""Requirements that are git repositories: the locked commit, with its submodules, and through no transport that runs programs."""

import subprocess
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.programs import needs

from shipwheel.errors import ArchiveError, BuildError
from shipwheel.locking.selection import LockedDistribution
from shipwheel.store.store import Store
from shipwheel.wheels.git_source import checkout
from shipwheel.wheels.source_builds import write_source

pytestmark = needs("git")


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@x.invalid", "-c", "protocol.file.allow=always", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def repository(root: Path, **files: str) -> Path:
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    return commit(root, **files)


def commit(root: Path, **files: str) -> Path:
    for name, text in files.items():
        (root / name).write_text(text)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "x")
    return root


def locked(root: Path | str, commit_id: str, subdirectory: str = "") -> LockedDistribution:
    url = root if isinstance(root, str) else root.as_uri()
    return LockedDistribution("made", "1.0", "vcs", urls=(url,), subdirectory=subdirectory, commit=commit_id)


def test_takes_the_locked_commit_and_not_a_newer_one(tmp_path: Path) -> None:
    root = repository(tmp_path / "remote", a="old")
    old = git(root, "rev-parse", "HEAD")
    commit(root, a="new")
    assert (checkout(locked(root, old), tmp_path / "out") / "a").read_text() == "old"


@pytest.mark.parametrize("subdirectory", ["link", "link/deep", "../elsewhere", "inside"])
def test_a_package_is_not_outside_of_its_repository(tmp_path: Path, subdirectory: str) -> None:
    """The package's directory is read, and written to, by this machine as well as by the sandbox."""
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    root = tmp_path / "remote"
    (root / "package").mkdir(parents=True)
    (root / "package" / "a").write_text("")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "inside").symlink_to("package")
    git(root, "init", "--quiet")
    commit(root)
    dist, store = locked(root, git(root, "rev-parse", "HEAD"), subdirectory), Store(tmp_path / "store")
    if subdirectory == "inside":
        assert (write_source(dist, tmp_path / "out", store) / "a").is_file()
        return
    with pytest.raises(ArchiveError, match="is a link to outside"):
        write_source(dist, tmp_path / "out", store)


def test_takes_submodules_at_their_commits(tmp_path: Path) -> None:
    inner = repository(tmp_path / "inner", module="inner old")
    middle = repository(tmp_path / "middle", module="middle")
    git(middle, "submodule", "--quiet", "add", inner.as_uri(), "inner")
    commit(middle)
    root = repository(tmp_path / "remote", a="a")
    git(root, "submodule", "--quiet", "add", middle.as_uri(), "vendor")
    commit(root)
    commit(inner, module="inner new")
    out = checkout(locked(root, git(root, "rev-parse", "HEAD")), tmp_path / "out")
    assert (out / "vendor" / "module").read_text() == "middle"
    assert (out / "vendor" / "inner" / "module").read_text() == "inner old"


def test_takes_a_commit_that_no_branch_has(tmp_path: Path) -> None:
    root = repository(tmp_path / "remote", a="main")
    git(root, "checkout", "--quiet", "-b", "side")
    commit(root, a="side")
    side = git(root, "rev-parse", "HEAD")
    git(root, "checkout", "--quiet", "main")
    git(root, "update-ref", "refs/pull/1/head", side)
    git(root, "branch", "--quiet", "-D", "side")
    assert (checkout(locked(root, side), tmp_path / "out") / "a").read_text() == "side"


@pytest.mark.parametrize("name", ["main", "v1", "HEAD", "abc1234", "", "--upload-pack=touch evil"])
def test_rejects_a_lock_without_a_whole_commit(tmp_path: Path, name: str) -> None:
    root = repository(tmp_path / "remote", a="a")
    with pytest.raises(BuildError, match="not a whole commit"):
        checkout(locked(root, name), tmp_path / "out")


def test_a_branch_named_like_the_commit_does_not_replace_it(tmp_path: Path) -> None:
    root = repository(tmp_path / "remote", a="locked")
    commit_id = git(root, "rev-parse", "HEAD")
    commit(root, a="another")
    git(root, "update-ref", f"refs/heads/{commit_id}", "HEAD")
    git(root, "update-ref", f"refs/tags/{commit_id}", "HEAD")
    assert (checkout(locked(root, commit_id), tmp_path / "out") / "a").read_text() == "locked"


def test_rejects_another_commit_than_the_locked_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path / "remote", a="locked")
    commit_id = git(root, "rev-parse", "HEAD")
    real = subprocess.run(["sh", "-c", "command -v git"], check=True, capture_output=True, text=True).stdout.strip()
    stub = tmp_path / "bin" / "git"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\ncase "$*" in *rev-parse*) echo {"0" * 40};; *) exec {real} "$@";; esac\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:/usr/bin:/bin")
    with pytest.raises(BuildError, match="not the locked"):
        checkout(locked(root, commit_id), tmp_path / "out")


@pytest.mark.parametrize("url", ["ext::sh -c 'touch EVIL'", "fd::7", "ext::touch% EVIL"])
def test_a_url_that_runs_a_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext:fd:file")
    with pytest.raises(BuildError, match="cannot read its repository"):
        checkout(locked(url.replace("EVIL", str(tmp_path / "evil")), "0" * 40), tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def test_a_submodule_that_runs_a_program_is_refused(tmp_path: Path) -> None:
    root = repository(tmp_path / "remote", a="a")
    inner = repository(tmp_path / "inner", a="a")
    git(root, "submodule", "--quiet", "add", inner.as_uri(), "vendor")
    (root / ".gitmodules").write_text(f'[submodule "vendor"]\n\tpath = vendor\n\turl = ext::touch {tmp_path}/evil\n')
    commit(root)
    with pytest.raises(BuildError, match="cannot read its repository"):
        checkout(locked(root, git(root, "rev-parse", "HEAD")), tmp_path / "out")
    assert not (tmp_path / "evil").exists()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of a server for the test's directory: its repositories are then somebody else's."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words, directory=str(tmp_path))

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_repository_from_elsewhere_gets_no_submodule_of_this_machine(tmp_path: Path, served: str) -> None:
    root = repository(tmp_path / "remote", a="a")
    own = repository(tmp_path / "own", secret="s")
    commit_id = git(root, "rev-parse", "HEAD")
    git(root, "update-server-info")
    assert (checkout(locked(f"{served}/remote/.git", commit_id), tmp_path / "plain") / "a").is_file()
    git(root, "submodule", "--quiet", "add", own.as_uri(), "vendor")
    commit(root)
    git(root, "update-server-info")
    with pytest.raises(BuildError, match="cannot read its repository"):
        checkout(locked(f"{served}/remote/.git", git(root, "rev-parse", "HEAD")), tmp_path / "out")
    assert not (tmp_path / "out" / "vendor" / "secret").exists()


def test_a_submodule_without_access_is_named(tmp_path: Path) -> None:
    root = repository(tmp_path / "remote", a="a")
    inner = repository(tmp_path / "inner", a="a")
    git(root, "submodule", "--quiet", "add", inner.as_uri(), "vendor")
    commit(root)
    inner.rename(tmp_path / "gone")
    with pytest.raises(BuildError, match="vendor"):
        checkout(locked(root, git(root, "rev-parse", "HEAD")), tmp_path / "out")
